"""Runs that seem to go on, although the process that began them has ended."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from daf.execution.alive import ProcessName, machine, this_process
from daf.tracking.deliver import reason

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

HOST, PID, STARTED = "daf.host", "daf.pid", "daf.process_started"
#: So many runs are looked at; those of a longer list are for the next start.
AT_MOST = 1000


def process_tags() -> dict[str, str]:
    """Tags that say which process a run is of."""
    process = this_process()
    return {HOST: process.machine, PID: str(process.pid), STARTED: f"{process.started:.2f}"}


def end_abandoned(client: "MlflowClient") -> list[str]:
    """Ends as KILLED every run of the store that a process of this machine began which is gone. It never raises.

    Runs of other machines, of living processes and of other programs are left alone.

    Returns:
        The ids of the runs that it ended.
    """
    ended: list[str] = []
    try:
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        here = f"attributes.status = 'RUNNING' and tags.`{HOST}` = '{machine().replace("'", '')}'"
        for run in client.search_runs(experiments, here, max_results=AT_MOST):
            process = process_of(run.data.tags)
            if process is not None and process.is_here() and process.is_gone():
                client.set_tag(run.info.run_id, "daf.error", "its process ended without a word")
                client.set_terminated(run.info.run_id, "KILLED")
                ended.append(run.info.run_id)
    except Exception as error:  # tidying up is no reason not to begin
        log.warning("MLflow: runs that were killed could not be looked for: %s", reason(error))
    if ended:
        log.info("%d runs whose process is gone are marked as KILLED in MLflow", len(ended))
    return ended


def process_of(tags: Mapping[str, str]) -> ProcessName | None:
    """The process that a run is of, by its tags; None where they do not say."""
    try:
        return ProcessName(tags[HOST], int(tags[PID]), float(tags[STARTED]))
    except (KeyError, ValueError):
        return None
