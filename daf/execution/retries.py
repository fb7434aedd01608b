"""Whether a failed job is worth another try."""

from dataclasses import dataclass

from daf.execution.executor import JobFailed, Reason


@dataclass(frozen=True)
class Retries:
    """How often a job is tried before its failure counts.

    A ``lost`` job is always tried again, as the same attempt: it is not its fault that a machine went away.

    Args:
        attempts: how often it may be tried in all, at least 1.
        reasons: reasons of `JobFailed` after which another try may help.
    """

    attempts: int
    reasons: frozenset[Reason]

    def allows(self, failure: JobFailed, attempt: int) -> bool:
        """Whether to try again after the failure of attempt number `attempt`, counted from 0."""
        return failure.reason == "lost" or (failure.reason in self.reasons and attempt + 1 < self.attempts)

    def next_attempt(self, failure: JobFailed, attempt: int) -> int:
        """The number of the try that follows `attempt`."""
        return attempt if failure.reason == "lost" else attempt + 1
