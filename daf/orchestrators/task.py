"""`task=pipeline`: several tasks, each a stage; and `task=quickstart`, which is one."""

import time
from collections.abc import Iterator

from daf.config.schemas import DAFConfig
from daf.environment_checks import daf_check_environment
from daf.errors import DAFConfigError, Problem
from daf.orchestrators.compose import Composed, stage_config
from daf.orchestrators.engine import run_stages
from daf.orchestrators.plan import Stage, plan_problems, stages_of, unknown_results
from daf.orchestrators.results import PipelineResult, pipeline_result
from daf.tasks import Task, find_task
from daf.tracking.names import KIND
from daf.tracking.tracker import Tracker
from daf.training import TRAIN


def daf_run_pipeline(config: DAFConfig, tracker: Tracker) -> PipelineResult:
    """Runs the stages of `config.pipeline`, each in ``<output_dir>/<stage>`` and with an MLflow run of its own.

    What an earlier run in the same folder has done with the same inputs is not done again.

    Raises:
        DAFConfigError: the stages need each other in a way that cannot be; no stage was begun.
        DAFInterruptedError: Ctrl-C; the same request goes on with the rest.
    """
    tracker.set_tags({KIND: "pipeline", "daf.pipeline": config.pipeline.name})
    if problems := plan_problems(config):
        raise DAFConfigError(problems)
    started = time.perf_counter()
    stages = run_stages(config, tracker)
    result = pipeline_result(config.pipeline.name, stages, time.perf_counter() - started)
    tracker.log_metrics({"pipeline_seconds": result.seconds})
    if result.refused:
        tracker.ends_as = "FAILED"
        tracker.set_tags({"daf.error": result.refused})
    return result


def daf_quickstart(config: DAFConfig, tracker: Tracker) -> PipelineResult:
    """The pipeline that `task=quickstart` chooses, under the name that stored sweeps of it know."""
    return daf_run_pipeline(config, tracker)


def static_problems(config: DAFConfig) -> list[Problem]:
    """All that is wrong with all stages, as far as it shows without looking at this machine."""
    return plan_problems(config) or [problem for _, _, found in _composed(config) for problem in found]


def pipeline_problems(config: DAFConfig) -> list[Problem]:
    """All that is wrong with all stages, and with this machine for them, as far as their inputs are there."""
    if problems := plan_problems(config):
        return problems
    found: list[Problem] = []
    for stage, composed, problems in _composed(config):
        found += problems
        if composed is not None and not problems:
            found += _environment_problems(stage, composed)
    return found


def _composed(config: DAFConfig) -> list[tuple[Stage, Composed | None, list[Problem]]]:
    """Every stage with its config, as far as that is known, and with what is wrong with it."""
    stages = stages_of(config)
    composed = {stage.name: _or_problems(config, stage) for stage in stages}
    gives = {
        name: find_task(found.config.task).gives if isinstance(found, Composed) else frozenset()
        for name, found in composed.items()
    }
    broken = {name for name, found in composed.items() if not isinstance(found, Composed)}
    return [
        (stage, found if isinstance(found, Composed) else None, list(_problems_of(stage, found, gives, broken)))
        for stage in stages
        for found in [composed[stage.name]]
    ]


def _problems_of(
    stage: Stage, found: Composed | list[Problem], gives: dict[str, frozenset[str]], broken: set[str]
) -> Iterator[Problem]:
    if not isinstance(found, Composed):
        yield from found
    # What a stage gives whose own task is not known is told with that.
    if not broken & set(stage.needs):
        yield from unknown_results(stage.name, stage.config, gives)


def _or_problems(config: DAFConfig, stage: Stage) -> Composed | list[Problem]:
    try:
        composed = stage_config(config, stage, {})
        if find_task(composed.config.task).goes_on:
            what, hint = "is a pipeline, and a stage is none.", "Name the stages of that one instead."
            return [Problem(f"pipeline.stages.{stage.name}.task", what, hint)]
    except DAFConfigError as error:
        return [_of_stage(stage, problem) for problem in error.problems]
    return composed


def _environment_problems(stage: Stage, composed: Composed) -> Iterator[Problem]:
    if stage.config.sweep:
        return  # it checks everything itself before its first trial
    for problem in daf_check_environment(composed.config).errors:
        if not any(_concerns(problem.where, key) for key in composed.open_keys):
            yield _of_stage(stage, problem)


def _concerns(where: str, key: str) -> bool:
    """Whether a problem is about a key of which something is not known yet, about what is in it or what it is in."""
    inner, outer = f"{where.strip('+')}.", f"{key.strip('+')}."
    return inner.startswith(outer) or outer.startswith(inner)


def _of_stage(stage: Stage, problem: Problem) -> Problem:
    return Problem(f"stage {stage.name}, {problem.where}", problem.what, problem.hint)


PIPELINE = Task(
    name="pipeline",
    run=daf_run_pipeline,
    # Its stages check their own.
    policies=lambda config: (),
    missions=lambda config: (),
    named_after=lambda config: (),
    problems=pipeline_problems,
    goes_on=True,
)
QUICKSTART = Task(
    name="quickstart",
    run=daf_quickstart,
    problems=static_problems,
    trains=TRAIN.trains,
    decided_by=TRAIN.decided_by,
    goes_on=True,
    scored_by_sweeps=True,
)
