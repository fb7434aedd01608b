"""The MLflow runs of trials, as the sweep's process begins and ends them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from daf.errors import DAFError
from daf.records import digest
from daf.redaction import redactor
from daf.sweeps.jobs import TrialJob
from daf.sweeps.study import StoredStudy
from daf.tracking.abandoned import process_tags
from daf.tracking.begin import open_tidied
from daf.tracking.names import NAME_LENGTH, legal_value
from daf.tracking.store import tracking_uri
from daf.tracking.tracker import Tracker
from daf.tracking.undelivered import state_dir

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)


def sweep_run(stored: StoredStudy, output_dir: Path) -> Tracker:
    """The sweep's MLflow run: a new one, or the one that the study was begun under.

    Raises:
        DAFError: the store takes none.
    """
    tracking = stored.config.tracking
    store = open_tidied(tracking.uri, tracking.experiment)
    # Two processes that begin the same sweep in the same moment share one run.
    with _alone(state_dir(tracking_uri(tracking.uri)) / f"{digest(stored.name)[:16]}.lock"):
        before = stored.facts.parent_run_id
        known = before if before and _is_there(store.client, before) else None
        tracker = Tracker(*store[:2], f"sweep {stored.name}", output_dir, run_id=known, delivered=store.delivered)
        if known is None:
            stored.record(parent_run_id=tracker.run_id)
    if before and known is None:
        _move_trials(stored, tracker)
    return tracker


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    from filelock import FileLock

    lock = FileLock(path, timeout=60)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:  # what follows is right but for that moment
        log.debug("%s cannot be locked: %s", path, error)
    try:
        yield
    finally:
        lock.release()


def _is_there(client: "MlflowClient", run_id: str) -> bool:
    """Whether a sweep's run is there; one that was deleted in the UI is brought back, since the sweep goes on in it."""
    from mlflow.exceptions import MlflowException

    try:
        if client.get_run(run_id).info.lifecycle_stage == "deleted":
            client.restore_run(run_id)
            log.warning("the sweep's MLflow run %s was deleted; it is restored, for the sweep goes on in it", run_id)
    except MlflowException:
        return False
    return True


def _move_trials(stored: StoredStudy, tracker: Tracker) -> None:
    """Files the runs of earlier trials under the sweep's new run, where the old one is gone for good."""
    from mlflow.exceptions import MlflowException

    for trial in stored.trials():
        try:
            if trial.facts.run_id:
                tracker.client.set_tag(trial.facts.run_id, "mlflow.parentRunId", tracker.run_id)
        except MlflowException:  # gone as well
            continue


def with_run(job: TrialJob, tracker: Tracker) -> TrialJob:
    """Gives a job its MLflow run before it begins, so that it can be ended whatever becomes of the worker.

    Args:
        tracker: of the sweep's run.

    Raises:
        DAFError: the store takes none.
    """
    from mlflow.exceptions import MlflowException

    tags = {"mlflow.parentRunId": job.parent_run_id, **process_tags(), **job.tags}
    try:
        name = legal_value(redactor().text(job.name), NAME_LENGTH)
        run = tracker.client.create_run(tracker.experiment_id, run_name=name, tags=tags)
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
