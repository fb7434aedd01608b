"""The MLflow runs of a sweep and its trials, as the sweep's process begins and ends them."""

import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from daf.errors import DAFError
from daf.redaction import redactor
from daf.sweeps.jobs import TrialJob
from daf.sweeps.study import StoredStudy
from daf.tracking.begin import new_run, open_tidied
from daf.tracking.names import KIND
from daf.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

#: Tag of a run that the user stopped.
STOPPED = "daf.stopped"


def sweep_run(stored: StoredStudy, output_dir: Path) -> Tracker:
    """The sweep's MLflow run: a new one, or the one that the study was begun under.

    Raises:
        DAFError: the store takes none.
    """
    tracking = stored.config.tracking
    store = open_tidied(tracking.uri, tracking.experiment)
    name = f"sweep {stored.name}"
    run_id = parent_run(store.client, store.experiment_id, stored, name)
    return Tracker(store.client, store.experiment_id, name, output_dir, run_id=run_id, delivered=store.delivered)


def parent_run(client: "MlflowClient", experiment_id: str, stored: StoredStudy, name: str) -> str:
    """The run that a study's trials are filed under: the one it was begun with, restored where somebody deleted it.

    Where that is gone for good, a new one takes its trials over. Of two processes that begin a study in the same
    moment, both take the run that the study heard of first.
    """
    before = stored.facts.parent_run_id
    if before and _is_there(client, before):
        return before
    mine = new_run(client, experiment_id, name, {KIND: "sweep"})
    claimed = stored.claim_parent(before, mine)
    chosen = next(run_id for run_id in claimed if run_id == mine or _is_there(client, run_id))
    if chosen != mine:
        client.delete_run(mine)
    elif before:
        _file_under(client, [trial.facts.run_id for trial in stored.trials()], mine)
    return chosen


def _is_there(client: "MlflowClient", run_id: str) -> bool:
    """Whether a run exists; a deleted one is restored."""
    from mlflow.exceptions import MlflowException

    try:
        if client.get_run(run_id).info.lifecycle_stage != "active":
            client.restore_run(run_id)
    except MlflowException:
        return False
    return True


def _file_under(client: "MlflowClient", run_ids: Iterable[str | None], parent: str) -> None:
    from mlflow.exceptions import MlflowException

    for run_id in filter(None, run_ids):
        with suppress(MlflowException):  # it may have been deleted, too
            client.set_tag(run_id, "mlflow.parentRunId", parent)


def with_run(job: TrialJob, tracker: Tracker) -> TrialJob:
    """Gives a job its MLflow run before it begins, so that it can be ended whatever becomes of the worker.

    Args:
        tracker: of the sweep's run.

    Raises:
        DAFError: the store takes none.
    """
    tags = {"mlflow.parentRunId": job.parent_run_id, **job.tags}
    try:
        run_id = new_run(tracker.client, tracker.experiment_id, job.name, tags)
    except DAFError as error:
        raise DAFError(f"{error}. The same command goes on from here.") from error
    return replace(job, run_id=run_id)


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


def stop_run(tracker: Tracker, run_id: str | None) -> None:
    """Ends the MLflow run of a trial that the user stopped as KILLED, whatever its worker called it."""
    if not run_id:
        return
    end_run(tracker, run_id, "KILLED")
    try:
        tracker.client.set_tag(run_id, "daf.trial.state", "STOPPED")
        tracker.client.set_tag(run_id, STOPPED, "by the user")
    except Exception as error:  # as above
        log.warning("MLflow: run %s could not be marked as stopped: %s", run_id, redactor().text(str(error)))


def last_line(traceback: str) -> str:
    """What a traceback comes to."""
    lines = traceback.strip().splitlines()
    return lines[-1] if lines else ""
