"""How long work shows that it is going on: a bar in a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from daf.redaction import redacted

#: Called with the amount finished so far and a short text that goes behind the bar.
Advance = Callable[[float, str], None]

SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def progress(label: str, total: float) -> Iterator[Advance]:
    """Shows progress on standard error until the block ends."""
    console = Console(file=redacted(sys.stderr), markup=False, emoji=False, highlight=False)
    if console.is_terminal:
        with _bar(console, label, total) as advance:
            yield advance
        return
    yield _lines(console, label, total)


@contextmanager
def _bar(console: Console, label: str, total: float) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("<"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(label, total=total, note="")
        yield lambda done, note: bar.update(task, completed=min(done, total), note=note)


def _lines(console: Console, label: str, total: float) -> Advance:
    last = 0.0

    def advance(done: float, note: str) -> None:
        nonlocal last
        if time.monotonic() - last < SECONDS_BETWEEN_LINES and done < total:
            return
        last = time.monotonic()
        console.print(f"{label}: {min(done, total):,.0f}/{total:,.0f} {note}", soft_wrap=True)

    return advance
