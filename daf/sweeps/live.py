"""What a person sees of a running sweep: a live table in a terminal, a line for each finished trial elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from daf.redaction import redacted, redactor
from daf.sweeps.status import SweepStatus, time_text, values_text

if TYPE_CHECKING:
    from rich.table import Table

#: Called with the status, what runs (name to a word about it), and what has just happened, if anything.
Show = Callable[[SweepStatus, Mapping[str, str], str], None]

MOST_EVENTS = 8
#: Seconds without an event after which a line says what runs.
SECONDS_BETWEEN_LINES = 20.0


@contextmanager
def live_view() -> Iterator[Show]:
    """Shows a sweep on standard error until the block ends."""
    console = Console(file=redacted(sys.stderr))
    if not console.is_terminal:
        yield _lines(console)
        return
    from rich.live import Live

    events: list[str] = []
    with Live(console=console, refresh_per_second=4, transient=True) as live:

        def show(status: SweepStatus, running: Mapping[str, str], event: str) -> None:
            events.extend([redactor().text(event)] if event else [])
            live.update(_table(status, running, events[-MOST_EVENTS:]))

        yield show


def _lines(console: Console) -> Show:
    """A line for every event, and one about what runs where there is none for a while."""
    last = time.monotonic()

    def show(status: SweepStatus, running: Mapping[str, str], event: str) -> None:
        nonlocal last
        if event or time.monotonic() - last > SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            what = event or f"running: {'; '.join(f'{name} {word}'.rstrip() for name, word in running.items())}"
            console.print(f"{what} | {status}", highlight=False, soft_wrap=True, markup=False, emoji=False)

    return show


def _table(status: SweepStatus, running: Mapping[str, str], events: list[str]) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"Sweep {status.name}", title_justify="left", show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column()
    counts = f"{status.complete} complete, {status.pruned} pruned, {status.failed} failed of {status.n_trials}"
    table.add_row("trials", counts)
    for name, word in running.items():
        table.add_row("running", escape(f"{name} {word}"))
    for event in events:
        table.add_row("", escape(event), style="dim")
    if status.best is not None:
        table.add_row("best", escape(f"{values_text(status.best_values)}: trial {status.best}, {status.best_name}"))
    if status.seconds_left is not None:
        table.add_row("time left", time_text(status.seconds_left))
    return table
