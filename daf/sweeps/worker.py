"""What a worker process of a sweep does: gets ready once, then checks configs and runs trials."""

import importlib
import logging

from daf.bridge.imports import contained
from daf.config.schemas import DAFConfig
from daf.environment_checks import daf_check_environment
from daf.episodes import worker as episodes_worker
from daf.errors import Problem
from daf.execution.executor import JobContext
from daf.execution.progress import telling
from daf.sweeps.draw import draw
from daf.sweeps.jobs import CheckJob, PlotJob, TrialJob, TrialOutcome
from daf.sweeps.run_trial import run_trial
from daf.tasks import find_task

#: The target of a sweep's executors.
WORK = f"{__name__}:work"


def warm_up() -> None:
    """Imports, once in a worker's life, what training and playing need."""
    warm_up_tracking()
    with contained():  # by itself, so that the folder which it makes is gone at once, and not after all the others
        importlib.import_module("torch.distributed.nn")
    episodes_worker.warm_up()
    with contained():
        # torch's first optimizer imports _dynamo.
        for module in ("cogames.train", "daf.training.task", "daf.sweeps.play_and_score", "torch._dynamo"):
            importlib.import_module(module)


def warm_up_tracking() -> None:
    """Imports what every trial needs, whatever its task."""
    importlib.import_module("mlflow.store.tracking.sqlalchemy_store")
    logging.getLogger().setLevel(logging.INFO)


def initializer(config: DAFConfig) -> str:
    """What a worker does before its first job, for an `Executor`."""
    plays = find_task(config.task).scored_by_sweeps
    return f"{__name__}:{'warm_up' if plays else 'warm_up_tracking'}"


def work(job: TrialJob | CheckJob | PlotJob, context: JobContext) -> TrialOutcome | list[Problem] | None:
    """What a worker does with a job."""
    if isinstance(job, PlotJob):
        draw(job, context)
        return None
    if isinstance(job, CheckJob):
        with telling(context.report):
            return list(daf_check_environment(job.config).errors)
    return run_trial(job, context)
