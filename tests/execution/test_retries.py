"""Which failures are worth another try, and how often."""

import pytest

from daf.execution.executor import JobFailed, Reason
from daf.execution.retries import Retries


def failure(reason: Reason) -> JobFailed:
    return JobFailed(job_id=0, reason=reason, traceback="")


@pytest.mark.parametrize(
    ("reason", "attempt", "allowed"),
    [
        ("died", 0, True),
        ("died", 1, True),
        ("died", 2, False),
        ("hung", 1, True),
        ("error", 0, False),
        ("stopped", 0, False),
        ("lost", 0, True),
        ("lost", 100, True),
    ],
)
def test_reasons_and_attempts_decide(reason: Reason, attempt: int, allowed: bool) -> None:
    retries = Retries(attempts=3, reasons=frozenset({"died", "hung"}))
    assert retries.allows(failure(reason), attempt) == allowed


def test_a_lost_machine_costs_no_attempt() -> None:
    retries = Retries(attempts=2, reasons=frozenset({"died"}))
    attempt, tries = 0, 1
    for reason in ("lost", "died", "lost", "lost", "died"):
        if not retries.allows(failure(reason), attempt):
            break
        attempt, tries = retries.next_attempt(failure(reason), attempt), tries + 1
    assert (attempt, tries) == (1, 5)
