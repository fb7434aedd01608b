"""The engine: keeps every worker busy with a trial until there are enough, and lets no trial get lost."""

import itertools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daf.config.schemas import DAFConfig
from daf.errors import DAFConfigError, DAFError
from daf.interrupts import interrupt_deferred
from daf.provenance import Redactor
from daf.sweeps.live import Show
from daf.sweeps.space import Compose, Space, trial_name
from daf.sweeps.state import read_status
from daf.sweeps.strategies import report_every
from daf.sweeps.study import StoredStudy, report
from daf.sweeps.trial import Intermediate, TrialJob, TrialOutcome, seeds_from
from daf.tracking import Tracker
from daf.workers import JobDone, JobFailed, JobMessage, WorkerPool

if TYPE_CHECKING:
    import optuna

log = logging.getLogger(__name__)

#: Seconds between two looks at the clock while nothing happens.
TICK_S = 1.0


@dataclass
class _Active:
    """A trial that a worker is busy with."""

    trial: "optuna.Trial"
    job: TrialJob
    attempt: int
    last: str = ""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What makes a trial's job.

    Attributes:
        config: the base config.
        output_dir: of this run of the sweep; every trial has a folder of its own below it.
        tracker: of the sweep's MLflow run.
    """

    config: DAFConfig
    space: Space
    compose: Compose
    output_dir: Path
    tracker: Tracker

    def job(self, trial: "optuna.Trial", attempt: int) -> TrialJob:
        """Samples what a trial varies and makes its job.

        Raises:
            DAFConfigError: what was sampled makes no valid config.
            ValueError: a transform has no value.
        """
        assignments = self.space.suggest(trial, self.compose)
        trial.set_user_attr("assignments", Redactor().tree(assignments))
        folder = _new_folder(self.output_dir, str(trial.number))
        # Reports must fall on the same steps in all trials, whatever they vary.
        sweep = self.config.sweep.model_copy(update={"report_every": report_every(self.config)})
        config = self.compose(assignments).model_copy(update={"output_dir": str(folder), "sweep": sweep})
        trial.set_user_attr("config", Redactor().tree(config.model_dump(mode="json", exclude={"sweep"})))
        trial.set_user_attr("output_dir", str(folder))
        name, parent = trial_name(assignments), self.tracker.run_id
        tags = {"mlflow.parentRunId": parent, "daf.trial.number": str(trial.number), "daf.trial.attempt": str(attempt)}
        # Made here and noted before the trial begins, so that it can be ended whatever becomes of the worker.
        run = self.tracker.client.create_run(self.tracker.experiment_id, run_name=name, tags=tags)
        trial.set_user_attr("run_id", run.info.run_id)
        return trial_job(config, name, parent, run.info.run_id)


def trial_job(config: DAFConfig, name: str, parent_run_id: str, run_id: str) -> TrialJob:
    """The job of a trial whose config is known."""
    sweep = config.sweep
    single = len(config.objective.metric) == 1
    return TrialJob(
        config=config,
        name=name,
        parent_run_id=parent_run_id,
        run_id=run_id,
        training_seeds=seeds_from(config.seed, sweep.seeds_per_trial),
        report_every=report_every(config) if single and sweep.pruner != "wilcoxon" else None,
        report_episodes=single and sweep.pruner == "wilcoxon",
    )


class Engine:
    """Asks the study for trials, runs them and tells it how they ended.

    Use `run` once; afterwards `run_jobs` lends the same warm workers to the confirmation.
    """

    def __init__(self, stored: StoredStudy, request: Request, pool: WorkerPool, show: Show) -> None:
        self._stored = stored
        self._request = request
        self._tracker = request.tracker
        self._pool = pool
        self._show = show
        self._sweep = request.config.sweep
        self._active: dict[int, _Active] = {}
        self._failures = 0
        self._deadline = time.monotonic() + (self._sweep.timeout_s or float("inf"))

    def run(self) -> None:
        """Runs trials until there are enough.

        Raises:
            DAFError: too many failed.
        """
        try:
            # Interrupted inside MLflow or the journal, this process would wait half a minute for its own lock.
            with interrupt_deferred() as stop_if_interrupted:
                while self._fill():
                    self._handle(self._pool.next_event(TICK_S))
                    self._stored.tell_alive()
                    stop_if_interrupted()
        finally:
            # Only after an error or Ctrl-C is anything left here. The study keeps such trials for the next run.
            for active in self._active.values():
                end_run(self._tracker, active.job.run_id, "KILLED")

    def _fill(self) -> bool:
        """Gives every idle worker a trial; False when none is left and none is running."""
        while len(self._active) < self._sweep.n_jobs and time.monotonic() < self._deadline:
            trial = self._stored.next_trial()
            if trial is None:
                break
            self._begin(trial, attempt=0)
        return bool(self._active)

    def _begin(self, trial: "optuna.Trial", attempt: int) -> None:
        if outcome := untold_outcome(trial):
            self._finish(trial, outcome)
            return
        if attempt == 0:
            # A run that its process could not end any more.
            end_run(self._tracker, trial.user_attrs.get("run_id"), "KILLED")
        try:
            job = self._request.job(trial, attempt)
        except (DAFConfigError, ValueError) as error:
            self._fail(trial, str(error), "infeasible")
            return
        job_id = self._pool.submit(job)
        self._active[job_id] = _Active(trial, job, attempt)
        self._view("")

    def _handle(self, event: JobMessage | JobDone | JobFailed | None) -> None:
        if isinstance(event, JobMessage):
            self._listen(event.job_id, event.message)
        elif isinstance(event, JobDone):
            self._finish(self._active.pop(event.job_id).trial, event.result)
        elif isinstance(event, JobFailed):
            self._lose(self._active.pop(event.job_id), event)
        else:
            self._view("")

    def _listen(self, job_id: int, message: Any) -> None:
        active = self._active[job_id]
        if isinstance(message, Intermediate):
            active.last = f"{message.value:.4f} at {message.step:,}"
            if report(active.trial, message.step, message.value):
                self._pool.stop(job_id)

    def _finish(self, trial: "optuna.Trial", outcome: TrialOutcome) -> None:
        tell_outcome(self._stored, trial, outcome)
        if outcome.state == "diverged":
            self._fail(trial, outcome.error, "diverged")
            return
        values = ", ".join(f"{value:.4f}" for value in outcome.values) or "pruned"
        self._view(f"trial {trial.number}: {trial_name(trial.user_attrs['assignments'])} -> {values}")

    def _lose(self, active: _Active, event: JobFailed) -> None:
        if event.reason != "error":
            # The worker could not say so itself.
            end_run(self._tracker, active.job.run_id, "FAILED", event.traceback)
        if active.attempt < self._sweep.max_retries:
            log.warning("trial %d failed and is tried again: %s", active.trial.number, _last_line(event.traceback))
            active.trial.set_user_attr("retries", active.attempt + 1)
            self._begin(active.trial, active.attempt + 1)
        else:
            self._fail(active.trial, event.traceback, "failed")

    def _fail(self, trial: "optuna.Trial", traceback: str, how: str) -> None:
        tell_failure(self._stored, trial, traceback, how)
        self._view(f"trial {trial.number}: {how}: {_last_line(traceback)}")
        if how != "infeasible":
            self._failures += 1
            check_failures(self._failures, self._stored.n_trials, self._sweep.max_failure_rate, traceback)

    def _view(self, event: str) -> None:
        status = read_status(self._stored.study, self._sweep.n_jobs)
        self._show(status, {active.job.name: active.last for active in self._active.values()}, event)

    def run_jobs(self, jobs: Sequence[TrialJob], on_done: Callable[[int, TrialOutcome], None]) -> list[str]:
        """Runs jobs that belong to no trial of the study; returns the tracebacks of those that failed."""
        ids = {self._pool.submit(job): index for index, job in enumerate(jobs)}
        failures: list[str] = []
        ended = (event for event in self._pool.events() if not isinstance(event, JobMessage))
        for done, event in enumerate(ended, start=1):
            if isinstance(event, JobDone) and event.result.state == "complete":
                on_done(ids[event.job_id], event.result)
            else:
                failures.append(event.result.error if isinstance(event, JobDone) else event.traceback)
            self._view(f"{done} of {len(jobs)}: {jobs[ids[event.job_id]].name}")
        return failures


def _new_folder(parent: Path, name: str) -> Path:
    """A folder that is not there yet: a trial that is run again leaves the files of its first run alone."""
    names = itertools.chain([name], (f"{name}-{count}" for count in itertools.count(2)))
    return next(parent / own for own in names if not (parent / own).exists())


def untold_outcome(trial: "optuna.Trial") -> TrialOutcome | None:
    """How a trial ended while nobody was left to hear it; None for one that is still to be run."""
    folder = trial.user_attrs.get("output_dir")
    return TrialOutcome.load(Path(folder)) if folder else None


def tell_outcome(stored: StoredStudy, trial: "optuna.Trial", outcome: TrialOutcome) -> None:
    """Tells the study how a trial ended that did not fail."""
    from optuna.trial import TrialState

    facts: Mapping[str, Any] = {
        "run_id": outcome.run_id,
        "checkpoints": list(outcome.checkpoints),
        "agent_steps": outcome.agent_steps,
        "seconds": outcome.seconds,
    }
    for key, value in facts.items():
        trial.set_user_attr(key, value)
    if outcome.state == "complete":
        stored.study.tell(trial, list(outcome.values))
    elif outcome.state == "stopped":
        stored.study.tell(trial, state=TrialState.PRUNED)


def tell_failure(stored: StoredStudy, trial: "optuna.Trial", traceback: str, how: str) -> None:
    """Tells the study that a trial came to nothing."""
    from optuna.trial import TrialState

    trial.set_user_attr("failure", f"{how}: {Redactor().text(_last_line(traceback))}")
    stored.study.tell(trial, state=TrialState.FAIL)


def check_failures(failures: int, n_trials: int, most: float, traceback: str) -> None:
    """Raises DAFError once more than the allowed share of all trials has failed."""
    if failures > most * n_trials:
        raise DAFError(
            f"{failures} of {n_trials} trials failed, more than sweep.max_failure_rate={most:g} allows."
            f" The same command goes on with the others. The last failed with:\n{traceback}"
        )


def end_run(tracker: Tracker, run_id: str | None, status: str, traceback: str = "") -> None:
    """Ends the MLflow run of a trial whose worker can no longer do so."""
    if not run_id:
        return
    try:
        if traceback:
            tracker.client.log_text(run_id, Redactor().text(traceback), "traceback.txt")
        tracker.client.set_terminated(run_id, status)
    except Exception as error:  # a broken store ends no sweep
        log.warning("MLflow: run %s could not be ended: %s", run_id, error)


def _last_line(traceback: str) -> str:
    lines = traceback.strip().splitlines()
    return lines[-1] if lines else ""
