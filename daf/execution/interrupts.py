"""Ctrl-C at a time of our own choosing."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


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
