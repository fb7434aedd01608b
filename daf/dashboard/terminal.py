"""The same in a terminal: tables that are drawn anew where it is one, plain lines of what changed elsewhere."""

import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from daf.config.schemas import DAFConfig
from daf.dashboard.board import Board
from daf.redaction import redacted
from daf.sweeps.status import time_text
from daf.visualization.text import number_text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

#: Seconds between two looks.
EVERY_S = 2.0
#: Ended runs that are shown.
MOST_ENDED = 12
#: A word is not enough where colour is missing, and colour is not where the word is long.
MARKS = {
    "running": "●",
    "finished": "✓",
    "ok": "✓",
    "skipped": "→",
    "warning": "!",
    "complete": "✓",
    "failed": "✕",
    "killed": "■",
    "stopped": "■",
    "lost": "?",
    "silent": "…",
}
BLOCKS = "▁▂▃▄▅▆▇█"


def watch_in_terminal(config: DAFConfig, *, once: bool) -> None:
    """Shows what runs until Ctrl-C, or once."""
    from rich.console import Console

    console, board = Console(file=redacted(sys.stdout), highlight=False), Board(config)
    if once or not console.is_terminal:
        _lines(console, board, once)
        return
    from rich.live import Live

    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(_picture(_state(board)), refresh=True)
            time.sleep(EVERY_S)


def _state(board: Board) -> dict[str, Any]:
    """All that the board says."""
    _, whole = board.changes()
    assert whole is not None, "nothing is left out for who knows nothing"
    return whole


def _lines(console: "Console", board: Board, once: bool) -> None:
    """Everything as plain lines, then only the lines that are new."""
    shown: list[str] = []
    while True:
        state = _state(board)
        lines = [*_notices(state), *(line_of(item) for item in _in_order(state))]
        for line in lines if shown else [_heading(state), *lines]:
            if line not in shown:
                console.print(line, markup=False, emoji=False, soft_wrap=True)
        shown = lines
        if once:
            return
        sys.stdout.flush()
        time.sleep(EVERY_S)


def _in_order(state: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for key in (*state["going"], *state["ended"][:MOST_ENDED]):
        yield state["items"][key]


def _heading(state: Mapping[str, Any]) -> str:
    return f"{state['store']}: {len(state['going'])} running, {len(state['workers'])} processes"


def _notices(state: Mapping[str, Any]) -> list[str]:
    return [state["problem"]] if state["problem"] else []


def line_of(item: Mapping[str, Any]) -> str:
    """A run in one line."""
    stages = ", ".join(f"{stage['name']} {stage['state']}" for stage in item.get("stages", ()))
    parts = [item["state"], item["kind"], item["name"], progress_text(item), value_text(item), stages, item["word"]]
    return "  ".join(" ".join(part.split()) for part in parts if part)


def progress_text(item: Mapping[str, Any]) -> str:
    """How far it is, and how long it will take."""
    if sweep := item.get("sweep"):
        return _sweep_text(sweep)
    progress = item["progress"]
    if not progress or not item["going"]:
        return ""
    left = (progress["total"] - progress["done"]) / progress["rate"] if progress["rate"] else 0
    done = f"{progress['done']:,}/{progress['total']:,} steps at {progress['rate']:,.0f} a second"
    return f"{done}, {time_text(left)} left" if left > 0 else done


def _sweep_text(sweep: Mapping[str, Any]) -> str:
    if problem := sweep.get("problem"):
        return str(problem)
    counts = [f"{sweep[each]} {each}" for each in ("running", "pruned", "stopped", "failed", "waiting") if sweep[each]]
    left = sweep["seconds_left"] if sweep["at_work"] else None
    time_left = [f"{time_text(left)} left"] if left else []
    return ", ".join([f"{sweep['finished']}/{sweep['n_trials']} trials", *counts, *time_left])


def value_text(item: Mapping[str, Any]) -> str:
    """How good it is."""
    best = item.get("sweep", {}).get("best")
    if best:
        return f"best {', '.join(map(number_text, best['values']))} (trial {best['number']}: {best['name']})"
    return f"{item['value'][0]} {number_text(item['value'][1])}" if item["value"] else ""


def spark(points: list[tuple[int, float]], width: int = 12) -> str:
    """A curve in a line of text."""
    values = [value for _, value in points[:: -(-len(points) // width) or 1]]
    low, high = min(values, default=0.0), max(values, default=0.0)
    return "".join(BLOCKS[round((value - low) / ((high - low) or 1) * 7)] for value in values)


def _picture(state: Mapping[str, Any]) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    going = [state["items"][key] for key in state["going"]]
    ended = [state["items"][key] for key in state["ended"][:MOST_ENDED]]
    notices = [Text(notice, style="red") for notice in _notices(state)]
    tables = [_table(title, items) for title, items in (("Running", going), ("Ended", ended)) if items]
    nothing = [] if tables else [Text("Nothing has run against this store yet.")]
    return Group(Text(_heading(state), style="dim"), *notices, *tables, *nothing)


def _table(title: str, items: list[dict[str, Any]]) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0), expand=True)
    breaks = {"": False, "what": False, "name": True, "how far": True, "curve": False, "how good": True}
    for name, may_break in breaks.items():
        table.add_column(name, overflow="fold", no_wrap=not may_break, header_style="dim")
    for item in items:
        far = progress_text(item) or item["word"]
        row = (_mark(item), item["kind"], item["name"], far, spark(item["curve"]), value_text(item))
        table.add_row(*map(escape, row))
        for stage in item.get("stages", ()):
            table.add_row(f"  {_mark(stage)}", "", escape(f"  {stage['name']}"))
    return table


def _mark(item: Mapping[str, Any]) -> str:
    return f"{MARKS.get(item['state'], '·')} {item['state']}"
