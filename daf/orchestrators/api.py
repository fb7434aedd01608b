"""The shipped pipelines, from Python."""

from pathlib import Path

from daf.config.compose import override_config
from daf.config.schemas import DAFConfig
from daf.environment_checks import daf_check_environment
from daf.errors import DAFConfigError
from daf.orchestrators.results import PipelineResult
from daf.orchestrators.task import daf_run_pipeline, pipeline_problems
from daf.tasks import claimed_folder, run_tracked
from daf.tracking.tracker import Tracker


def daf_run_training_pipeline(config: DAFConfig, tracker: Tracker | None = None) -> PipelineResult:
    """Trains `policy`, plays its checkpoint, and compares it with `evaluation.baselines` (`pipeline=training`).

    Args:
        config: what all stages share; its task and its pipeline play no part. Without baselines there is noop.
        tracker: of the MLflow run that the stages are filed under; without one the pipeline begins its own.

    Raises:
        DAFConfigError: a stage cannot run here; nothing was started.
        DAFInterruptedError: Ctrl-C; the same call goes on with the rest.
    """
    baselines = [] if config.evaluation.baselines else ["evaluation.baselines=[noop]"]
    return _run("training", override_config(config, baselines), tracker)


def daf_run_sweep_pipeline(config: DAFConfig, tracker: Tracker | None = None) -> PipelineResult:
    """Sweeps `sweep.space`, trains the best config anew, and compares what came of it (`pipeline=sweep`).

    The arguments and errors are those of `daf_run_training_pipeline`.
    """
    return _run("sweep", config, tracker)


def daf_run_comparison_pipeline(config: DAFConfig, tracker: Tracker | None = None) -> PipelineResult:
    """Compares `comparison.policies` alone and in mixed teams (`pipeline=comparison`).

    The arguments and errors are those of `daf_run_training_pipeline`.
    """
    return _run("comparison", config, tracker)


def daf_run_benchmark_pipeline(config: DAFConfig, tracker: Tracker | None = None) -> PipelineResult:
    """Trains `policy` and scores its checkpoint on the benchmark's missions (`pipeline=benchmark`).

    The arguments and errors are those of `daf_run_training_pipeline`.
    """
    return _run("benchmark", config, tracker)


def _run(name: str, config: DAFConfig, tracker: Tracker | None) -> PipelineResult:
    config = override_config(config, ["task=pipeline", f"pipeline={name}"])
    if tracker is not None:
        if problems := pipeline_problems(config):
            raise DAFConfigError(problems)
        return daf_run_pipeline(config.model_copy(update={"output_dir": str(tracker.output_dir)}), tracker)
    config = config.model_copy(update={"output_dir": str(Path(config.output_dir).absolute())})
    if errors := daf_check_environment(config).errors:
        raise DAFConfigError(list(errors))
    with claimed_folder(config) as claim:
        result, _ = run_tracked(config, (), claim, kind="pipeline")
    assert isinstance(result, PipelineResult), "it is the result of the task"
    return result
