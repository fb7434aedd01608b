"""Ctrl-C that waits, and what is said about it."""

import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from daf.cli.exit_codes import exit_code
from daf.execution.interrupts import end_in_order, interrupt_deferred
from daf.files import write_whole


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    reached = False
    with pytest.raises(KeyboardInterrupt), interrupt_deferred():
        signal.raise_signal(signal.SIGINT)
        reached = True
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_does_not_swallow_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), interrupt_deferred():
        signal.raise_signal(signal.SIGINT)
        raise ValueError("the server is not there, after minutes")


def test_an_interrupt_can_be_let_in_earlier() -> None:
    with pytest.raises(KeyboardInterrupt), interrupt_deferred() as stop_if_interrupted:
        stop_if_interrupted()
        signal.raise_signal(signal.SIGINT)
        stop_if_interrupted()
        raise AssertionError("went on")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_one_that_comes_in_a_destructor_is_not_lost() -> None:
    class Last:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), end_in_order():
        Last()
        time.sleep(10)
        raise AssertionError("went on")


def test_other_threads_never_get_one() -> None:
    seen: list[object] = []

    def work() -> None:
        with interrupt_deferred() as stop_if_interrupted:
            stop_if_interrupted()
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_a_full_disk_is_told_in_a_sentence(disk: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = disk("size=1m") / "weights.pt"
    assert exit_code(lambda: write_whole(path, bytes(2**21))) == 1
    told = capsys.readouterr().err
    assert told == f"daf_run: {path} cannot be written: No space left on device. What was written before stays.\n"


def test_an_interrupt_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert exit_code(interrupted) == 130
    assert capsys.readouterr().err == "\nInterrupted.\n"


ENDLESS = """
import signal, sys, time
from daf.cli.exit_codes import exit_code
from daf.execution.interrupts import end_in_order, interrupt_deferred
from daf.files import write_whole
def work():
    try:
        with interrupt_deferred():
            print("ready", flush=True)
        while True:
            with interrupt_deferred():
                time.sleep(0.05)
    finally:
        time.sleep(1)
        print("saved", flush=True)
sys.exit(exit_code(work))
"""


def ended(signals: list[signal.Signals], *, ignored: signal.Signals | None = None) -> tuple[int, str]:
    """How a process ends, and what it said, that gets signals, a third of a second apart, while it works."""

    def ignore() -> None:
        for number in ending:
            signal.signal(number, signal.SIG_IGN if number == ignored else signal.SIG_DFL)

    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=ignore,
    ) as process:
        assert process.stdout and process.stdout.readline() == "ready\n"
        for number in signals:
            process.send_signal(number)
            time.sleep(0.3)
        said, _ = process.communicate(timeout=20)
    return process.returncode, said


@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ([signal.SIGTERM], 143),
        ([signal.SIGHUP], 129),
        ([signal.SIGINT, signal.SIGINT, signal.SIGINT], 130),
        ([signal.SIGTERM, signal.SIGINT, signal.SIGTERM], 143),
        ([signal.SIGHUP, signal.SIGTERM], 129),
    ],
)
def test_what_ends_a_process_lets_it_save_once(signals: list[signal.Signals], code: int) -> None:
    assert ended(signals) == (code, "saved\n")


def test_what_was_ignored_at_the_start_stays_so() -> None:
    assert ended([signal.SIGHUP, signal.SIGTERM], ignored=signal.SIGHUP) == (143, "saved\n")
    assert ended([signal.SIGINT, signal.SIGTERM], ignored=signal.SIGINT) == (143, "saved\n")


CLEANS_UP = """
import atexit, sys, time
from daf.execution.interrupts import hear_no_more
class Slow:
    def __del__(self):
        print("far", flush=True)
        time.sleep(0.5)
slow = Slow()
atexit.register(lambda: (print("near", flush=True), time.sleep(0.5)))
atexit.register(hear_no_more)
sys.exit(int(sys.argv[1]))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGHUP, 1)])
def test_what_comes_after_the_work_changes_nothing(number: signal.Signals, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CLEANS_UP, str(code)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for stage in ("near", "far"):
            assert process.stdout and process.stdout.readline() == f"{stage}\n"
            process.send_signal(number)
        assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == code


def _stay(up: Event) -> None:
    up.set()
    time.sleep(60)


def test_a_forked_process_can_be_ended_as_usual() -> None:
    with end_in_order():
        context = multiprocessing.get_context("fork")
        up = context.Event()  # Python forgets signals that come while it forks
        child = context.Process(target=_stay, args=(up,))
        child.start()
        assert up.wait(20)
        child.terminate()
        child.join(10)
    assert child.exitcode == -signal.SIGTERM
