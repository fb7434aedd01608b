"""The runs of an MLflow store, read so that a look costs little: the newest, then only what can have changed."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from daf.config.schemas import DAFConfig
from daf.errors import DAFError
from daf.execution.alive import ProcessName
from daf.redaction import redactor
from daf.tracking.abandoned import process_of
from daf.tracking.deliver import reason
from daf.tracking.names import KIND
from daf.tracking.store import client_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PARENT = "mlflow.parentRunId"
#: Running ones and ended ones that are read; of more, the newest.
MOST_RUNNING, MOST_ENDED = 200, 120
#: A run counts as ended at its own clock's time: what ended so many milliseconds before the last look is read again.
OVERLAP_MS = 60_000
#: Seconds in which the list of experiments is not asked for again.
EXPERIMENTS_EVERY_S = 10.0


@dataclass(frozen=True)
class LastValue:
    """The newest value of a metric."""

    value: float
    step: int
    time_ms: int


@dataclass(frozen=True, kw_only=True)
class SeenRun:
    """A run as the store holds it.

    Attributes:
        started_ms, ended_ms: in milliseconds since the epoch; a run that goes on has no end.
    """

    id: str
    name: str
    status: str
    started_ms: int
    ended_ms: int | None
    experiment: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, LastValue]

    @classmethod
    def of(cls, run: "Run") -> "SeenRun":
        """What MLflow's client gives."""
        info, running = run.info, run.info.status in ("RUNNING", "SCHEDULED")
        # Of the public ways to the newest values, this one alone has their steps.
        values = {each.key: LastValue(each.value, each.step, each.timestamp) for each in run.data.to_proto().metrics}
        return cls(
            id=info.run_id,
            name=info.run_name or info.run_id[:8],
            status=info.status,
            started_ms=info.start_time or 0,
            ended_ms=None if running else info.end_time,
            experiment=info.experiment_id,
            tags=run.data.tags,
            params=run.data.params,
            metrics=values,
        )

    @property
    def is_running(self) -> bool:
        """Whether the store says that it goes on."""
        return self.ended_ms is None and self.status in ("RUNNING", "SCHEDULED")

    @property
    def parent(self) -> str | None:
        """The run that it is filed under."""
        return self.tags.get(PARENT)

    @property
    def kind(self) -> str:
        """What it is; for a run from before there was a tag for it, what the other tags say."""
        if KIND in self.tags:
            return self.tags[KIND]
        if "daf.sweep" in self.tags:
            return "sweep"
        return "trial" if "daf.trial.number" in self.tags else "run"

    @property
    def process(self) -> ProcessName | None:
        """The process that it is of, where DAF began it."""
        return process_of(self.tags)

    @property
    def last_word_ms(self) -> int:
        """When something was heard of it last."""
        return max([self.started_ms, *(last.time_ms for last in self.metrics.values())])


class RunStore:
    """The runs worth showing: those that go on, the newest that have ended, and the stages of pipelines.

    Attributes:
        runs: by id, as last read.
        experiments: id to name.
        problem: why the last look failed, in a sentence; empty where it did not. What was read before stays.
    """

    def __init__(self, config: DAFConfig) -> None:
        self.runs: dict[str, SeenRun] = {}
        self.experiments: dict[str, str] = {}
        self.problem = ""
        self._uri = config.tracking.uri
        self._client: MlflowClient | None = None
        self._last_end = 0
        self._asked_experiments = float("-inf")
        self._curves: dict[tuple[str, str], tuple[int, list[tuple[int, float]]]] = {}

    def refresh(self) -> None:
        """Reads what can have changed since the last time. It never raises."""
        try:
            self._refresh()
            self.problem = ""
        except DAFError as error:
            self.problem = str(error)
        except Exception as error:  # MLflow, its databases and servers raise what they like
            self.problem = f"the store cannot be read: {redactor().text(reason(error))}"

    def _refresh(self) -> None:
        self._client = self._client or client_of(self._uri)
        if self._client is None:
            self.problem = ""
            return
        if time.monotonic() - self._asked_experiments > EXPERIMENTS_EVERY_S:
            self.experiments = {each.experiment_id: each.name for each in self._client.search_experiments()}
            self._asked_experiments = time.monotonic()
        if not self.experiments:
            return
        before = {run.id for run in self.runs.values() if run.is_running}
        running = {run.id: run for run in self._search("attributes.status = 'RUNNING'", MOST_RUNNING)}
        self.runs |= running | {run.id: run for run in self._ended()}
        self.runs |= {run.id: run for run in self._again(before - set(running))}
        self.runs |= {run.id: run for run in self._stages()}
        self._forget()

    def _ended(self) -> Iterator[SeenRun]:
        """The newest runs that ended by themselves or in a pipeline; of trials the study tells."""
        since = max(0, self._last_end - OVERLAP_MS)
        top = f"attributes.end_time > {since} and tags.`{PARENT}` IS NULL"
        for run in self._search(top, MOST_ENDED, "attributes.end_time DESC"):
            self._last_end = max(self._last_end, run.ended_ms or 0)
            if not run.is_running:
                yield run

    def _stages(self) -> Iterator[SeenRun]:
        """What is filed under the pipelines and multiruns: of those that have ended, once."""
        for run in list(self.runs.values()):
            known = any(each.parent == run.id for each in self.runs.values())
            if run.kind in ("pipeline", "multirun") and (run.is_running or not known):
                yield from self._search(f"tags.`{PARENT}` = '{run.id}'", MOST_ENDED, "attributes.start_time ASC")

    def _again(self, gone: Iterable[str]) -> Iterator[SeenRun]:
        """Runs that went on at the last look and are not among those that do now: ended, or deleted."""
        for run_id in gone:
            if self.runs[run_id].is_running:
                found = self.run(run_id)
                if found is None:
                    del self.runs[run_id]
                else:
                    yield found

    def _forget(self) -> None:
        """Keeps the newest of what has ended, and what is filed under it."""
        top = [run for run in self.runs.values() if not run.is_running and run.parent not in self.runs]
        for run in sorted(top, key=lambda run: run.ended_ms or 0)[: max(0, len(top) - MOST_ENDED)]:
            children = [each.id for each in self.runs.values() if each.parent == run.id and not each.is_running]
            for run_id in (run.id, *children):
                self.runs.pop(run_id, None)

    def _search(self, query: str, most: int, order: str = "attributes.start_time DESC") -> list[SeenRun]:
        assert self._client is not None, "nothing is searched before there is a store"
        found = self._client.search_runs(list(self.experiments), query, max_results=most, order_by=[order])
        return [SeenRun.of(run) for run in found]

    def run(self, run_id: str) -> SeenRun | None:
        """A run, read anew where it may have changed; None where there is none any more."""
        known = self.runs.get(run_id)
        if known is not None and not known.is_running:
            return known
        from mlflow.exceptions import MlflowException

        try:
            found = None if self._client is None else self._client.get_run(run_id)
        except MlflowException:
            return None
        return None if found is None or found.info.lifecycle_stage != "active" else SeenRun.of(found)

    def curve(self, run: SeenRun, metric: str) -> list[tuple[int, float]]:
        """(step, value) of a metric, in the order of their steps; asked for again only where it has a newer value."""
        last, key = run.metrics.get(metric), (run.id, metric)
        if last is None or self._client is None:
            return []
        known = self._curves.get(key)
        if known is None or known[0] != last.time_ms:
            history: list[Any] = self._client.get_metric_history(run.id, metric)
            points = sorted({each.step: each.value for each in history}.items())
            known = self._curves[key] = (last.time_ms, points)
        return known[1]

    def knows_curve(self, run: SeenRun, metric: str) -> bool:
        """Whether a curve would cost nothing."""
        known, last = self._curves.get((run.id, metric)), run.metrics.get(metric)
        return last is None or (known is not None and known[0] == last.time_ms)
