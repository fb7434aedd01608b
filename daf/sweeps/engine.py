"""The engine: keeps every worker busy, tries again what failed, and lets nothing get lost."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from daf.execution.executor import Event, Executor, JobDone, JobFailed, JobMessage
from daf.execution.interrupts import interrupt_deferred
from daf.execution.retries import Retries
from daf.sweeps.jobs import Intermediate, TrialJob, TrialOutcome
from daf.sweeps.live import Show
from daf.sweeps.mlflow_runs import end_run, last_line
from daf.sweeps.request import SweepRequest
from daf.sweeps.sources import ExtraJobs, JobSource, TrialSource
from daf.sweeps.status import read_status
from daf.sweeps.study import StoredStudy
from daf.visualization.text import number_text

log = logging.getLogger(__name__)

#: Seconds between two looks at the clock while nothing happens.
TICK_S = 1.0


def run_trials(
    stored: StoredStudy, request: SweepRequest, executor: Executor, show: Show, time_limit_s: float | None
) -> None:
    """Runs a study's trials until there are enough.

    Args:
        time_limit_s: seconds without a sign of life after which a trial counts as hung; None is for ever.

    Raises:
        DAFError: too many failed.
    """
    view = _View(stored, request.config.sweep.n_jobs, show)
    _Engine(TrialSource(stored, request, view), stored, request, executor, view, time_limit_s).run()


def run_jobs(
    jobs: Sequence[TrialJob],
    on_done: Callable[[int, TrialOutcome], None],
    stored: StoredStudy,
    request: SweepRequest,
    executor: Executor,
    show: Show,
    time_limit_s: float | None,
) -> list[str]:
    """Runs jobs that belong to no trial of the study; returns the tracebacks of those that failed.

    Args:
        on_done: is called with the index and the outcome of every other one.
        time_limit_s: as for `run_trials`.
    """
    view = _View(stored, request.config.sweep.n_jobs, show)
    if jobs:
        view(f"confirming the best on fresh seeds: 0 of {len(jobs)}")
    source = ExtraJobs(jobs, on_done, request, view)
    _Engine(source, stored, request, executor, view, time_limit_s).run()
    return source.failures


class _View:
    """Shows where the study stands and what runs.

    Attributes:
        running: name of a running job to a word about it.
    """

    def __init__(self, stored: StoredStudy, n_jobs: int, show: Show) -> None:
        self.running: dict[str, str] = {}
        self._stored = stored
        self._n_jobs = n_jobs
        self._show = show

    def __call__(self, event: str = "") -> None:
        self._show(read_status(self._stored, self._n_jobs), self.running, event)


@dataclass(frozen=True)
class _Active[Subject]:
    """A job that was submitted and has not ended."""

    subject: Subject
    job: TrialJob
    attempt: int


class _Engine[Subject]:
    """Moves a source's jobs through an executor: worker processes, or a launcher of Hydra's."""

    def __init__(
        self,
        source: JobSource[Subject],
        stored: StoredStudy,
        request: SweepRequest,
        executor: Executor,
        view: _View,
        time_limit_s: float | None,
    ) -> None:
        self._time_limit_s = time_limit_s
        self._source = source
        self._stored = stored
        self._tracker = request.tracker
        self._n_jobs = request.config.sweep.n_jobs
        self._retries = Retries(request.config.sweep.max_retries + 1, frozenset(("error", "died", "hung")))
        self._executor = executor
        self._view = view
        self._active: dict[int, _Active[Subject]] = {}

    def run(self) -> None:
        """Runs until the source has nothing more."""
        try:
            # Interrupted inside MLflow or the journal, this process would wait half a minute for its own lock.
            with interrupt_deferred() as stop_if_interrupted:
                while self._fill():
                    self._handle_events()
                    self._stored.heartbeat()
                    stop_if_interrupted()
        finally:
            if self._active:
                with interrupt_deferred():  # a second Ctrl-C
                    self._abandon()

    def _abandon(self) -> None:
        """After an error or Ctrl-C: ends what still runs. The study keeps such trials for the next time."""
        self._executor.close()
        for active in self._active.values():
            end_run(self._tracker, active.job.run_id, "KILLED")

    def _fill(self) -> bool:
        """Gives every idle worker a job; False when none is left and none is running."""
        while len(self._active) < self._n_jobs and (subject := self._source.next_subject()) is not None:
            self._begin(subject, attempt=0)
        return bool(self._active)

    def _begin(self, subject: Subject, attempt: int) -> None:
        if job := self._source.make_job(subject, attempt):
            job_id = self._executor.submit(job, time_limit_s=self._time_limit_s)
            self._active[job_id] = _Active(subject, job, attempt)
            self._view.running[job.name] = ""
            self._view()

    def _handle_events(self) -> None:
        """Waits for an event; takes all that are there, so that a sampler knows them before it is asked."""
        event = self._executor.next_event(TICK_S)
        if event is None:
            self._view()
        while event:
            self._handle(event)
            event = self._executor.next_event(0.0)

    def _handle(self, event: Event) -> None:
        if isinstance(event, JobMessage):
            self._take_message(event)
            return
        active = self._active.pop(event.job_id)
        self._view.running.pop(active.job.name, None)
        if isinstance(event, JobDone):
            self._source.finish(active.subject, event.result)
        elif outcome := self._source.recorded_outcome(active.subject):
            self._source.finish(active.subject, outcome)
        else:
            self._take_failure(active, event)

    def _take_message(self, event: JobMessage) -> None:
        active = self._active[event.job_id]
        if isinstance(event.message, Intermediate):
            self._view.running[active.job.name] = f"{number_text(event.message.value)} at {event.message.step:,}"
            if self._source.report(active.subject, event.message):
                self._executor.stop(event.job_id)

    def _take_failure(self, active: _Active[Subject], event: JobFailed) -> None:
        # The worker may not have been able to do so itself.
        end_run(self._tracker, active.job.run_id, "FAILED", event.traceback)
        if self._retries.allows(event, active.attempt):
            log.warning("%s failed and is tried again: %s", active.job.name, last_line(event.traceback))
            self._begin(active.subject, self._retries.next_attempt(event, active.attempt))
        else:
            self._source.fail(active.subject, event.traceback)
