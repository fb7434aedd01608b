"""The MLflow runs of trials, as the sweep's process begins and ends them."""

import logging
from dataclasses import replace

from daf.errors import DAFError
from daf.redaction import redactor
from daf.sweeps.jobs import TrialJob
from daf.tracking.tracker import Tracker

log = logging.getLogger(__name__)


def with_run(job: TrialJob, tracker: Tracker) -> TrialJob:
    """Gives a job its MLflow run before it begins, so that it can be ended whatever becomes of the worker.

    Args:
        tracker: of the sweep's run.

    Raises:
        DAFError: the store takes none.
    """
    from mlflow.exceptions import MlflowException

    tags = {"mlflow.parentRunId": job.parent_run_id, **job.tags}
    try:
        run = tracker.client.create_run(tracker.experiment_id, run_name=redactor().text(job.name), tags=tags)
    except MlflowException as error:
        raise DAFError(f"MLflow takes no new run; the same command goes on from here. {error.message}") from error
    return replace(job, run_id=run.info.run_id)


def end_run(tracker: Tracker, run_id: str | None, status: str, traceback: str = "") -> None:
    """Ends the MLflow run of a trial whose worker can no longer do so, and those of its seeds."""
    if not run_id:
        return
    client = tracker.client
    seeds = f"tags.mlflow.parentRunId = '{run_id}' and attributes.status = 'RUNNING'"
    try:
        if traceback:
            client.log_text(run_id, redactor().text(traceback), "traceback.txt")
        client.set_terminated(run_id, status)
        for seed in client.search_runs([tracker.experiment_id], seeds):
            client.set_terminated(seed.info.run_id, status)
    except Exception as error:  # a broken store ends no sweep
        log.warning("MLflow: run %s could not be ended: %s", run_id, redactor().text(str(error)))


def last_line(traceback: str) -> str:
    """What a traceback comes to."""
    lines = traceback.strip().splitlines()
    return lines[-1] if lines else ""
