"""Schemas of what happens around the work: pipelines, checks, lists of runs, cleaning, notification, the dashboard."""

from typing import Annotated, Literal

from pydantic import Field

from daf.config.schemas.values import Count, NonNegative, Positive, Repeats, Schema, Text, Whole

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


class DAFRunsConfig(Schema):
    """Which MLflow runs `task=runs` shows."""

    filter: Text | None
    limit: Count
    compare: tuple[Text, ...]


class DAFCleanConfig(Schema):
    """What `task=clean` removes."""

    folder: Text
    older_than_days: NonNegative
    remove: bool


class DAFNotifyConfig(Schema):
    """Whom DAF tells about the end of a run."""

    urls: tuple[Text, ...]


class DAFWatchConfig(Schema):
    """Where `daf watch` shows its page."""

    host: Text
    port: Annotated[Whole, Field(ge=0, le=65535)]
