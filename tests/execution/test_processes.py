"""The worker pool: what comes back, what survives, what is left behind."""

import faulthandler
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from daf.execution.executor import Event, JobContext, JobDone, JobFailed, JobMessage
from daf.execution.processes import ProcessExecutor

INITIALIZED: list[int] = []


def initialize() -> None:
    time.sleep(1)
    INITIALIZED.append(os.getpid())


def fail_to_initialize() -> None:
    raise RuntimeError("no such accelerator")


def perform(payload: tuple[str, Any], job: JobContext) -> Any:
    """The target of all pools here; the payload says what to do."""
    action, value = payload
    return ACTIONS[action](value, job)


def count(upto: int, job: JobContext) -> int:
    for i in range(upto):
        job.report(i)
    return upto


def tick(seconds: float, job: JobContext) -> str:
    for _ in range(5):
        time.sleep(seconds)
        job.report("tick")
    return "ticked"


def until_stopped(_: Any, job: JobContext) -> str:
    job.report("running")
    while not job.should_stop():
        time.sleep(0.01)
    return "stopped when asked"


def a_loop_that_never_ends(_: Any, job: JobContext) -> None:
    while True:
        pass


def with_child(_: Any, job: JobContext) -> None:
    child = subprocess.Popen(["sleep", "1000"])
    print("some noise")
    job.report((os.getpid(), child.pid))
    while True:
        pass


ACTIONS: dict[str, Callable[[Any, JobContext], Any]] = {
    "pid": lambda _, job: os.getpid(),
    "echo": lambda value, job: value,
    "sleep": lambda value, job: time.sleep(value),
    "raise": lambda value, job: {}[value],
    "exit": lambda value, job: sys.exit(value),
    "kill": lambda value, job: os.kill(os.getpid(), value),
    "segfault": lambda value, job: faulthandler._sigsegv(),  # type: ignore[attr-defined]
    "unpicklable": lambda value, job: lambda: None,
    "initialized": lambda value, job: INITIALIZED,
    "print": lambda value, job: print(value, flush=True),
    "count": count,
    "tick": tick,
    "until_stopped": until_stopped,
    "hang": a_loop_that_never_ends,
    "with_child": with_child,
}


def pool(workers: int = 1, initializer: str | None = None) -> ProcessExecutor:
    return ProcessExecutor(f"{__name__}:perform", workers, initializer=initializer)


def run(*jobs: tuple[str, Any], workers: int = 1, time_limit_s: float | None = None) -> list[Event]:
    """The events of jobs in the order of their completion."""
    with pool(workers) as running:
        for job in jobs:
            running.submit(job, time_limit_s=time_limit_s)
        return list(running.events())


def is_gone(pid: int) -> bool:
    """Whether a process has ended, even where nobody reaps it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until_gone(pids: list[int], seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not all(map(is_gone, pids)):
        time.sleep(0.02)
    return all(map(is_gone, pids))


def test_messages_arrive_one_by_one_before_the_result() -> None:
    assert run(("count", 3)) == [
        *(JobMessage(job_id=0, message=i) for i in range(3)),
        JobDone(job_id=0, result=3),
    ]


def test_two_workers_share_the_work_and_stay() -> None:
    with pool(2) as running:
        for _ in range(10):
            running.submit(("pid", None))
            running.submit(("sleep", 0.05))
        pids = {event.result for event in running.events() if isinstance(event, JobDone)} - {None}
    assert len(pids) == 2
    assert wait_until_gone(list(pids))


def test_the_most_expensive_job_goes_first_and_equals_in_order() -> None:
    with pool() as running:
        ids = [running.submit(("echo", None), cost=cost) for cost in (1, 5, 1, 9)]
        done = [event.job_id for event in running.events()]
    assert done == [ids[3], ids[1], ids[0], ids[2]]


def test_jobs_can_be_submitted_while_others_run() -> None:
    results = []
    with pool(2) as running:
        running.submit(("echo", 3))
        for event in running.events():
            assert isinstance(event, JobDone)
            results.append(event.result)
            if event.result:
                running.submit(("echo", event.result - 1))
    assert results == [3, 2, 1, 0]


def test_next_event_gives_up_after_its_timeout() -> None:
    with pool() as running:
        running.submit(("sleep", 60))
        started = time.monotonic()
        assert running.next_event(timeout_s=0.2) is None
        assert 0.2 <= time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("job", "text"),
    [(("raise", "nothing"), "KeyError: 'nothing'"), (("exit", 3), "SystemExit: 3"), (("unpicklable", 0), "pickle")],
)
def test_an_exception_fails_its_job_and_spares_the_worker(job: tuple[str, Any], text: str) -> None:
    before, failed, after = run(("pid", None), job, ("pid", None))
    assert isinstance(failed, JobFailed)
    assert failed.reason == "error"
    assert text in failed.traceback
    assert isinstance(before, JobDone)
    assert isinstance(after, JobDone)
    assert before.result == after.result


def test_a_killed_worker_is_replaced_and_nothing_else_is_lost() -> None:
    events = run(("pid", 0), ("kill", signal.SIGKILL), ("pid", 0), ("pid", 0), ("echo", "x"), workers=2)
    failed = [event for event in events if isinstance(event, JobFailed)]
    assert [(event.job_id, event.reason) for event in failed] == [(1, "died")]
    assert "SIGKILL" in failed[0].traceback
    assert sorted(event.job_id for event in events if isinstance(event, JobDone)) == [0, 2, 3, 4]


def test_a_crash_leaves_a_traceback_and_what_the_job_printed() -> None:
    *_, failed = run(("print", "of an earlier job"), ("segfault", 0))
    assert isinstance(failed, JobFailed)
    assert "SIGSEGV" in failed.traceback
    assert "in perform" in failed.traceback
    assert "of an earlier job" not in failed.traceback


def test_a_job_that_hangs_is_ended_and_says_where_it_was() -> None:
    failed, done = run(("hang", 0), ("echo", "next"), time_limit_s=0.5)
    assert isinstance(failed, JobFailed)
    assert failed.reason == "hung"
    assert "0.5 s" in failed.traceback
    assert "a_loop_that_never_ends" in failed.traceback
    assert done == JobDone(job_id=1, result="next")


def test_messages_restart_the_time_limit() -> None:
    assert run(("tick", 0.3), time_limit_s=1)[-1] == JobDone(job_id=0, result="ticked")


def test_a_running_job_stops_when_asked_and_a_waiting_one_never_begins() -> None:
    with pool() as running:
        first, second, third = (running.submit((name, 0)) for name in ("until_stopped", "until_stopped", "echo"))
        assert running.next_event() == JobMessage(job_id=first, message="running")
        running.stop(second)
        running.stop(first)
        events: dict[int, Any] = {event.job_id: event for event in running.events()}
        running.stop(third)  # too late to matter
        last = running.submit(("echo", "still here"))
        assert list(running.events()) == [JobDone(job_id=last, result="still here")]
    assert events[first] == JobDone(job_id=first, result="stopped when asked")
    assert events[second].reason == "stopped"
    assert events[third] == JobDone(job_id=third, result=0)


def test_the_initializer_runs_once_and_outside_the_time_limit() -> None:
    with pool(initializer=f"{__name__}:initialize") as running:
        for _ in range(2):
            running.submit(("initialized", 0), time_limit_s=0.5)
        results = [event.result for event in running.events() if isinstance(event, JobDone)]
    assert len(results) == 2
    assert len(results[0]) == 1
    assert results[0] == results[1]


def test_a_failing_initializer_fails_the_job_with_its_traceback() -> None:
    with pool(initializer=f"{__name__}:fail_to_initialize") as running:
        running.submit(("echo", 0))
        (failed,) = running.events()
    assert isinstance(failed, JobFailed)
    assert failed.reason == "died"
    assert "no such accelerator" in failed.traceback


def test_workers_print_nothing_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    run(("print", "hello"), ("kill", signal.SIGKILL))
    assert capfd.readouterr() == ("", "")


# Not guarded by `if __name__ == "__main__"`, as many a script is not.
SCRIPT = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from daf.execution.processes import ProcessExecutor
with ProcessExecutor("test_processes:perform", 2) as pool:
    for _ in range(2):
        pool.submit(("with_child", 0))
    for event in pool.events():
        print(*event.message, flush=True)
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_parent(ending: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert parent.stdout
    assert parent.stderr
    pids = [int(pid) for _ in range(2) for pid in parent.stdout.readline().split()]
    assert len(pids) == 4
    parent.send_signal(ending)
    assert parent.wait(10) == -ending
    assert wait_until_gone(pids)
    assert parent.stderr.read().rstrip().endswith("KeyboardInterrupt" if ending == signal.SIGINT else "")
