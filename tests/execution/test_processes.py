"""Worker processes: what comes back, what survives, what is left behind."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from daf.execution.executor import Event, JobDone, JobFailed
from daf.execution.processes import ProcessExecutor

pytestmark = pytest.mark.real_workers


def pool(workers: int = 1, initializer: str | None = None) -> ProcessExecutor:
    return ProcessExecutor("tests.execution.jobs:perform", workers, initializer=initializer)


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


def test_a_stopped_process_is_ended_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daf.execution.processes.ABORT_LIMIT_S", 0.1)
    failed, done = run(("stop_itself", 0), ("echo", "next"), time_limit_s=0.5)
    assert isinstance(failed, JobFailed)
    assert failed.reason == "hung"
    assert done == JobDone(job_id=1, result="next")


def test_a_copy_that_a_job_forked_answers_nobody() -> None:
    assert run(("fork", 0), ("echo", 1), ("echo", 2)) == [
        JobDone(job_id=0, result="original"),
        JobDone(job_id=1, result=1),
        JobDone(job_id=2, result=2),
    ]


def test_a_process_that_sends_what_is_no_message_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daf.execution.processes.ABORT_LIMIT_S", 0.1)
    failed, done = run(("send_garbage", 0), ("echo", 1))
    assert isinstance(failed, JobFailed)
    assert failed.reason == "died"
    assert done == JobDone(job_id=1, result=1)


def test_what_a_job_prints_does_not_fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daf.execution.processes.LOG_BYTES", 1_000)
    with pool() as running:
        for text in ("x" * 10_000, "y"):
            running.submit(("print", text))
        assert all(isinstance(event, JobDone) for event in running.events())
        (worker,) = running._workers
        assert os.fstat(worker._log.fileno()).st_size < 1_000


def test_messages_restart_the_time_limit() -> None:
    assert run(("tick", 0.3), time_limit_s=1)[-1] == JobDone(job_id=0, result="ticked")


def test_the_initializer_runs_once_and_outside_the_time_limit() -> None:
    with pool(initializer="tests.execution.jobs:initialize") as running:
        for _ in range(2):
            running.submit(("initialized", 0), time_limit_s=0.5)
        results = [event.result for event in running.events() if isinstance(event, JobDone)]
    assert len(results) == 2
    assert len(results[0]) == 1
    assert results[0] == results[1]


def test_workers_print_nothing_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    run(("print", "hello"), ("kill", signal.SIGKILL))
    assert capfd.readouterr() == ("", "")


# Not guarded by `if __name__ == "__main__"`, as many a script is not.
SCRIPT = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from daf.execution.processes import ProcessExecutor
with ProcessExecutor("jobs:perform", 2) as pool:
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
    errors = parent.stderr.read().rstrip()
    assert errors.endswith("KeyboardInterrupt") if ending == signal.SIGINT else errors == ""
