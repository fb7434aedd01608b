"""What the executors of these tests run."""

import faulthandler
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

from daf.execution.executor import JobContext

INITIALIZED: list[int] = []


def initialize() -> None:
    time.sleep(1)
    INITIALIZED.append(os.getpid())


def fail_to_initialize() -> None:
    raise RuntimeError("no such accelerator")


def perform(payload: tuple[str, Any], context: JobContext) -> Any:
    """The target of all executors here; the payload says what to do."""
    action, value = payload
    return ACTIONS[action](value, context)


def count(upto: int, context: JobContext) -> int:
    for i in range(upto):
        context.report(i)
    return upto


def generate(upto: int, context: JobContext) -> Generator[int, None, int]:
    yield from range(upto)
    return upto


def generate_and_raise(upto: int, context: JobContext) -> Iterator[int]:
    yield from range(upto)
    raise ValueError("in the middle")


def generate_until_stopped(_: Any, context: JobContext) -> Generator[str, None, str]:
    while not context.should_stop():
        yield "running"
        time.sleep(0.01)
    return "stopped when asked"


def tick(seconds: float, context: JobContext) -> str:
    for _ in range(5):
        time.sleep(seconds)
        context.report("tick")
    return "ticked"


def a_loop_that_never_ends(_: Any, context: JobContext) -> None:
    while True:
        pass


def with_child(_: Any, context: JobContext) -> None:
    child = subprocess.Popen(["sleep", "1000"])
    print("some noise")
    context.report((os.getpid(), child.pid))
    while True:
        pass


def fork(_: Any, context: JobContext) -> str:
    """Returns twice, once in a copy of this process."""
    return "copy" if os.fork() == 0 else "original"


def stop_itself(_: Any, context: JobContext) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def send_garbage(_: Any, context: JobContext) -> None:
    context._connection.send_bytes(b"garbage")  # type: ignore[attr-defined]
    time.sleep(60)


def interrupt(_: Any, context: JobContext) -> None:
    raise KeyboardInterrupt


ACTIONS: dict[str, Callable[[Any, JobContext], Any]] = {
    "pid": lambda _, context: os.getpid(),
    "echo": lambda value, context: value,
    "sleep": lambda value, context: time.sleep(value),
    "raise": lambda value, context: {}[value],
    "exit": lambda value, context: sys.exit(value),
    "kill": lambda value, context: os.kill(os.getpid(), value),
    "segfault": lambda value, context: faulthandler._sigsegv(),  # type: ignore[attr-defined]
    "unpicklable": lambda value, context: lambda: None,
    "initialized": lambda value, context: list(INITIALIZED),
    "print": lambda value, context: print(value, flush=True),
    "count": count,
    "generate": generate,
    "generate_and_raise": generate_and_raise,
    "generate_until_stopped": generate_until_stopped,
    "tick": tick,
    "hang": a_loop_that_never_ends,
    "with_child": with_child,
    "interrupt": interrupt,
    "fork": fork,
    "stop_itself": stop_itself,
    "send_garbage": send_garbage,
}
