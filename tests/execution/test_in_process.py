"""What only the executor without workers does."""

from collections.abc import Iterator
from typing import Any

import pytest

from daf.execution.executor import JobContext, JobDone, JobFailed, JobMessage
from daf.execution.in_process import InProcessExecutor

STEPS: list[Any] = []


def step(upto: int, context: JobContext) -> Iterator[int]:
    """Leaves a trace of how far it has come."""
    try:
        for i in range(upto):
            STEPS.append(i)
            yield i
    finally:
        STEPS.append("closed")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The trace of this test's jobs."""
    trace: list[Any] = []
    monkeypatch.setattr(f"{__name__}.STEPS", trace)
    return trace


def test_a_message_arrives_before_the_job_goes_on(steps: list[Any]) -> None:
    with InProcessExecutor(f"{__name__}:step") as executor:
        executor.submit(2)
        assert steps == []
        for expected in ([0], [0, 1]):
            assert isinstance(executor.next_event(), JobMessage)
            assert steps == expected
        assert executor.next_event() == JobDone(job_id=0, result=None)


def test_closing_ends_a_running_job_and_begins_no_other(steps: list[Any]) -> None:
    with InProcessExecutor(f"{__name__}:step") as executor:
        executor.submit(2)
        executor.submit(2)
        executor.next_event()
    assert steps == [0, "closed"]


def test_ctrl_c_reaches_the_caller_and_costs_one_job() -> None:
    with InProcessExecutor("tests.execution.jobs:perform") as executor:
        executor.submit(("interrupt", 0))
        executor.submit(("echo", 1))
        with pytest.raises(KeyboardInterrupt):
            executor.next_event()
        failed, done = executor.events()
    assert isinstance(failed, JobFailed)
    assert (failed.job_id, failed.reason) == (0, "stopped")
    assert done == JobDone(job_id=1, result=1)


def test_a_time_limit_is_refused() -> None:
    with InProcessExecutor("tests.execution.jobs:perform") as executor:
        with pytest.raises(ValueError, match="no time limit"):
            executor.submit(("echo", 1), time_limit_s=1.0)
        assert executor.next_event() is None
