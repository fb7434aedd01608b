"""A config as one tracked run: its output folder, its MLflow run, its task's work, its tables."""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from daf.config.override_secrets import override_without_secrets
from daf.config.references import CHECKPOINTS
from daf.config.schemas import DAFConfig
from daf.files import is_there
from daf.results import TaskResult
from daf.tasks.description import describe
from daf.tasks.find import find_task, run_task
from daf.tracking import Tracker, log_provenance, open_tidied
from daf.tracking.output_folder import Claim, claimed, single_request

#: Tells the jobs of a multirun, in whatever process they run, which run is their parent.
PARENT_RUN = "DAF_PARENT_RUN_ID"


def claimed_folder(config: DAFConfig) -> AbstractContextManager[Claim]:
    """Keeps the output folder for one run of the config."""
    folder = Path(config.output_dir)
    # A second training would write over the checkpoints of the first; all else is written anew as a whole.
    keeps = find_task(config.task).trains(config) and is_there(folder / CHECKPOINTS)
    return claimed(folder, single_request(config, repeatable=not keeps))


@contextmanager
def tracked(
    config: DAFConfig, name: str, overrides: Sequence[str], claim: Claim, *, parent_run_id: str | None = None
) -> Iterator[Tracker]:
    """An MLflow run in the config's store, with where it comes from, for the run that has the output folder."""
    store = open_tidied(config.tracking.uri, config.tracking.experiment)
    output_dir = Path(config.output_dir).absolute()
    with Tracker(*store[:2], name, output_dir, parent_run_id=parent_run_id, delivered=store.delivered) as tracker:
        claim.is_of(tracker.run_id)
        log_provenance(tracker, config, overrides)
        yield tracker


def run_tracked(
    config: DAFConfig, overrides: Sequence[str], claim: Claim, *, parent_run_id: str | None = None
) -> tuple[TaskResult, str]:
    """Does the work of a checked config's task in an MLflow run of its own.

    Returns:
        The result, and the id of the run.

    Raises:
        DAFError: the work failed; the MLflow run says FAILED.
        DAFInterruptedError: Ctrl-C; the MLflow run says KILLED.
    """
    task = find_task(config.task)
    with tracked(config, run_name(config, overrides), overrides, claim, parent_run_id=parent_run_id) as tracker:
        result = run_task(task, config, tracker)
        for table in result.tables:
            tracker.log_text(table.to_csv(), f"tables/{_file_name(table.title)}.csv")
        tracker.log_text("\n".join(table.to_markdown() for table in result.tables), "summary.md")
        describe(tracker, result, overrides)
        if isinstance(result.objective, float):
            tracker.log_metrics({"objective": result.objective})
    return result, tracker.run_id


def run_name(config: DAFConfig, overrides: Sequence[str]) -> str:
    """A name that tells runs apart: in a multirun what varied, otherwise task, policy and mission."""
    if overrides and os.environ.get(PARENT_RUN):
        pairs = (override_without_secrets(override).partition("=") for override in overrides)
        return " ".join(f"{key.rpartition('.')[2]}={value}" for key, _, value in pairs)
    names = " vs ".join(policy.spec().name for policy in find_task(config.task).named_after(config))
    return f"{config.task.name} {names} {config.mission.name}"


def _file_name(title: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in title.lower()).strip("_")
