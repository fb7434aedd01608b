"""Where a study stands, read from the study alone: the same for a running sweep and a finished one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from daf.results import ResultTable
from daf.sweeps.space import trial_name
from daf.sweeps.study import is_dead

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial


@dataclass(frozen=True, kw_only=True)
class SweepStatus:
    """Where a sweep stands.

    Attributes:
        name: of the study.
        n_trials: trials in all, as last asked for.
        running: trials that a living process works on.
        interrupted: trials that a dead process left behind; the same command runs them again.
        complete, pruned, failed: finished trials; infeasible configs count as failed.
        best: number of the best trial so far, or None; for several objectives the first of the Pareto front.
        best_values: its objective.
        best_name: what it varied.
        front: numbers of the trials on the Pareto front, where there are several objectives.
        seconds_left: an estimate; None before the first trial has finished and after the last.
        verdict: what the confirmation found, once it is there.
    """

    name: str
    n_trials: int
    running: int
    interrupted: int
    complete: int
    pruned: int
    failed: int
    best: int | None
    best_values: tuple[float, ...]
    best_name: str
    front: tuple[int, ...]
    seconds_left: float | None
    verdict: str | None

    @property
    def finished(self) -> int:
        """Trials that are done, however they ended."""
        return self.complete + self.pruned + self.failed

    def __str__(self) -> str:
        parts = [f"{self.finished}/{self.n_trials} trials"]
        counts = {"running": self.running, "interrupted": self.interrupted, "pruned": self.pruned}
        parts += [f"{count} {what}" for what, count in (counts | {"failed": self.failed}).items() if count]
        if self.best is not None:
            values = ", ".join(f"{value:.4f}" for value in self.best_values)
            parts.append(f"best {values} (trial {self.best})")
        if self.seconds_left:
            parts.append(f"{time_text(self.seconds_left)} left")
        return ", ".join(parts)


def read_status(study: "optuna.Study", n_jobs: int = 1) -> SweepStatus:
    """The status of a study, in whatever process it is read."""
    trials, attrs = study.get_trials(deepcopy=False), study.user_attrs
    running = in_state(trials, "RUNNING")
    interrupted = [trial for trial in running if is_dead(trial.user_attrs.get("owner"), attrs)]
    front = tuple(trial.number for trial in study.best_trials) if in_state(trials, "COMPLETE") else ()
    best = best_trials(study, 1)
    n_trials = int(attrs.get("n_trials", len(trials)))
    done = [trial for trial in trials if trial.state.is_finished() and trial.duration]
    left = n_trials - sum(trial.state.is_finished() for trial in trials)
    mean = fmean(trial.duration.total_seconds() for trial in done if trial.duration) if done else None
    return SweepStatus(
        name=study.study_name,
        n_trials=n_trials,
        running=len(running) - len(interrupted),
        interrupted=len(interrupted),
        complete=len(in_state(trials, "COMPLETE")),
        pruned=len(in_state(trials, "PRUNED")),
        failed=len(in_state(trials, "FAIL")),
        best=best[0].number if best else None,
        best_values=tuple(best[0].values) if best else (),
        best_name=name_of(best[0]) if best else "",
        front=front if len(study.directions) > 1 else (),
        seconds_left=mean * left / n_jobs if mean and left > 0 else None,
        verdict=attrs.get("verdict"),
    )


def in_state(trials: "Sequence[FrozenTrial]", state: str) -> "list[FrozenTrial]":
    """The trials in one of Optuna's states, by its name."""
    return [trial for trial in trials if trial.state.name == state]


def best_trials(study: "optuna.Study", count: int) -> "list[FrozenTrial]":
    """The best complete trials, best first; for several objectives those of the Pareto front."""
    if len(study.directions) > 1:
        return list(study.best_trials)[:count]
    complete = in_state(study.get_trials(deepcopy=False), "COMPLETE")
    sign = -1.0 if study.direction.name == "MAXIMIZE" else 1.0
    return sorted(complete, key=lambda trial: (sign * trial.values[0], trial.number))[:count]


def name_of(trial: "FrozenTrial") -> str:
    """What a trial varied."""
    return trial_name(trial.user_attrs.get("assignments", {})) or f"trial {trial.number}"


def trials_table(study: "optuna.Study", metrics: Sequence[str], most: int = 10) -> ResultTable:
    """The best trials, or the Pareto front."""
    several = len(metrics) > 1
    rows = tuple(
        (str(trial.number), name_of(trial), *(f"{value:.4f}" for value in trial.values), _seconds(trial.user_attrs))
        for trial in best_trials(study, 1_000 if several else most)
    )
    title = "Pareto front" if several else f"Best trials (up to {most})"
    return ResultTable(title, ("trial", "what varied", *metrics, "seconds"), rows)


def _seconds(attrs: Mapping[str, Any]) -> str:
    return f"{attrs['seconds']:.1f}" if "seconds" in attrs else "-"


def time_text(seconds: float) -> str:
    """A duration for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
