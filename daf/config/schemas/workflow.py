"""Schemas of what happens around the work: pipelines, checks, lists of runs, cleaning, notification, the dashboard."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from daf.config.schemas.values import Count, NonNegative, Positive, Repeats, Schema, Text, Whole


def _two_or_none(runs: tuple[str, ...]) -> tuple[str, ...]:
    if len(runs) not in (0, 2):
        raise ValueError("two runs are compared, such as runs.compare=[1f0c,9b3e]; [] lists")
    return runs


#: What a stage is called: a part of keys and of folder names.
StageName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]


class DAFStageConfig(Schema):
    """One stage of a pipeline: a task with overrides. Only what a user must say has no default.

    Attributes:
        task: an option of the group `task`.
        overrides: as on the command line; they may use results of other stages and the pipeline's own config.
        sweep: whether the task is swept, as with ``-m``.
        winner_of: the stage, a sweep, whose best config this stage begins with.
        needs: stages that must be done before, beside those that `overrides` and `winner_of` name.
        retries: further attempts after a failure that may pass, such as a store that is away.
        time_limit_s: seconds after which the stage is ended; None is for ever.
    """

    task: Text
    overrides: tuple[Text, ...] = ()
    sweep: bool = False
    winner_of: StageName | None = None
    needs: tuple[StageName, ...] = ()
    retries: Repeats = 0
    time_limit_s: Positive | None = None


class DAFPipelineConfig(Schema):
    """Stages, each a task with overrides, and how they are run."""

    name: Text
    stages: dict[StageName, DAFStageConfig]
    on_failure: Literal["stop", "continue"]
    workers: Count


class DAFCheckConfig(Schema):
    """What `task=check` looks at."""

    task: Text
    missions: bool


#: What MLflow's filters take between quotation marks.
Quotable = Annotated[str, Field(pattern=r"""^[^'"`\\\x00]+$""")]


class DAFRunsConfig(Schema):
    """Which MLflow runs `task=runs` shows, or which two it compares."""

    filter: Text | None
    task: Quotable | None
    status: Literal["RUNNING", "FINISHED", "FAILED", "KILLED"] | None
    since: Annotated[str, Field(pattern=r"^(\d{1,6}(\.\d+)?[mhdw]|\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?)?)$")] | None
    name: Quotable | None
    metric: Annotated[str, Field(pattern=r"^[\w. :/-]+$")] | None
    ascending: bool
    children: bool
    limit: Annotated[Whole, Field(gt=0, le=10_000)]
    compare: Annotated[tuple[Text, ...], AfterValidator(_two_or_none)]


class DAFCleanConfig(Schema):
    """What `task=clean` shows, and removes."""

    folder: Text
    what: tuple[Literal["outputs", "checkpoints", "caches"], ...]
    older_than_days: NonNegative
    unfinished: bool
    remove: bool


class DAFNotifyConfig(Schema):
    """Whom DAF tells about the end of a run."""

    urls: tuple[Text, ...]


class DAFWatchConfig(Schema):
    """Where `daf watch` shows its page."""

    host: Text
    port: Annotated[Whole, Field(ge=0, le=65535)]
