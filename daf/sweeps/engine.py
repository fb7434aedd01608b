"""The engine: keeps every worker busy, tries again what failed, and lets nothing get lost."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from daf.execution.executor import JobDone, JobFailed, JobMessage
from daf.execution.interrupts import interrupt_deferred
from daf.execution.processes import ProcessExecutor
from daf.sweeps.bookkeeping import Request, Trials, end_run, last_line
from daf.sweeps.live import Show
from daf.sweeps.state import read_status
from daf.sweeps.study import StoredStudy
from daf.sweeps.trial import Intermediate, TrialJob, TrialOutcome

log = logging.getLogger(__name__)

#: Seconds between two looks at the clock while nothing happens.
TICK_S = 1.0


class Source(Protocol):
    """Where jobs come from, and who hears how they ended. A job's subject is what it is for, such as a trial."""

    def next(self) -> Any | None:
        """The next subject; None while there is none."""

    def job(self, subject: Any, attempt: int) -> TrialJob | None:
        """Its job; None where there is nothing to run, which has been told already."""

    def hear(self, subject: Any, message: Any) -> bool:
        """Takes a running job's message; returns whether the job should stop."""

    def finish(self, subject: Any, outcome: TrialOutcome) -> None:
        """Takes what a job came to."""

    def fail(self, subject: Any, traceback: str) -> None:
        """Takes that a job failed for the last time."""


@dataclass
class _Active:
    """A job that a worker is busy with."""

    subject: Any
    job: TrialJob
    attempt: int
    last: str = ""


class Engine:
    """Runs a study's trials, and afterwards other jobs on the same warm workers."""

    def __init__(self, stored: StoredStudy, request: Request, pool: ProcessExecutor, show: Show) -> None:
        self._stored = stored
        self._request = request
        self._pool = pool
        self._show = show
        self._sweep = request.config.sweep
        self._active: dict[int, _Active] = {}

    def run_trials(self) -> None:
        """Runs trials until there are enough.

        Raises:
            DAFError: too many failed.
        """
        self._run(Trials(self._stored, self._request, self._view))

    def run_jobs(self, jobs: Sequence[TrialJob], on_done: Callable[[int, TrialOutcome], None]) -> list[str]:
        """Runs jobs that belong to no trial of the study; returns the tracebacks of those that failed."""
        others = _OtherJobs(jobs, on_done, self._request, self._view)
        self._run(others)
        return others.failures

    def _run(self, source: Source) -> None:
        try:
            # Interrupted inside MLflow or the journal, this process would wait half a minute for its own lock.
            with interrupt_deferred() as stop_if_interrupted:
                while self._fill(source):
                    self._handle(source, self._pool.next_event(TICK_S))
                    self._stored.tell_alive()
                    stop_if_interrupted()
        finally:
            if self._active:
                self._abandon()

    def _abandon(self) -> None:
        """After an error or Ctrl-C: ends what still runs. The study keeps such trials for the next time."""
        self._pool.close()
        for active in self._active.values():
            end_run(self._request.tracker, active.job.run_id, "KILLED")

    def _fill(self, source: Source) -> bool:
        """Gives every idle worker a job; False when none is left and none is running."""
        while len(self._active) < self._sweep.n_jobs and (subject := source.next()) is not None:
            self._begin(source, subject, attempt=0)
        return bool(self._active)

    def _begin(self, source: Source, subject: Any, attempt: int) -> None:
        if job := source.job(subject, attempt):
            self._active[self._pool.submit(job)] = _Active(subject, job, attempt)
            self._view("")

    def _handle(self, source: Source, event: JobMessage | JobDone | JobFailed | None) -> None:
        if event is None:
            self._view("")
        elif isinstance(event, JobMessage):
            self._listen(source, event)
        elif isinstance(event, JobDone):
            source.finish(self._active.pop(event.job_id).subject, event.result)
        else:
            self._lose(source, self._active.pop(event.job_id), event)

    def _listen(self, source: Source, event: JobMessage) -> None:
        active = self._active[event.job_id]
        if isinstance(event.message, Intermediate):
            active.last = f"{event.message.value:.4f} at {event.message.step:,}"
            if source.hear(active.subject, event.message):
                self._pool.stop(event.job_id)

    def _lose(self, source: Source, active: _Active, event: JobFailed) -> None:
        # The worker may not have come to say so itself.
        end_run(self._request.tracker, active.job.run_id, "FAILED", event.traceback)
        if active.attempt < self._sweep.max_retries:
            log.warning("%s failed and is tried again: %s", active.job.name, last_line(event.traceback))
            self._begin(source, active.subject, active.attempt + 1)
        else:
            source.fail(active.subject, event.traceback)

    def _view(self, event: str) -> None:
        status = read_status(self._stored.study, self._sweep.n_jobs)
        self._show(status, {active.job.name: active.last for active in self._active.values()}, event)


class _OtherJobs:
    """Jobs that belong to no trial of the study; a subject is a job's index."""

    def __init__(
        self,
        jobs: Sequence[TrialJob],
        on_done: Callable[[int, TrialOutcome], None],
        request: Request,
        tell: Callable[[str], None],
    ) -> None:
        self.failures: list[str] = []
        self._jobs = jobs
        self._waiting = iter(range(len(jobs)))
        self._ended = 0
        self._on_done = on_done
        self._request = request
        self._tell = tell

    def next(self) -> int | None:
        return next(self._waiting, None)

    def job(self, subject: int, attempt: int) -> TrialJob:
        return self._request.with_run(self._jobs[subject])

    def hear(self, subject: int, message: Intermediate) -> bool:
        return False

    def finish(self, subject: int, outcome: TrialOutcome) -> None:
        if outcome.state != "complete":
            self.fail(subject, outcome.error)
            return
        self._on_done(subject, outcome)
        self._end(subject)

    def fail(self, subject: int, traceback: str) -> None:
        self.failures.append(traceback)
        self._end(subject)

    def _end(self, subject: int) -> None:
        self._ended += 1
        self._tell(f"{self._ended} of {len(self._jobs)}: {self._jobs[subject].name}")
