"""The studies of sweeps, opened to be read: where each stands, what its trials came to, and which keys mattered."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daf.config.schemas import DAFConfig
from daf.errors import DAFError, first_line
from daf.redaction import redactor
from daf.sweeps.status import name_of, read_status
from daf.sweeps.steering import find_study, is_at_work, space_of
from daf.sweeps.study import StudyTrial, StudyView

#: Seconds until a study that could not be opened is tried again.
AGAIN_S = 10.0
#: Trials that a page shows, the newest of more; points of a sweep's history.
MOST_TRIALS, MOST_POINTS = 500, 200
#: Complete trials from which on importances mean something.
FEWEST = 4


@dataclass
class _Opened:
    view: StudyView | None
    problem: str
    tried: float


class Studies:
    """The studies of the sweeps in a store; each stays open, so that a look at it reads what is new.

    Args:
        config: says where studies are kept that do not say so themselves.
    """

    def __init__(self, config: DAFConfig) -> None:
        self._config = config
        self._opened: dict[str, _Opened] = {}
        self._importances: dict[str, tuple[int, dict[str, float]]] = {}

    def config_of(self, storage: str | None) -> DAFConfig:
        """The config that leads to a study.

        Args:
            storage: what the sweep's run says of it; a secret in it is blanked there, and then the config's is taken.
        """
        mine = self._config.sweep.storage
        usable = storage not in (None, "", "None", "null") and redactor().text(str(storage)) == storage
        sweep = self._config.sweep.model_copy(update={"storage": mine or (storage if usable else None)})
        return self._config.model_copy(update={"sweep": sweep})

    def view(self, name: str, storage: str | None) -> StudyView:
        """A study, to be read.

        Raises:
            DAFError: it is not there, or cannot be read.
        """
        opened = self._opened.get(name)
        if opened is None or (opened.view is None and time.monotonic() - opened.tried > AGAIN_S):
            opened = self._opened[name] = self._open(name, storage)
        if opened.view is None:
            raise DAFError(opened.problem)
        return opened.view

    def _open(self, name: str, storage: str | None) -> _Opened:
        try:
            return _Opened(find_study(self.config_of(storage), name, read_only=True), "", time.monotonic())
        except Exception as error:  # a storage raises what it likes
            lines = str(error).splitlines() or [type(error).__name__]
            return _Opened(None, redactor().text(lines[-1].strip(" -")), time.monotonic())

    def summary(self, name: str, storage: str | None, n_jobs: int) -> dict[str, Any]:
        """Where a sweep stands, as plain data; with ``problem`` alone where its study cannot be read."""
        try:
            view = self.view(name, storage)
            return _summary(view, n_jobs)
        except Exception as error:  # what a storage gives may be torn or gone from one look to the next
            return {"study": name, "problem": first_line(error)}

    def detail(self, name: str, storage: str | None) -> dict[str, Any]:
        """The trials of a sweep, its space and the importances of its keys, as plain data.

        Raises:
            DAFError: the study cannot be read.
        """
        view = self.view(name, storage)
        trials = view.trials()
        best = {trial.number for trial in view.best_trials(1)}
        return {
            "study": name,
            "best": sorted(best),
            "trials": [_trial(view, trial) for trial in trials[-MOST_TRIALS:]],
            "left_out": max(0, len(trials) - MOST_TRIALS),
            "space": _space(view),
            "importances": self._importances_of(view),
            "at_work": is_at_work(view),
        }

    def _importances_of(self, view: StudyView) -> dict[str, float]:
        """By PED-ANOVA (Watanabe et al. 2023), which takes milliseconds; empty where there is too little to say."""
        complete = sum(trial.state == "COMPLETE" for trial in view.ran())
        known = self._importances.get(view.name)
        if known is None or known[0] != complete:
            known = self._importances[view.name] = (complete, _importances(view) if complete >= FEWEST else {})
        return known[1]


def _importances(view: StudyView) -> dict[str, float]:
    if len(view.directions) > 1:
        return {}
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    try:
        return dict(get_param_importances(view.study, evaluator=PedAnovaImportanceEvaluator()))
    except (RuntimeError, ValueError):  # equal values, or no key that all trials have
        return {}


def _summary(view: StudyView, n_jobs: int) -> dict[str, Any]:
    status, trials = read_status(view, n_jobs), view.trials()
    counts = {
        each: getattr(status, each) for each in ("running", "interrupted", "complete", "pruned", "stopped", "failed")
    }
    return {
        "study": view.name,
        "n_trials": status.n_trials,
        **counts,
        "waiting": sum(trial.state == "WAITING" for trial in trials),
        "finished": status.finished,
        "best": _best(status.best, status.best_values, status.best_name),
        "directions": list(view.directions),
        "front": list(status.front),
        "seconds_left": status.seconds_left,
        "verdict": status.verdict,
        "at_work": is_at_work(view),
        "heard_ms": int(max(view.facts.heartbeats.values(), default=0) * 1000),
        "history": _history(view),
        "running_trials": [_trial(view, trial) for trial in trials if trial.state in ("RUNNING", "WAITING")][:20],
    }


def _best(number: int | None, values: tuple[float, ...], name: str) -> dict[str, Any] | None:
    return None if number is None else {"number": number, "values": list(values), "name": name}


def _history(view: StudyView) -> list[tuple[int, float]]:
    """The best first objective so far, trial by trial; thinned to a line's worth of points."""
    better = max if view.directions[0] == "maximize" else min
    points: list[tuple[int, float]] = []
    for trial in view.ran():
        if trial.values:
            points.append((trial.number, better([trial.values[0], *(value for _, value in points[-1:])])))
    step = max(1, -(-len(points) // MOST_POINTS))
    return points[::step] + ([points[-1]] if points and (len(points) - 1) % step else [])


def _trial(view: StudyView, trial: StudyTrial) -> dict[str, Any]:
    facts = trial.facts
    reported = trial.intermediate_values
    return {
        "number": trial.number,
        "name": name_of(trial) if facts.assignments else _asked(trial),
        "state": _state(view, trial),
        "values": list(trial.values),
        "run_id": facts.run_id,
        "seconds": facts.seconds,
        "started_ms": int(trial.started.timestamp() * 1000) if trial.started else None,
        "last": [max(reported), reported[max(reported)]] if reported else None,
        "stop_asked": facts.stop_asked,
        "baseline": facts.baseline,
        "enqueued": facts.enqueued,
        "failure": facts.failure,
    }


def _asked(trial: StudyTrial) -> str:
    asked: Mapping[str, Any] = trial.asked
    return " ".join(f"{key}={value}" for key, value in asked.items()) or f"trial {trial.number}"


def _state(view: StudyView, trial: StudyTrial) -> str:
    if trial.facts.stopped:
        return "stopped"
    if trial.facts.same_as is not None:
        return f"as trial {trial.facts.same_as}"
    if trial.state == "RUNNING" and view.is_dead(trial.facts.owner):
        return "lost"
    return {"FAIL": "failed", "COMPLETE": "complete"}.get(trial.state, trial.state.lower())


def _space(view: StudyView) -> dict[str, str]:
    try:
        return {parameter.path: parameter.range_text() for parameter in space_of(view).parameters}
    except DAFError:
        return {}
