"""What happens to jobs, wherever they run."""

from dataclasses import dataclass
from typing import Any, Literal


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
            limit) or ``stopped`` (it was stopped before it began).
        traceback: where it was, as far as it could be found out.
    """

    job_id: int
    reason: Literal["error", "died", "hung", "stopped"]
    traceback: str


Event = JobMessage | JobDone | JobFailed
