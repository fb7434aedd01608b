"""Ctrl-C that waits, and what is said about it."""

import signal
import threading

import pytest

from daf.cli.exit_codes import exit_code
from daf.execution.interrupts import interrupt_deferred


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


def test_an_interrupt_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert exit_code(interrupted) == 130
    assert capsys.readouterr().err == "\nInterrupted.\n"
