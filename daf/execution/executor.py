"""What runs jobs, wherever they run, and what happens to them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

Reason = Literal["error", "died", "hung", "stopped", "lost"]


@dataclass(frozen=True, kw_only=True)
class JobMessage:
    """Something that a running job reported."""

    job_id: int
    message: Any


@dataclass(frozen=True, kw_only=True)
class JobDone:
    """A job that returned."""

    job_id: int
    result: Any


@dataclass(frozen=True, kw_only=True)
class JobFailed:
    """A job without a result.

    Attributes:
        reason: ``error`` (it raised), ``died`` (its process ended), ``hung`` (it went silent for longer than its time
            limit), ``stopped`` (before it began, or by Ctrl-C in the process that ran it) or ``lost`` (the machine it
            ran on went away, which is not the job's fault; only executors on several machines know this).
        traceback: where it was, as far as it could be found out.
    """

    job_id: int
    reason: Reason
    traceback: str


Event = JobMessage | JobDone | JobFailed


class JobContext(Protocol):
    """What a running job may do; only for the thread that runs the job."""

    def report(self, message: Any) -> None:
        """Sends a picklable message, which the caller gets as a `JobMessage`. It restarts the job's time limit."""

    def should_stop(self) -> bool:
        """Whether the job was asked to stop. What to return then is up to the job."""


class Executor(Protocol):
    """Runs jobs and tells what becomes of them: processes, this process, or other machines.

    An executor is made with a target ``module:function`` that every worker imports by name and calls as
    ``function(payload, context)`` with a `JobContext`. What it returns is the job's result. It may be a generator
    function: what it yields is reported as messages, and what it returns is the result. An initializer
    ``module:function`` is called in every new worker before its first job.

    - **Threads**: all methods are for the thread that made the executor. Nothing happens behind its back: jobs begin
      and events are taken in during `next_event` and `events`.
    - **Pickling**: payloads, messages and results are picklable, whether or not an executor really pickles them. A
      result that is not fails its job as ``error``.
    - **Order**: the events of a job are its messages, in the order of their reports, and then exactly one `JobDone` or
      `JobFailed`. Between jobs there is no order.
    - **A job that raises** fails as ``error``, `SystemExit` included, and spares its worker.
    - **A job whose worker dies** fails as ``died``, and so does one whose worker's initializer raises; the next job
      gets a new worker. One that **hangs** (no message and no result within its time limit) is killed together with
      its worker, and fails as ``hung``. One whose **machine went away** fails as ``lost``. No other job is touched, and
      no executor tries a job again: that is for its user to decide, with `daf.execution.retries.Retries`.
    - **An error of the code that takes an event** is no error of the job: events are fetched, not pushed.
    """

    def submit(self, payload: Any, *, cost: float = 0.0, time_limit_s: float | None = None) -> int:
        """Queues a job and returns its id, which no other job of this executor has.

        Args:
            payload: what the target gets; not to be changed any more, since an executor need not copy it.
            cost: expected effort in any unit. Where jobs run side by side, the most expensive waiting one begins
                first; equal ones begin in the order of their submission.
            time_limit_s: seconds without a result or a message after which the job counts as hung; None is for ever.

        Raises:
            RuntimeError: the executor is closed.
            ValueError: this executor cannot keep to a time limit.
        """

    def stop(self, job_id: int) -> None:
        """Asks a job to stop.

        A waiting one never begins and fails as ``stopped``. A running one sees it in `JobContext.should_stop` and ends
        as it likes, with the usual event. An ended or unknown one makes no difference.
        """

    def next_event(self, timeout_s: float | None = None) -> Event | None:
        """Waits for the next event; None after `timeout_s` seconds, or at once when no job is left."""

    def events(self) -> Iterator[Event]:
        """Yields what happens until no job is left; jobs may be submitted and stopped meanwhile."""
        while event := self.next_event():
            yield event

    def close(self) -> None:
        """Ends all jobs and workers at once, whatever they are doing; there are no events any more. May be repeated."""

    def __enter__(self) -> Self:
        """Itself; leaving the block closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
