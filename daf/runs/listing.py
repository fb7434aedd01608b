"""`task=runs`: the runs of an experiment as a table, or two of them side by side."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from daf.config.schemas import DAFConfig, DAFRunsConfig
from daf.errors import DAFConfigError, Problem
from daf.results import ResultTable, TaskResult
from daf.runs.differences import compare_runs
from daf.runs.find import KIND_TAG, PARENT_TAG, SHORT, TASK_TAG, find_run, open_existing, store_problems
from daf.tasks import Task
from daf.tracking.deliver import reason
from daf.tracking.tracker import Tracker
from daf.visualization.text import NO_VALUE, number_text

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

#: Runs that are fetched at once.
PAGE = 200
SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
#: Tasks that `policy` has no part in: what plays there is in the run's name.
WITHOUT_POLICY = frozenset({"compare", "tournament", "missions", "policies", "deliver", "monitor", "rollback"})


def daf_list_runs(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Lists the runs that `runs` asks for, the newest first, or compares the two in `runs.compare`.

    Raises:
        DAFConfigError: there is no store, no experiment or no such run, or the filter cannot be read.
    """
    client = open_existing(config)
    if config.runs.compare:
        first, second = (find_run(client, text, f"runs.compare.{i}") for i, text in enumerate(config.runs.compare))
        return compare_runs(client, first, second)
    experiment = client.get_experiment_by_name(config.tracking.experiment)
    if experiment is None:
        names = ", ".join(each.name for each in client.search_experiments()) or "none"
        what = f"there is no experiment {config.tracking.experiment!r} in this store."
        raise DAFConfigError([Problem("tracking.experiment", what, f"It has: {names}.")])
    runs, more = _found(client, str(experiment.experiment_id), config.runs)
    return TaskResult(
        objective=None,
        tables=(_table(runs, config),) if runs else (),
        notes=tuple(_notes(runs, more, config.runs)),
        metrics={"runs": len(runs)},
        facts={"run_ids": " ".join(run.info.run_id for run in runs)},
    )


def search_filter(asked: DAFRunsConfig, now: float) -> str:
    """The convenient keys and the filter as one filter of MLflow's.

    Args:
        now: seconds since the epoch, from which `runs.since` counts.
    """
    parts = [
        asked.filter,
        asked.task and f"tags.`{TASK_TAG}` = '{asked.task}'",
        asked.status and f"attributes.status = '{asked.status}'",
        asked.name and f"attributes.run_name {_like(asked.name)}",
        asked.since and f"attributes.start_time >= {1000 * _seconds(asked.since, now):.0f}",
        None if asked.children else f"tags.`{PARENT_TAG}` IS NULL",
    ]
    return " and ".join(part for part in parts if part)


def _like(name: str) -> str:
    return f"LIKE '{name.replace('*', '%')}'" if "*" in name else f"= '{name}'"


def _seconds(since: str, now: float) -> float:
    if since[-1] in SECONDS:
        return now - float(since[:-1]) * SECONDS[since[-1]]
    try:
        return datetime.fromisoformat(since).timestamp()
    except ValueError as error:
        raise DAFConfigError([Problem("runs.since", f"{since!r} is no day: {error}.")]) from error


def _found(client: "MlflowClient", experiment_id: str, asked: DAFRunsConfig) -> "tuple[list[Run], bool]":
    """The runs, and whether there are more; page by page, so that a large store is never read whole."""
    from mlflow.exceptions import MlflowException

    order = [f"metrics.`{asked.metric}` {'ASC' if asked.ascending else 'DESC'}"] if asked.metric else []
    order.append("attributes.start_time DESC")
    found: list[Run] = []
    token = None
    try:
        while True:
            size = min(PAGE, asked.limit - len(found))
            page = client.search_runs(
                [experiment_id], search_filter(asked, time.time()), max_results=size, order_by=order, page_token=token
            )
            # Those without the metric come last in MLflow's order.
            found += [run for run in page if asked.metric is None or asked.metric in run.data.metrics]
            token = page.token
            ended = not token or (asked.metric is not None and asked.metric not in page[-1].data.metrics)
            if ended or len(found) >= asked.limit:
                return found, not ended
    except MlflowException as error:
        hint = "For example: runs.filter=\"metrics.reward > 0.5 and tags.`daf.task` = 'train'\"."
        raise DAFConfigError([Problem("runs.filter", f"MLflow refuses it: {reason(error)}", hint)]) from error


def _table(runs: "Sequence[Run]", config: DAFConfig) -> ResultTable:
    asked = config.runs
    length = id_length([run.info.run_id for run in runs])
    metric = asked.metric or "objective"
    rows = tuple(_row(run, length, metric, below=below) for run, below in _in_families(runs))
    columns = ("run", "started", "status", "kind", "task", "name", "policy", "mission", metric, "duration")
    return ResultTable(f"Runs of {config.tracking.experiment}", columns, rows)


def _row(run: "Run", length: int, metric: str, *, below: bool) -> tuple[str, ...]:
    info, tags, params = run.info, run.data.tags, run.data.params
    task = tags.get(TASK_TAG, NO_VALUE)
    policy = NO_VALUE if task in WITHOUT_POLICY else params.get("policy.class_path", NO_VALUE)
    return (
        info.run_id[:length],
        f"{datetime.fromtimestamp(info.start_time / 1000):%Y-%m-%d %H:%M:%S}",
        info.status,
        tags.get(KIND_TAG) or ("child" if PARENT_TAG in tags else "run"),
        task,
        f"└ {info.run_name}" if below else str(info.run_name),
        policy.rpartition(".")[2],
        params.get("mission.name", NO_VALUE),
        number_text(run.data.metrics.get(metric)),
        _duration(info.start_time, info.end_time),
    )


def _in_families(runs: "Sequence[Run]") -> "Iterator[tuple[Run, bool]]":
    """The runs, each followed by those of its children that are shown as well, which are marked."""
    shown = {run.info.run_id for run in runs}
    children: dict[str, list[Run]] = {}
    for run in runs:
        children.setdefault(run.data.tags.get(PARENT_TAG, ""), []).append(run)

    def family(run: "Run") -> "Iterator[Run]":
        yield run
        for child in children.get(run.info.run_id, []):
            yield from family(child)

    for run in runs:
        if run.data.tags.get(PARENT_TAG) not in shown:
            yield from ((member, member is not run) for member in family(run))


def id_length(ids: Sequence[str]) -> int:
    """How many characters tell ids apart, and at least `SHORT`."""
    return next(length for length in range(SHORT, 33) if len({each[:length] for each in ids}) == len(set(ids)))


def _duration(start_ms: int, end_ms: int | None) -> str:
    seconds = ((end_ms or 1000 * time.time()) - start_ms) / 1000
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _notes(runs: "Sequence[Run]", more: bool, asked: DAFRunsConfig) -> Iterator[str]:
    if not runs:
        yield "No run is like that."
    if more:
        yield f"There are more: runs.limit={2 * asked.limit} shows twice as many."
    if runs and not asked.children:
        yield "Trials, stages and trainings are below the runs they belong to: runs.children=true shows them."


def _problems(config: DAFConfig) -> list[Problem]:
    if config.runs.ascending and config.runs.metric is None:
        return [Problem("runs.ascending", "says how runs.metric is sorted, and there is none.", "Give runs.metric.")]
    return store_problems(config)


RUNS = Task(
    name="runs",
    run=daf_list_runs,
    policies=lambda _: (),
    named_after=lambda _: (),
    missions=lambda _: (),
    problems=_problems,
    tracked=False,
)
