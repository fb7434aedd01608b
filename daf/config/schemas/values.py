"""Kinds of values that schemas share, and what all schemas have in common."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from daf.config.names import mission_name, mission_pattern, variant_name


def _not_a_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("true and false are not numbers")
    return value


def _printable(name: str) -> str:
    if not name.isprintable() or not name.strip():
        raise ValueError("a name has visible characters, and no others but spaces")
    return name


Text = Annotated[str, StringConstraints(min_length=1)]
Real = Annotated[float, BeforeValidator(_not_a_bool)]
Whole = Annotated[int, BeforeValidator(_not_a_bool)]
#: Bounds are far beyond what anybody runs: a slip of the finger is refused before it fills a disk or a night.
Count = Annotated[Whole, Field(gt=0, le=10**9)]
AgentSteps = Annotated[Whole, Field(gt=0, le=10**12)]
Episodes = Annotated[Whole, Field(gt=0, le=10**6)]
EpisodeSteps = Annotated[Whole, Field(gt=0, le=10**6)]
#: Processes, threads, and trainings of one config.
Processes = Annotated[Whole, Field(gt=0, le=1024)]
Repeats = Annotated[Whole, Field(ge=0, le=1024)]
Seed = Annotated[Whole, Field(ge=0, lt=2**31)]
#: Numbers that torch computes with, in 32 bits.
Positive = Annotated[Real, Field(gt=0, le=1e30)]
NonNegative = Annotated[Real, Field(ge=0, le=1e30)]
Fraction = Annotated[Real, Field(ge=0, le=1)]
EpisodeMetric = Annotated[str, StringConstraints(pattern=r"^(reward|steps|(game|agent)/.+)$")]
MissionName = Annotated[Text, AfterValidator(mission_name)]
MissionPattern = Annotated[Text, AfterValidator(mission_pattern)]
VariantName = Annotated[Text, AfterValidator(variant_name)]
ExperimentName = Annotated[str, StringConstraints(min_length=1, max_length=250), AfterValidator(_printable)]
Device = Annotated[str, StringConstraints(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")]
Level = Annotated[Real, Field(gt=0.5, lt=1)]
#: A name that becomes a part of a key, in the characters that MLflow takes there.
Label = Annotated[str, StringConstraints(pattern=r"^[\w. :/-]+$")]


class Schema(BaseModel):
    """Frozen, and closed to keys that it does not name."""

    # Deferred, so that a section's validator is built once, as a part of the whole config's.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)
