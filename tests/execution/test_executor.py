"""The contract of `Executor`, which every executor keeps: one worker process, two, and this process."""

from collections.abc import Callable
from typing import Any

import pytest

from daf.execution.executor import Event, Executor, JobDone, JobFailed, JobMessage
from daf.execution.in_process import InProcessExecutor
from daf.execution.processes import ProcessExecutor
from tests.execution import jobs

pytestmark = pytest.mark.real_workers

Make = Callable[..., Executor]
TARGET = "tests.execution.jobs:perform"
KINDS: dict[str, Make] = {
    "in process": lambda **options: InProcessExecutor(TARGET, **options),
    "one process": lambda **options: ProcessExecutor(TARGET, 1, **options),
    "two processes": lambda **options: ProcessExecutor(TARGET, 2, **options),
}
ONE_AT_A_TIME = pytest.mark.parametrize("kind", ["in process", "one process"])


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Make:
    """Makes an executor of each kind."""
    return KINDS[request.param]


def events_of(executor: Executor, *payloads: tuple[str, Any]) -> dict[int, list[Event]]:
    """Submits jobs, and returns the events of each."""
    events: dict[int, list[Event]] = {executor.submit(payload): [] for payload in payloads}
    for event in executor.events():
        events[event.job_id].append(event)
    return events


@pytest.mark.parametrize("action", ["count", "generate"])
def test_messages_arrive_in_order_before_the_result(make: Make, action: str) -> None:
    with make() as executor:
        first, second = events_of(executor, (action, 3), (action, 0)).items()
    assert first[1] == [*(JobMessage(job_id=first[0], message=i) for i in range(3)), JobDone(job_id=first[0], result=3)]
    assert second[1] == [JobDone(job_id=second[0], result=0)]


def test_every_job_ends_exactly_once(make: Make) -> None:
    payloads = [("echo", 1), ("raise", "x"), ("count", 2), ("generate_and_raise", 2), ("exit", 1), ("generate", 1)]
    with make() as executor:
        events = events_of(executor, *payloads)
        assert executor.next_event() is None
    assert len(events) == len(payloads)
    for of_job in events.values():
        assert [isinstance(event, JobMessage) for event in of_job] == [True] * (len(of_job) - 1) + [False]


@pytest.mark.parametrize(
    ("payload", "text"), [(("raise", "nothing"), "KeyError: 'nothing'"), (("exit", 3), "SystemExit: 3")]
)
def test_an_exception_fails_its_job_alone(make: Make, payload: tuple[str, Any], text: str) -> None:
    with make() as executor:
        (before,), (failed,), (after,) = events_of(executor, ("echo", 1), payload, ("echo", 2)).values()
    assert isinstance(failed, JobFailed)
    assert failed.reason == "error"
    assert failed.traceback.startswith("Traceback")
    assert failed.traceback.rstrip().endswith(text)
    assert (before, after) == (JobDone(job_id=0, result=1), JobDone(job_id=2, result=2))


def test_messages_before_an_exception_are_kept(make: Make) -> None:
    with make() as executor:
        (*messages, failed), (after,) = events_of(executor, ("generate_and_raise", 2), ("echo", 2)).values()
    assert messages == [JobMessage(job_id=0, message=0), JobMessage(job_id=0, message=1)]
    assert isinstance(failed, JobFailed)
    assert (failed.reason, "in the middle" in failed.traceback) == ("error", True)
    assert after == JobDone(job_id=1, result=2)


def test_jobs_can_be_submitted_while_others_run(make: Make) -> None:
    results = []
    with make() as executor:
        executor.submit(("echo", 3))
        for event in executor.events():
            assert isinstance(event, JobDone)
            results.append(event.result)
            if event.result:
                executor.submit(("echo", event.result - 1))
    assert results == [3, 2, 1, 0]


@ONE_AT_A_TIME
def test_equal_jobs_begin_in_the_order_of_their_submission(kind: str) -> None:
    with KINDS[kind]() as executor:
        ids = [executor.submit(("echo", None)) for _ in range(5)]
        assert [event.job_id for event in executor.events()] == ids


@ONE_AT_A_TIME
def test_a_running_job_stops_when_asked_and_a_waiting_one_never_begins(kind: str) -> None:
    with KINDS[kind]() as executor:
        first, second = (executor.submit(("generate_until_stopped", 0)) for _ in range(2))
        third = executor.submit(("echo", 0))
        assert executor.next_event() == JobMessage(job_id=first, message="running")
        executor.stop(second)
        executor.stop(first)
        ends: dict[int, Any] = {
            event.job_id: event for event in executor.events() if event != JobMessage(job_id=first, message="running")
        }
        executor.stop(third)  # too late to matter
        executor.stop(1000)
        last = executor.submit(("echo", "still here"))
        assert list(executor.events()) == [JobDone(job_id=last, result="still here")]
    assert ends[first] == JobDone(job_id=first, result="stopped when asked")
    assert ends[second].reason == "stopped"
    assert ends[third] == JobDone(job_id=third, result=0)


def test_an_error_of_the_one_who_takes_events_is_not_the_jobs(make: Make) -> None:
    with make() as executor:
        executor.submit(("generate", 3))
        with pytest.raises(OSError, match="no space left"):
            for _ in executor.events():
                raise OSError("no space left")
        *_, end = executor.events()
    assert end == JobDone(job_id=0, result=3)


def test_the_initializer_runs_before_the_first_job_and_once_in_a_worker(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "INITIALIZED", [])
    with make(initializer="tests.execution.jobs:initialize") as executor:
        events = events_of(executor, ("initialized", 0), ("initialized", 0), ("initialized", 0))
    results = [event.result for (event,) in events.values() if isinstance(event, JobDone)]
    assert [len(pids) for pids in results] == [1, 1, 1]


def test_a_failing_initializer_fails_each_job_with_its_traceback(make: Make) -> None:
    with make(initializer="tests.execution.jobs:fail_to_initialize") as executor:
        events = events_of(executor, ("echo", 0), ("echo", 1))
    for (failed,) in events.values():
        assert isinstance(failed, JobFailed)
        assert failed.reason == "died"
        assert "no such accelerator" in failed.traceback


def test_a_closed_executor_has_no_jobs_and_takes_none(make: Make) -> None:
    executor = make()
    executor.submit(("generate", 3))
    executor.submit(("echo", 1))
    assert executor.next_event() is not None
    executor.close()
    executor.close()
    assert executor.next_event() is None
    assert list(executor.events()) == []
    with pytest.raises(RuntimeError, match="closed"):
        executor.submit(("echo", 1))
