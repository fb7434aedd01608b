"""Where a study stands, read from the study alone: the same for a running sweep and a finished one."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from daf.results import ResultTable
from daf.sweeps.owners import is_dead
from daf.sweeps.space import trial_name
from daf.sweeps.study import StudyTrial, StudyView
from daf.visualization.text import NO_VALUE, number_text


@dataclass(frozen=True, kw_only=True)
class SweepStatus:
    """Where a sweep stands.

    Attributes:
        name: of the study.
        n_trials: trials in all, as last asked for.
        running: trials that a living process works on.
        interrupted: trials that a dead process left behind; the same command runs them again.
        complete, pruned, failed: finished trials; infeasible configs count as failed.
        stopped: finished trials that the user stopped.
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
    stopped: int = 0
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
        return self.complete + self.pruned + self.stopped + self.failed

    def __str__(self) -> str:
        # Earlier runs of the study may have asked for more.
        parts = [f"{self.finished}/{self.n_trials} trials"]
        if self.finished > self.n_trials:
            parts = [f"{self.finished} trials, {self.n_trials} asked for"]
        counts = {"running": self.running, "interrupted": self.interrupted, "pruned": self.pruned}
        counts["stopped by the user"] = self.stopped
        parts += [f"{count} {what}" for what, count in (counts | {"failed": self.failed}).items() if count]
        if self.best is not None:
            parts.append(f"best {values_text(self.best_values)} (trial {self.best})")
        if self.seconds_left:
            parts.append(f"{time_text(self.seconds_left)} left")
        return ", ".join(parts)


def read_status(study: StudyView, n_jobs: int = 1) -> SweepStatus:
    """The status of a study, in whatever process it is read."""
    facts = study.facts
    trials = study.ran()
    running = in_state(trials, "RUNNING")
    interrupted = [trial for trial in running if is_dead(trial.facts.owner, facts.heartbeats)]
    complete, several = in_state(trials, "COMPLETE"), len(study.directions) > 1
    pruned = in_state(trials, "PRUNED")
    stopped = sum(trial.facts.stopped for trial in pruned)
    best = study.best_trials(1)
    n_trials = len(trials) if facts.n_trials is None else facts.n_trials
    return SweepStatus(
        name=study.name,
        n_trials=n_trials,
        running=len(running) - len(interrupted),
        interrupted=len(interrupted),
        complete=len(complete),
        pruned=len(pruned) - stopped,
        stopped=stopped,
        failed=len(in_state(trials, "FAIL")),
        best=best[0].number if best else None,
        best_values=best[0].values if best else (),
        best_name=name_of(best[0]) if best else "",
        front=tuple(trial.number for trial in study.pareto_front()) if complete and several else (),
        seconds_left=_seconds_left(trials, n_trials, n_jobs),
        verdict=facts.verdict,
    )


def _seconds_left(trials: Sequence[StudyTrial], n_trials: int, n_jobs: int) -> float | None:
    """What is left takes as long as what is done; None where nothing is left or nothing is known."""
    durations = [trial.duration_s for trial in trials if trial.is_finished and trial.duration_s]
    left = n_trials - sum(trial.is_finished for trial in trials)
    return fmean(durations) * left / n_jobs if durations and left > 0 else None


def in_state(trials: Sequence[StudyTrial], state: str) -> list[StudyTrial]:
    """The trials in one of Optuna's states, by its name."""
    return [trial for trial in trials if trial.state == state]


def name_of(trial: StudyTrial) -> str:
    """What a trial varied."""
    return trial_name(trial.facts.assignments) or f"trial {trial.number}"


def trials_table(study: StudyView, metrics: Sequence[str], most: int = 10) -> ResultTable:
    """The best trials, or the Pareto front."""
    several = len(metrics) > 1
    rows = tuple(
        (str(trial.number), name_of(trial), *map(number_text, trial.values), _seconds(trial))
        for trial in study.best_trials(1_000 if several else most)
    )
    title = "Pareto front" if several else f"Best trials (up to {most})"
    return ResultTable(title, ("trial", "what varied", *metrics, "seconds"), rows)


def _seconds(trial: StudyTrial) -> str:
    return NO_VALUE if trial.facts.seconds is None else f"{trial.facts.seconds:,.1f}"


def values_text(values: Sequence[float]) -> str:
    """An objective, one number for each metric."""
    return ", ".join(map(number_text, values))


def time_text(seconds: float) -> str:
    """A duration for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
