"""Where the engine's jobs come from, and who takes how they ended: a study's trials, or jobs of no trial."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from daf.errors import DAFConfigError, DAFError
from daf.execution.progress import time_left
from daf.redaction import redactor
from daf.sweeps.jobs import Intermediate, TrialJob, TrialOutcome
from daf.sweeps.mlflow_runs import end_run, last_line, with_run
from daf.sweeps.request import SweepRequest
from daf.sweeps.space import trial_name
from daf.sweeps.status import time_text, values_text
from daf.sweeps.study import RunningTrial, StoredStudy


class JobSource[Subject](Protocol):
    """Where jobs come from, and who takes how they ended. A job's subject is what it is for, such as a trial."""

    def next_subject(self) -> Subject | None:
        """The next subject; None while there is none."""

    def make_job(self, subject: Subject, attempt: int) -> TrialJob | None:
        """Its job; None where there is nothing to run, which has been recorded already."""

    def report(self, subject: Subject, message: Intermediate) -> bool:
        """Takes an intermediate value of a running job; returns whether the job should stop."""

    def recorded_outcome(self, subject: Subject) -> TrialOutcome | None:
        """How a job ended that the engine knows nothing of; None where it left nothing behind."""

    def finish(self, subject: Subject, outcome: TrialOutcome) -> None:
        """Takes what a job came to."""

    def fail(self, subject: Subject, traceback: str) -> None:
        """Takes that a job failed for the last time."""


class TrialSource:
    """A study's trials, one by one: from the moment that they are asked for until the study knows how they ended.

    Args:
        notify: is called with a line about every trial that ended.
    """

    def __init__(self, stored: StoredStudy, request: SweepRequest, notify: Callable[[str], None]) -> None:
        self._stored = stored
        self._request = request
        self._notify = notify
        self._failures = 0
        self._deadline = time.monotonic() + (request.config.sweep.timeout_s or float("inf"))

    def next_subject(self) -> RunningTrial | None:
        """The trial to run next; None when there are enough, or the time is over."""
        trial = self._stored.next_trial() if time.monotonic() < self._deadline else None
        if trial:
            # The run of a trial that another process left behind, which could not end it any more.
            end_run(self._request.tracker, trial.facts.run_id, "KILLED")
        return trial

    def make_job(self, subject: RunningTrial, attempt: int) -> TrialJob | None:
        """What a worker is to do; None for a trial that has ended already, repeats another, or makes no valid config.

        Raises:
            DAFError: MLflow takes no run, or it had diverged, and with it too many have failed.
        """
        if outcome := self.recorded_outcome(subject):
            self.finish(subject, outcome)
            return None
        if attempt:
            subject.record(retries=attempt)
        try:
            assignments, config = self._request.sample(subject)
            if self._stored.end_repeated(subject):
                return None
            return self._request.job(subject, assignments, config, attempt)
        except (DAFConfigError, ValueError) as error:
            self._record_failure(subject, str(error), "infeasible")
            return None

    def report(self, subject: RunningTrial, message: Intermediate) -> bool:
        """Stores an intermediate value; returns whether the pruner has seen enough."""
        return subject.report(message.step, message.value)

    def recorded_outcome(self, subject: RunningTrial) -> TrialOutcome | None:
        """How a trial ended while no process of the sweep was there to take it; None for one that did not end."""
        facts = subject.facts
        outcome = TrialOutcome.load(Path(facts.output_dir)) if facts.output_dir else None
        if outcome is None or outcome.run_id != facts.run_id:
            return None
        # The interrupted process may have called its run killed.
        end_run(self._request.tracker, outcome.run_id, "FAILED" if outcome.state == "diverged" else "FINISHED")
        return outcome

    def finish(self, subject: RunningTrial, outcome: TrialOutcome) -> None:
        """Stores what a trial came to.

        Raises:
            DAFError: it diverged, and with it too many have failed.
        """
        subject.record(
            run_id=outcome.run_id,
            checkpoints=outcome.checkpoints,
            agent_steps=outcome.agent_steps,
            seconds=outcome.seconds,
        )
        if outcome.state == "diverged":
            self._fail(subject, outcome.error, "diverged")
            return
        if outcome.state == "complete":
            subject.complete(outcome.values)
        else:
            subject.prune()
        values = values_text(outcome.values) or "pruned"
        self._notify(f"trial {subject.number}: {trial_name(subject.facts.assignments)} -> {values}")

    def fail(self, subject: RunningTrial, traceback: str) -> None:
        """Stores that a trial came to nothing.

        Raises:
            DAFError: more have failed than `sweep.max_failure_rate` allows.
        """
        self._fail(subject, traceback, "failed")

    def _fail(self, subject: RunningTrial, traceback: str, how: str) -> None:
        self._record_failure(subject, traceback, how)
        self._failures += 1
        most, of = self._request.config.sweep.max_failure_rate, self._stored.n_trials
        if self._failures > most * of:
            raise DAFError(
                f"{self._failures} of {of} trials failed, more than sweep.max_failure_rate={most:g} allows."
                f" The same command goes on with the others. The last failed with:\n{traceback}"
            )

    def _record_failure(self, subject: RunningTrial, traceback: str, how: str) -> None:
        subject.fail(f"{how}: {redactor().text(last_line(traceback))}")
        self._notify(f"trial {subject.number}: {how}: {last_line(traceback)}")


class ExtraJobs:
    """Jobs that belong to no trial of the study; a subject is a job's index.

    Args:
        on_done: is called with a job's index and outcome.
        notify: is called with a line about every job that ended.

    Attributes:
        failures: tracebacks of the jobs that failed.
    """

    def __init__(
        self,
        jobs: Sequence[TrialJob],
        on_done: Callable[[int, TrialOutcome], None],
        request: SweepRequest,
        notify: Callable[[str], None],
    ) -> None:
        self.failures: list[str] = []
        self._jobs = jobs
        self._waiting = iter(range(len(jobs)))
        self._ended, self._begun = 0, time.monotonic()
        self._on_done = on_done
        self._request = request
        self._notify = notify

    def next_subject(self) -> int | None:
        """The next job's index."""
        return next(self._waiting, None)

    def make_job(self, subject: int, attempt: int) -> TrialJob:
        """The job, with a new MLflow run."""
        return with_run(self._jobs[subject], self._request.tracker)

    def report(self, subject: int, message: Intermediate) -> bool:
        """No pruner looks at these."""
        return False

    def recorded_outcome(self, subject: int) -> TrialOutcome | None:
        """None: an outcome on disk has no scores, which are what these jobs are for."""
        return None

    def finish(self, subject: int, outcome: TrialOutcome) -> None:
        """Hands the outcome on."""
        if outcome.state != "complete":
            self.fail(subject, outcome.error)
            return
        self._on_done(subject, outcome)
        self._end(subject)

    def fail(self, subject: int, traceback: str) -> None:
        """Keeps the traceback."""
        self.failures.append(traceback)
        self._end(subject)

    def _end(self, subject: int) -> None:
        self._ended += 1
        left = time_left(time.monotonic() - self._begun, self._ended, len(self._jobs))
        remaining = f", {time_text(left)} left" if left else ""
        self._notify(f"{self._ended} of {len(self._jobs)}{remaining}: {self._jobs[subject].name}")
