"""The books of a sweep: makes the jobs of its trials, and tells the study and MLflow how they ended."""

import itertools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from daf.config.schemas import DAFConfig
from daf.errors import DAFConfigError, DAFError
from daf.sweeps.space import Compose, Space, trial_name
from daf.sweeps.strategies import report_every
from daf.sweeps.study import StoredStudy, report
from daf.sweeps.trial import Intermediate, TrialJob, TrialOutcome, seeds_from
from daf.tracking.redaction import redactor
from daf.tracking.tracker import Tracker

if TYPE_CHECKING:
    import optuna

log = logging.getLogger(__name__)


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
        trial.set_user_attr("assignments", redactor().tree(assignments))
        folder = _new_folder(self.output_dir, str(trial.number))
        # Reports must fall on the same steps in all trials, whatever they vary.
        sweep = self.config.sweep.model_copy(update={"report_every": report_every(self.config)})
        config = self.compose(assignments).model_copy(update={"output_dir": str(folder), "sweep": sweep})
        trial.set_user_attr("config", redactor().tree(config.model_dump(mode="json", exclude={"sweep"})))
        trial.set_user_attr("output_dir", str(folder))
        tags = {"daf.trial.number": str(trial.number), "daf.trial.attempt": str(attempt)}
        job = self.with_run(replace(trial_job(config, trial_name(assignments), self.tracker.run_id), tags=tags))
        trial.set_user_attr("run_id", job.run_id)
        return job

    def with_run(self, job: TrialJob) -> TrialJob:
        """Gives a job its MLflow run before it begins, so that it can be ended whatever becomes of the worker.

        Raises:
            DAFError: the store takes none.
        """
        from mlflow.exceptions import MlflowException

        tags = {"mlflow.parentRunId": job.parent_run_id, **job.tags}
        try:
            run = self.tracker.client.create_run(self.tracker.experiment_id, run_name=job.name, tags=tags)
        except MlflowException as error:
            raise DAFError(f"MLflow takes no new run; the same command goes on from here. {error.message}") from error
        return replace(job, run_id=run.info.run_id)


def trial_job(config: DAFConfig, name: str, parent_run_id: str, run_id: str | None = None) -> TrialJob:
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


def _new_folder(parent: Path, name: str) -> Path:
    """A folder that is not there yet: a trial that is run again leaves the files of its first run alone."""
    names = itertools.chain([name], (f"{name}-{count}" for count in itertools.count(2)))
    return next(parent / own for own in names if not (parent / own).exists())


class Trials:
    """A study's trials, one by one: from the moment that they are asked for until the study knows how they ended.

    Args:
        tell: is called with a line about every trial that ended.
    """

    def __init__(self, stored: StoredStudy, request: Request, tell: Callable[[str], None]) -> None:
        self._stored = stored
        self._request = request
        self._tell = tell
        self._failures = 0
        self._deadline = time.monotonic() + (request.config.sweep.timeout_s or float("inf"))

    def next(self) -> "optuna.Trial | None":
        """The trial to run next; None when there are enough, or the time is over."""
        return self._stored.next_trial() if time.monotonic() < self._deadline else None

    def job(self, subject: "optuna.Trial", attempt: int) -> TrialJob | None:
        """What a worker is to do; None for a trial that ended while nobody heard it, or that makes no valid config."""
        if outcome := self.untold_outcome(subject):
            # Whoever was interrupted may have called its run killed.
            end_run(self._request.tracker, outcome.run_id, "FAILED" if outcome.state == "diverged" else "FINISHED")
            self.finish(subject, outcome)
            return None
        if attempt:
            subject.set_user_attr("retries", attempt)
        else:
            # A run that its process could not end any more.
            end_run(self._request.tracker, subject.user_attrs.get("run_id"), "KILLED")
        try:
            return self._request.job(subject, attempt)
        except (DAFConfigError, ValueError) as error:
            self._tell_failure(subject, str(error), "infeasible")
            return None

    @staticmethod
    def untold_outcome(subject: "optuna.Trial") -> TrialOutcome | None:
        """How a trial ended while nobody was left to hear it; None for one that is still to be run."""
        attrs = subject.user_attrs
        outcome = TrialOutcome.load(Path(attrs["output_dir"])) if "output_dir" in attrs else None
        return outcome if outcome and outcome.run_id == attrs.get("run_id") else None

    def hear(self, subject: "optuna.Trial", message: Intermediate) -> bool:
        """Stores an intermediate value; returns whether the pruner has seen enough."""
        return report(subject, message.step, message.value)

    def finish(self, subject: "optuna.Trial", outcome: TrialOutcome) -> None:
        """Tells the study what a trial came to.

        Raises:
            DAFError: it diverged, and with it too many have failed.
        """
        from optuna.trial import TrialState

        for key in ("run_id", "checkpoints", "agent_steps", "seconds"):
            subject.set_user_attr(key, getattr(outcome, key))
        if outcome.state == "diverged":
            self.fail(subject, outcome.error, "diverged")
            return
        if outcome.state == "complete":
            self._stored.study.tell(subject, list(outcome.values))
        else:
            self._stored.study.tell(subject, state=TrialState.PRUNED)
        values = ", ".join(f"{value:.4f}" for value in outcome.values) or "pruned"
        self._tell(f"trial {subject.number}: {trial_name(subject.user_attrs['assignments'])} -> {values}")

    def fail(self, subject: "optuna.Trial", traceback: str, how: str = "failed") -> None:
        """Tells the study that a trial came to nothing.

        Raises:
            DAFError: more have failed than `sweep.max_failure_rate` allows.
        """
        self._tell_failure(subject, traceback, how)
        self._failures += 1
        most, of = self._request.config.sweep.max_failure_rate, self._stored.n_trials
        if self._failures > most * of:
            raise DAFError(
                f"{self._failures} of {of} trials failed, more than sweep.max_failure_rate={most:g} allows."
                f" The same command goes on with the others. The last failed with:\n{traceback}"
            )

    def _tell_failure(self, trial: "optuna.Trial", traceback: str, how: str) -> None:
        from optuna.trial import TrialState

        trial.set_user_attr("failure", f"{how}: {redactor().text(last_line(traceback))}")
        self._stored.study.tell(trial, state=TrialState.FAIL)
        self._tell(f"trial {trial.number}: {how}: {last_line(traceback)}")


def end_run(tracker: Tracker, run_id: str | None, status: str, traceback: str = "") -> None:
    """Ends the MLflow run of a trial whose worker can no longer do so, and those of its seeds."""
    if not run_id:
        return
    client, own = tracker.client, f"tags.mlflow.parentRunId = '{run_id}' and attributes.status = 'RUNNING'"
    try:
        if traceback:
            client.log_text(run_id, redactor().text(traceback), "traceback.txt")
        client.set_terminated(run_id, status)
        for seed in client.search_runs([tracker.experiment_id], own):
            client.set_terminated(seed.info.run_id, status)
    except Exception as error:  # a broken store ends no sweep
        log.warning("MLflow: run %s could not be ended: %s", run_id, error)


def last_line(traceback: str) -> str:
    lines = traceback.strip().splitlines()
    return lines[-1] if lines else ""
