"""Jobs in this process, for small work and for tests."""

import inspect
import itertools
import pkgutil
import traceback as tracebacks
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from daf.execution.executor import Event, Executor, JobContext, JobDone, JobFailed, JobMessage, Reason


class _Context:
    """The `JobContext` of a job in this process."""

    def __init__(self, job_id: int, events: deque[Event]) -> None:
        self._id = job_id
        self._events = events
        self.stop_asked = False

    def report(self, message: Any) -> None:
        self._events.append(JobMessage(job_id=self._id, message=message))

    def should_stop(self) -> bool:
        return self.stop_asked


@dataclass
class _Job:
    id: int
    context: _Context
    messages: Generator[Any, None, Any]


class InProcessExecutor(Executor):
    """An `Executor` without workers: jobs run one after the other, in the order of submission, inside `next_event`.

    A generator's messages arrive one by one, and a running one can be stopped between them; what a plain function
    reports arrives when it has returned. Nothing is pickled, `next_event` may take longer than its timeout, and a job
    that ends the process ends this one. Ctrl-C leaves `next_event`; the job that it met fails as ``stopped``.

    Args:
        target: ``module:function``, called as ``function(payload, context)``.
        initializer: ``module:function``, called once before the first job.
    """

    def __init__(self, target: str, *, initializer: str | None = None) -> None:
        self._function = pkgutil.resolve_name(target)
        self._initializer = pkgutil.resolve_name(initializer) if initializer else None
        self._waiting: deque[_Job] = deque()
        self._running: _Job | None = None
        self._events: deque[Event] = deque()
        self._ids = itertools.count()
        self._closed = False

    def submit(self, payload: Any, *, cost: float = 0.0, time_limit_s: float | None = None) -> int:
        if self._closed:
            raise RuntimeError("the executor is closed")
        if time_limit_s is not None:
            raise ValueError("a job in this process has no time limit: nobody could end it")
        job_id = next(self._ids)
        context = _Context(job_id, self._events)
        self._waiting.append(_Job(job_id, context, self._messages(payload, context)))
        return job_id

    def stop(self, job_id: int) -> None:
        if self._running and self._running.id == job_id:
            self._running.context.stop_asked = True
        for job in [job for job in self._waiting if job.id == job_id]:
            self._waiting.remove(job)
            self._events.append(JobFailed(job_id=job_id, reason="stopped", traceback="stopped before it began"))

    def next_event(self, timeout_s: float | None = None) -> Event | None:
        while not self._events and (self._running or self._waiting):
            self._running = self._running or self._waiting.popleft()
            self._advance(self._running)
        return self._events.popleft() if self._events else None

    def close(self) -> None:
        self._closed = True
        if self._running:
            self._running.messages.close()
        self._running = None
        self._waiting.clear()
        self._events.clear()

    def _advance(self, job: _Job) -> None:
        """Runs a job to its next message or its end."""
        reason: Reason = "died"
        try:
            self._initialize()
            reason = "error"
            message = next(job.messages)
        except StopIteration as end:
            self._end(JobDone(job_id=job.id, result=end.value))
        except (Exception, SystemExit):
            self._end(JobFailed(job_id=job.id, reason=reason, traceback=tracebacks.format_exc()))
        except BaseException:
            self._end(JobFailed(job_id=job.id, reason="stopped", traceback=tracebacks.format_exc()))
            raise
        else:
            job.context.report(message)

    def _initialize(self) -> None:
        if self._initializer:
            self._initializer()
            self._initializer = None

    def _messages(self, payload: Any, context: JobContext) -> Generator[Any, None, Any]:
        """A job as a generator, whatever the target is."""
        result = self._function(payload, context)
        if inspect.isgenerator(result):
            result = yield from result
        return result

    def _end(self, event: JobDone | JobFailed) -> None:
        self._running = None
        self._events.append(event)
