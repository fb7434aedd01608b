"""Hydra's launchers as an `Executor`: whatever a launcher reaches runs trials, in batches."""

import itertools
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus

from daf.config.override_syntax import override_text
from daf.execution.executor import Event, Executor, JobDone, JobFailed
from daf.sweeps.identity import default_storage
from daf.sweeps.jobs import TrialJob
from daf.sweeps.study import StoredStudy

if TYPE_CHECKING:
    from hydra.plugins.launcher import Launcher


@dataclass(frozen=True)
class _Queued:
    id: int
    payload: Any


class LauncherExecutor(Executor):
    """Runs jobs as Hydra's jobs: all that are queued become one batch, which `next_event` launches and waits for.

    A job cannot be stopped from here once its batch is launched, and its messages take their own way (a trial's, the
    study's storage; see `hydra_trial`). Where the launcher itself fails, all jobs of the batch fail as ``died``. Ctrl-C
    interrupts a batch, also where the caller holds it back: a batch may take hours.

    Args:
        launcher: of Hydra's, set up for a task function that returns a job's result.
        overrides: makes the overrides of a job's config from its payload.
    """

    def __init__(self, launcher: "Launcher", overrides: Callable[[Any], list[str]]) -> None:
        self._launcher = launcher
        self._overrides = overrides
        self._queued: list[_Queued] = []
        self._events: deque[Event] = deque()
        self._ids = itertools.count()
        self._closed = False

    def submit(self, payload: Any, *, cost: float = 0.0, time_limit_s: float | None = None) -> int:
        if self._closed:
            raise RuntimeError("the executor is closed")
        if time_limit_s is not None:
            raise ValueError("a launcher's jobs have no time limit here: set the launcher's own")
        job_id = next(self._ids)
        self._queued.append(_Queued(job_id, payload))
        return job_id

    def stop(self, job_id: int) -> None:
        for job in [job for job in self._queued if job.id == job_id]:
            self._queued.remove(job)
            self._events.append(JobFailed(job_id=job_id, reason="stopped", traceback="stopped before it began"))

    def next_event(self, timeout_s: float | None = None) -> Event | None:
        """The next event of the last batch, else the first one of the next batch, however long that takes."""
        if not self._events and self._queued:
            batch, self._queued = self._queued, []
            self._events.extend(self._launch(batch))
        return self._events.popleft() if self._events else None

    def close(self) -> None:
        self._closed = True
        self._queued.clear()
        self._events.clear()

    def _launch(self, batch: Sequence[_Queued]) -> list[Event]:
        """Runs a batch; how each of its jobs ended."""
        overrides = [self._overrides(job.payload) for job in batch]
        try:
            with _interruptible():
                returns = self._launcher.launch(overrides, initial_job_idx=batch[0].id)
        except Exception as error:  # a job that dies takes the launcher's others with it
            what = _described(error)
            return [JobFailed(job_id=job.id, reason="died", traceback=what) for job in batch]
        return [_event(job.id, returned) for job, returned in zip(batch, returns, strict=True)]


def _event(job_id: int, returned: JobReturn) -> Event:
    if returned.status is JobStatus.COMPLETED:
        return JobDone(job_id=job_id, result=returned.return_value)
    # `return_value` would raise it.
    return JobFailed(job_id=job_id, reason="error", traceback=_described(returned._return_value))


def _described(error: object) -> str:
    return f"{type(error).__name__}: {error}"


@contextmanager
def _interruptible() -> Iterator[None]:
    """Lets Ctrl-C interrupt the block, though a caller may hold it back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def trial_overrides(job: TrialJob, stored: StoredStudy, fixed: Sequence[str]) -> list[str]:
    """What tells a job of Hydra's which trial it is.

    Args:
        fixed: the overrides that all trials share.
    """
    sweep = stored.config.sweep
    # A storage of the user's own stands in the config already, and may hold a password that must not be shown.
    journal = str(default_storage(stored.config).absolute())
    return [
        *(override for override in fixed if not override.startswith("hydra.")),
        *(override_text(key, value) for key, value in job.assignments.items()),
        override_text("sweep.name", stored.name),
        *([] if sweep.storage else [override_text("sweep.storage", journal)]),
        override_text("evaluation.seed", job.config.evaluation.seed),
        override_text("sweep.report_every", job.config.sweep.report_every),
        override_text("sweep.trial", job.trial),
        override_text("hydra.sweep.subdir", Path(job.config.output_dir).name),
    ]
