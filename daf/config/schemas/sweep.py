"""Search spaces, sweeps and what they optimise."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from daf.config.expressions import check_expression
from daf.config.names import pruner_name, sampler_name
from daf.config.override_syntax import sweep_from_text
from daf.config.schemas.values import Count, Episodes, Fraction, Positive, Processes, Real, Repeats, Schema, Text, Whole

Metric = Annotated[
    str, StringConstraints(pattern=r"^(reward|steps|vor|(game|agent)/.+|train/(reward|agent_steps|seconds))$")
]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class DAFParameterConfig(Schema):
    """What one swept key ranges over: `choices`, or numbers from `low` to `high`, both included.

    Attributes:
        log: sampled uniformly in its logarithm.
        step: only every so many from `low` on.
        transform: arithmetic in `x` that turns the sampled number into the config's (``1 - x``).
        when: other keys with their values; the key is varied only in trials where all of them match.
    """

    choices: tuple[Any, ...] | None = None
    low: Real | None = None
    high: Real | None = None
    log: bool = False
    step: Positive | None = None
    type: Literal["int", "float"] = "float"
    transform: Annotated[str, AfterValidator(check_expression)] | None = None
    when: dict[str, tuple[Any, ...]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_short_forms(cls, data: Any) -> Any:
        if isinstance(data, str):
            return sweep_from_text(data)
        if isinstance(data, list | tuple):
            return {"choices": data}
        if isinstance(data, dict) and isinstance(data.get("when"), dict):
            when = {key: v if isinstance(v, list | tuple) else [v] for key, v in data["when"].items()}
            return {**data, "when": when}
        return data

    @model_validator(mode="after")
    def _is_a_range_or_choices(self) -> "DAFParameterConfig":
        if self.choices is not None:
            if self.low is not None or self.high is not None or not self.choices:
                raise ValueError("give either choices (at least one) or low and high")
            return self
        if self.low is None or self.high is None:
            raise ValueError("give either choices or low and high")
        if self.low > self.high or (self.log and self.low <= 0):
            raise ValueError(f"{self.low} to {self.high} is no {'logarithmic ' if self.log else ''}range")
        if self.log and self.step is not None:
            raise ValueError("a logarithmic range has no step")
        if self.type == "int" and any(v % 1 for v in (self.low, self.high, self.step or 1)):
            raise ValueError("low, high and step of a range of whole numbers are whole numbers")
        return self


class DAFSweepConfig(Schema):
    """What `-m` varies, how, and how its best is confirmed."""

    name: Annotated[str, StringConstraints(pattern=r"^[\w.-]+$")] | None
    storage: Text | None
    n_trials: Count | None
    timeout_s: Positive | None
    n_jobs: Processes
    space: dict[str, DAFParameterConfig]
    enqueue: tuple[dict[str, Any], ...]
    sampler: Annotated[str, AfterValidator(sampler_name)] | None
    sampler_kwargs: dict[str, Any]
    pruner: Annotated[str, AfterValidator(pruner_name)] | None
    pruner_kwargs: dict[str, Any]
    patience: Count | None
    report_every: Count | None
    seeds_per_trial: Processes
    silence_s: Positive | None
    max_retries: Repeats
    max_failure_rate: Fraction
    confirm: Literal["off", "reevaluate", "retrain"]
    confirm_top_k: Count
    confirm_seeds: Processes
    confirm_episodes: Episodes
    winner: Text | None
    allow_change: bool
    trial: Annotated[Whole, Field(ge=0)] | None


class DAFObjectiveConfig(Schema):
    """What a trial is judged by; several metrics give a Pareto front."""

    metric: Annotated[tuple[Metric, ...], BeforeValidator(_listed), Field(min_length=1)]
    direction: Annotated[tuple[Literal["maximize", "minimize"], ...], BeforeValidator(_listed)]

    @model_validator(mode="after")
    def _one_direction_each(self) -> "DAFObjectiveConfig":
        if len(self.metric) != len(self.direction):
            raise ValueError(f"{len(self.metric)} metrics need as many directions, not {len(self.direction)}")
        if len(set(self.metric)) != len(self.metric):
            raise ValueError("a metric stands in the list twice")
        return self
