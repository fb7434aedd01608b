"""A config as one tracked run: its output folder, its MLflow run, its task's work, its tables."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from daf.config.override_secrets import override_without_secrets
from daf.config.references import CHECKPOINTS
from daf.config.schemas import DAFConfig
from daf.execution.progress import working
from daf.files import is_there
from daf.records import digest
from daf.results import TaskResult
from daf.tasks.description import describe
from daf.tasks.find import find_task, run_task
from daf.tasks.outcome import noted_as_it_ends
from daf.tracking import Tracker, log_provenance, open_tidied
from daf.tracking.names import KIND
from daf.tracking.output_folder import Claim, Request, claimed, single_request
from daf.tracking.untracked import Untracked

#: Tells the jobs of a multirun, in whatever process they run, which run is their parent.
PARENT_RUN = "DAF_PARENT_RUN_ID"
#: What programs find in most output folders, by the names of `TaskResult.files`.
OF_EVERY_RUN = {"config": "config.yaml", "summary": "summary.md", "tables": "tables", "plots": "plots"}
NO_TAGS: Mapping[str, str] = MappingProxyType({})


def claimed_folder(config: DAFConfig) -> AbstractContextManager[Claim]:
    """Keeps the output folder for one run of the config."""
    folder, task = Path(config.output_dir), find_task(config.task)
    if task.goes_on:
        name = [task.name, config.pipeline.name]
        return claimed(folder, Request(what=" ".join(name), digest=digest(name)))
    # A second training would write over the checkpoints of the first; all else is written anew as a whole.
    keeps = task.trains(config) and is_there(folder / CHECKPOINTS)
    return claimed(folder, single_request(config, repeatable=not keeps))


@contextmanager
def tracked(
    config: DAFConfig,
    name: str,
    overrides: Sequence[str],
    claim: Claim,
    *,
    parent_run_id: str | None = None,
    kind: str = "run",
) -> Iterator[Tracker]:
    """An MLflow run in the config's store, with where it comes from, for the run that has the output folder.

    A task that is not tracked gets a tracker that writes files only; then no store is opened.

    Args:
        kind: what the run is; see `daf.tracking.names.KIND`.
    """
    if not find_task(config.task).tracked:
        yield Untracked(Path(config.output_dir).absolute(), overrides)
        return
    with working("opening the tracking store"):
        store = open_tidied(config.tracking.uri, config.tracking.experiment)
    output_dir = Path(config.output_dir).absolute()
    with Tracker(*store[:2], name, output_dir, parent_run_id=parent_run_id, delivered=store.delivered) as tracker:
        tracker.overrides = tuple(overrides)
        claim.is_of(tracker.run_id)
        tracker.set_tags({KIND: kind})
        with working("noting the config, the code and the machine"):
            log_provenance(tracker, config, overrides)
        yield tracker


def run_tracked(
    config: DAFConfig,
    overrides: Sequence[str],
    claim: Claim,
    *,
    parent_run_id: str | None = None,
    kind: str | None = None,
    tags: Mapping[str, str] = NO_TAGS,
) -> tuple[TaskResult, str]:
    """Does the work of a checked config's task in an MLflow run of its own, unless the task has none.

    Args:
        kind: as for `tracked`; by default a run with a parent is a job of a multirun.
        tags: more tags of the run.

    Returns:
        The result, and the id of the run, empty where there is none.

    Raises:
        DAFError: the work failed; the MLflow run says FAILED.
        DAFInterruptedError: Ctrl-C; the MLflow run says KILLED.
    """
    task, name = find_task(config.task), run_name(config, overrides)
    kind = kind or ("job" if parent_run_id else "run")
    with (
        noted_as_it_ends(task.name, Path(config.output_dir)) as ending,
        tracked(config, name, overrides, claim, parent_run_id=parent_run_id, kind=kind) as tracker,
    ):
        ending.tracker = tracker
        if tags:
            tracker.set_tags(tags)
        with working(task.name):
            result = run_task(task, config, tracker)
        _log(result, tracker)
        describe(tracker, result, overrides)
        result = _whole(result, tracker)
        ending.finish(result)
    return result, tracker.run_id


def _log(result: TaskResult, tracker: Tracker) -> None:
    """Logs what every result has."""
    for table in result.tables:
        tracker.log_text(table.to_csv(), f"tables/{table.file_name}.csv")
    tracker.log_text("\n".join(table.to_markdown() for table in result.tables), "summary.md")
    if isinstance(result.objective, float):
        tracker.log_metrics({"objective": result.objective})


def _whole(result: TaskResult, tracker: Tracker) -> TaskResult:
    """The result with what every run has: its metrics as they stand in MLflow, config and tables."""
    own = {name: tracker.output_dir / place for name, place in OF_EVERY_RUN.items()}
    files = {name: path for name, path in own.items() if path.exists()} | dict(result.files)
    return replace(
        result,
        metrics={**tracker.figures, **result.metrics},
        files={name: path.absolute() for name, path in files.items()},
    )


def run_name(config: DAFConfig, overrides: Sequence[str]) -> str:
    """A name that tells runs apart: in a multirun what varied, otherwise task, policy and mission."""
    if overrides and os.environ.get(PARENT_RUN):
        pairs = (override_without_secrets(override).partition("=") for override in overrides)
        return " ".join(f"{key.rpartition('.')[2]}={value}" for key, _, value in pairs)
    names = " vs ".join(policy.spec().name for policy in find_task(config.task).named_after(config))
    return f"{config.task.name} {names} {config.mission.name}"
