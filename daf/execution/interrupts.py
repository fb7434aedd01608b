"""Ctrl-C at a time of our own choosing, and the signals that mean the same."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

#: Seconds after an interrupt in which another one changes nothing, since what the first one ended is being saved.
PATIENCE_S = 5.0
#: What ends a session, a service or a container. Both mean the same as Ctrl-C.
ENDING = (signal.SIGTERM, signal.SIGHUP)


class _Endings:
    """What asked this process to end."""

    def __init__(self) -> None:
        self.begin(deaf_to_ctrl_c=False)

    def begin(self, *, deaf_to_ctrl_c: bool) -> None:
        """Forgets everything."""
        self.first: int | None = None
        self._deaf_to_ctrl_c = deaf_to_ctrl_c
        self._raised_at = float("-inf")
        self._process_id = os.getpid()

    def on_ending(self, number: int, _: FrameType | None) -> None:
        """Takes SIGTERM or SIGHUP to whoever handles, or holds back, Ctrl-C at the moment."""
        if os.getpid() != self._process_id:
            _end_forked(number)
        self.first = self.first or number
        signal.raise_signal(signal.SIGINT)

    def on_interrupt(self, _: int, __: FrameType | None) -> None:
        """Raises KeyboardInterrupt, once in `PATIENCE_S` seconds."""
        if self._deaf_to_ctrl_c and self.first is None:
            return
        self.first = self.first or signal.SIGINT
        if time.monotonic() - self._raised_at > PATIENCE_S:
            self._raised_at = time.monotonic()
            raise KeyboardInterrupt

    def raise_again(self) -> None:
        """Raises a KeyboardInterrupt once more that was lost where Python ignores errors, such as in a destructor."""
        self._raised_at = float("-inf")
        # Not at once, which would be in the same place.
        later = threading.Timer(0.02, signal.raise_signal, (signal.SIGINT,))
        later.daemon = True
        later.start()


_endings = _Endings()


@contextmanager
def end_in_order() -> Iterator[None]:
    """Makes SIGTERM and SIGHUP act as Ctrl-C in the block, and a second one wait until the first is dealt with.

    A signal that the process was started without stays ignored, as SIGHUP under `nohup`.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDING)}
    _endings.begin(deaf_to_ctrl_c=before[signal.SIGINT] is signal.SIG_IGN)
    signal.signal(signal.SIGINT, _endings.on_interrupt)
    for number in ENDING:
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, _endings.on_ending)
    hook = sys.unraisablehook

    def on_ignored(ignored: "sys.UnraisableHookArgs") -> None:
        if isinstance(ignored.exc_value, KeyboardInterrupt):
            _endings.raise_again()
        else:
            hook(ignored)

    sys.unraisablehook = on_ignored
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def hear_no_more() -> None:
    """Makes this process, whose work is done, deaf to what asks it to end.

    Python takes up to seconds to clean up, with its own handlers gone in the middle. What comes in them would have a
    finished run look like an interrupted one, print a traceback, or hide the code that an interrupted one ends with.
    """
    for number in (signal.SIGINT, *ENDING):
        signal.signal(number, signal.SIG_IGN)


def leave_the_end_to_the_parent() -> None:
    """Makes a worker process deaf to what is sent to a whole group: its parent ends it when the time has come."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in ENDING:
        signal.signal(number, _unheard_by(os.getpid()))  # and not SIG_IGN, which what it starts would inherit


def _unheard_by(process_id: int) -> Callable[[int, FrameType | None], None]:
    def unheard(number: int, _: FrameType | None) -> None:
        if os.getpid() != process_id:
            _end_forked(number)

    return unheard


def ended_by() -> int:
    """The signal that asked this process to end first; SIGINT if none did."""
    return _endings.first or signal.SIGINT


def _end_forked(number: int) -> None:
    """Ends a forked process as if it had no handler, so that whoever forked it can end it."""
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


@contextmanager
def interrupt_deferred() -> Iterator[Callable[[], None]]:
    """Holds Ctrl-C back until the block ends, or until what it yields is called. Only the main thread ever gets one."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    received: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: received.append(number))

    def deliver() -> None:
        if received:
            received.clear()
            signal.signal(signal.SIGINT, handler)
            signal.raise_signal(signal.SIGINT)

    try:
        yield deliver
    finally:
        signal.signal(signal.SIGINT, handler)
        deliver()
