"""What the page and the terminal show: runs, sweeps, pipelines and workers, as plain data with a version each."""

import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from daf.config.schemas import DAFConfig
from daf.dashboard.store import RunStore, SeenRun
from daf.dashboard.studies import Studies
from daf.records import digest
from daf.redaction import redactor
from daf.sweeps.mlflow_runs import STOPPED
from daf.tracking.store import tracking_uri

#: Seconds between two looks at the store, however many look at the page; more where a look takes long.
REFRESH_S, SHARE = 1.5, 5
#: Seconds without a word after which a run of another machine is called silent: whether it lives cannot be told.
SILENT_S = 600.0
#: Curves of ended runs that one look reads: the rest comes with the next.
CURVES_AT_ONCE = 15
#: Points of a small curve and of a large one.
SMALL, LARGE = 60, 400
#: What stands for how good a run is, where it has it.
MAIN = ("objective", "reward")
#: How a pipeline's run says what became of a stage: prefix of the tags.
STAGE = "daf.stage."
STATES = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "killed", "SCHEDULED": "running", "RUNNING": "running"}

Item = dict[str, Any]


class Board:
    """What runs against a store, read when somebody looks. Its methods may be called from any thread.

    Attributes:
        studies: of the sweeps.
        store: of the runs.
    """

    def __init__(self, config: DAFConfig) -> None:
        self.store = RunStore(config)
        self.studies = Studies(config)
        self._address = redactor().text(tracking_uri(config.tracking.uri))
        self._lock = threading.RLock()
        self._boot = uuid.uuid4().hex[:8]
        self._version = 0
        self._items: dict[str, tuple[int, str, Item]] = {}
        self._frame: dict[str, Any] = {}
        self._next_look = float("-inf")

    def changes(self, since: str = "") -> tuple[str, dict[str, Any] | None]:
        """What has changed since a version, and the version now; None where nothing has."""
        with self._lock:
            self._look()
            version = f"{self._boot}.{self._version}"
            if since == version:
                return version, None
            boot, _, number = since.partition(".")
            after = int(number) if boot == self._boot and number.isdigit() else 0
            items = {key: item for key, (changed, _, item) in self._items.items() if changed > after}
            return version, {"version": version, "whole": after == 0, **self._frame, "items": items}

    def _look(self) -> None:
        if time.monotonic() < self._next_look:
            return
        began = time.monotonic()
        self.store.refresh()
        self._update(self._build())
        took = time.monotonic() - began
        self._next_look = time.monotonic() + max(REFRESH_S, SHARE * took)

    def _update(self, items: Mapping[str, Item]) -> None:
        """Takes what was built; only what is new gets a new version."""
        frame = self._frame_of(items)
        prints = {key: digest(item) for key, item in items.items()}
        new = [key for key in items if key not in self._items or self._items[key][1] != prints[key]]
        if not new and frame == self._frame:
            return
        self._version += 1
        self._frame = frame
        self._items = {
            key: (self._version, prints[key], item) if key in new else self._items[key] for key, item in items.items()
        }

    def _frame_of(self, items: Mapping[str, Item]) -> dict[str, Any]:
        going = [key for key, item in items.items() if item["going"]]
        ended = [key for key, item in items.items() if not item["going"]]
        return {
            "store": self._address,
            "problem": self.store.problem,
            "going": sorted(going, key=lambda key: items[key]["started_ms"]),
            "ended": sorted(ended, key=lambda key: -(items[key]["ended_ms"] or 0)),
            "workers": workers(items.values()),
        }

    def _build(self) -> dict[str, Item]:
        """Everything that is shown: what is filed under another run is shown with that, once it has ended."""
        budget = CURVES_AT_ONCE
        items: dict[str, Item] = {}
        runs = self.store.runs
        newest_first = sorted(runs.values(), key=lambda run: (not run.is_running, -(run.ended_ms or run.started_ms)))
        for run in newest_first:
            if run.parent in runs and (not run.is_running or state_of(run) == "lost"):
                continue
            metric = main_metric(run)
            affordable = self.store.knows_curve(run, metric) or run.is_running or budget > 0
            budget -= not self.store.knows_curve(run, metric)
            items[run.id] = self._item(run, thin(self.curve(run, metric), SMALL) if affordable else [])
        return items

    def _item(self, run: SeenRun, curve: Sequence[tuple[int, float]]) -> Item:
        state = state_of(run)
        item: Item = {
            "id": run.id,
            "name": run.name,
            "kind": run.kind,
            "state": state,
            "going": run.is_running and state != "lost",
            "task": run.tags.get("daf.task", ""),
            "mission": run.params.get("mission.name", ""),
            "experiment": self.store.experiments.get(run.experiment, ""),
            "started_ms": run.started_ms,
            "ended_ms": run.ended_ms or (run.last_word_ms if state == "lost" else None),
            "heard_ms": run.last_word_ms,
            "parent": run.parent if run.parent in self.store.runs else None,
            "word": _word(run),
            "value": _value(run),
            "progress": self._progress(run),
            "curve": curve,
            "process": _process(run),
        }
        if run.kind == "sweep":
            item["sweep"] = self._sweep(run)
        if run.kind in ("pipeline", "multirun"):
            item["stages"] = stages_of(run, self._children(run))
        return item

    def _children(self, run: SeenRun) -> list[SeenRun]:
        children = [each for each in self.store.runs.values() if each.parent == run.id]
        return sorted(children, key=lambda each: each.started_ms)

    def _sweep(self, run: SeenRun) -> dict[str, Any]:
        jobs = run.params.get("sweep.n_jobs", "1")
        n_jobs = int(jobs) if jobs.isdigit() else 1
        return self.studies.summary(*study_of(run), n_jobs)

    def _progress(self, run: SeenRun) -> dict[str, Any] | None:
        """How far a training is, by what it logs: steps of the newest epoch, of as many as were asked for."""
        rate = run.metrics.get("SPS")
        parent = self.store.runs.get(run.parent or "")
        total = run.params.get("training.num_steps") or (parent.params.get("training.num_steps") if parent else None)
        if rate is None or not total or not total.isdigit():
            return None
        return {"done": rate.step, "total": int(total), "rate": round(rate.value, 1), "at_ms": rate.time_ms}

    def curve(self, run: SeenRun, metric: str) -> list[tuple[int, float]]:
        """A metric's curve; empty where the store does not give it."""
        try:
            return self.store.curve(run, metric) if metric else []
        except Exception:  # of a picture the size of a stamp nobody is told that the store is away: the page says so
            return []

    def find(self, run_id: str) -> SeenRun | None:
        """A run of the store, whether or not it is shown."""
        with self._lock:
            self._look()
            return self.store.run(run_id)

    def run_detail(self, run: SeenRun) -> dict[str, Any]:
        """Everything that is worth knowing of a run."""
        with self._lock:
            metric = main_metric(run)
            tags = {key: value for key, value in run.tags.items() if not key.startswith("mlflow.")}
            return {
                **self._item(run, thin(self.curve(run, metric), LARGE)),
                "metric": metric,
                "params": redactor().tree(dict(sorted(run.params.items()))),
                "metrics": {key: [last.value, last.step] for key, last in sorted(run.metrics.items())},
                "tags": redactor().tree(dict(sorted(tags.items()))),
            }

    def comparison(self, one: SeenRun, other: SeenRun, metric: str = "") -> dict[str, Any]:
        """Two runs side by side: their config where it differs, their metrics, and a curve of each."""
        shared = [key for key, last in one.metrics.items() if key in other.metrics and last.step]
        chosen = metric or next((key for key in ("reward", *shared) if key in shared), main_metric(one))
        config = redactor().tree({"one": dict(one.params), "other": dict(other.params)})
        with self._lock:
            curves = [thin(self.curve(run, chosen), LARGE) for run in (one, other)]
        return {
            "runs": [{"id": run.id, "name": run.name, "state": state_of(run)} for run in (one, other)],
            "metric": chosen,
            "choices": sorted(shared),
            "curves": curves,
            "config": _differences(config["one"], config["other"]),
            "metrics": [[key, _of(one, key), _of(other, key)] for key in sorted({*one.metrics, *other.metrics})],
        }


def study_of(run: SeenRun) -> tuple[str, str | None]:
    """The name of a sweep's study, and what the run says of where that is kept."""
    return run.tags.get("daf.sweep") or run.name.removeprefix("sweep "), run.params.get("sweep.storage")


def state_of(run: SeenRun) -> str:
    """``running``, ``silent``, ``lost``, ``finished``, ``failed``, ``killed`` or ``stopped``.

    A run whose process is gone is lost, whatever the store still says; of one on another machine nothing is known but
    when it was heard last. Nothing is written.
    """
    state = STATES.get(run.status, run.status.lower())
    if state == "killed" and STOPPED in run.tags:
        return "stopped"
    if not run.is_running:
        return state
    process = run.process
    if process is not None and process.is_here():
        return "lost" if process.is_gone() else "running"
    quiet = time.time() - run.last_word_ms / 1000 > SILENT_S
    return "silent" if quiet and run.kind != "sweep" else "running"


def main_metric(run: SeenRun) -> str:
    """The metric whose curve says most: the training's reward, else one that was logged at several steps."""
    moving = [key for key, last in run.metrics.items() if last.step]
    return next((key for key in ("reward", "objective", *sorted(moving)) if key in moving), "")


def thin(points: Sequence[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """At most so many points, each with five digits: the means of neighbours, so that no peak is invented."""
    size = -(-len(points) // most) if points else 1
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(group[-1][0], float(f"{sum(value for _, value in group) / len(group):.5g}")) for group in groups]


def workers(items: Iterable[Item]) -> list[dict[str, Any]]:
    """The processes that are at work, and what each of them does."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for item in items:
        process = item["process"]
        if not process or not (item["going"] or item["state"] == "lost"):
            continue
        key = (process["host"], process["pid"])
        worker = found.setdefault(key, {**process, "state": item["state"], "runs": [], "heard_ms": 0})
        worker["runs"].append([item["id"], item["name"], item["kind"]])
        worker["heard_ms"] = max(worker["heard_ms"], item["heard_ms"])
    return sorted(found.values(), key=lambda worker: (worker["host"], worker["pid"]))


def _process(run: SeenRun) -> dict[str, Any] | None:
    process = run.process
    if process is None:
        return None
    # The machine's name has parts that tell containers apart, which nobody reads.
    return {"host": process.machine.partition(" ")[0], "pid": process.pid}


def stages_of(run: SeenRun, children: Iterable[SeenRun]) -> list[dict[str, Any]]:
    """The stages of a pipeline or jobs of a multirun, in the order of their beginnings; of several attempts the newest.

    What the pipeline says of a stage goes before what the stage's run says. One that was skipped has no run.
    """
    stages = {each.tags.get("daf.stage", each.id): _stage(each) for each in children}
    for key, status in run.tags.items():
        if key.startswith(STAGE):
            name = key.removeprefix(STAGE)
            stages.setdefault(name, dict.fromkeys(("id", "started_ms", "ended_ms", "value")) | {"name": name})
            stages[name]["state"] = status
    return list(stages.values())


def _stage(run: SeenRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.tags.get("daf.stage") or run.name,
        "state": state_of(run),
        "started_ms": run.started_ms,
        "ended_ms": run.ended_ms,
        "value": _value(run),
    }


def _word(run: SeenRun) -> str:
    """What a run has to say: its error, else its warning."""
    return redactor().text(run.tags.get("daf.error") or run.tags.get("daf.warning") or "")[:300]


def _value(run: SeenRun) -> list[Any] | None:
    """Name and value of how good a run is."""
    name = next((key for key in MAIN if key in run.metrics), None)
    return [name, float(f"{run.metrics[name].value:.5g}")] if name else None


def _of(run: SeenRun, metric: str) -> float | None:
    return run.metrics[metric].value if metric in run.metrics else None


def _differences(one: Mapping[str, str], other: Mapping[str, str]) -> list[list[str | None]]:
    keys = sorted(key for key in {*one, *other} if one.get(key) != other.get(key))
    return [[key, one.get(key), other.get(key)] for key in keys]
