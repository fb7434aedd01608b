"""How the result of a task is printed."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from daf.redaction import redacted, redactor
from daf.results import ResultTable, TaskResult, broken
from daf.tracking.store import ui_command

if TYPE_CHECKING:
    from rich.console import Console

#: What people look at, and the folders below the output folder in which tasks leave it.
PICTURES = (".png", ".svg", ".html")
FOLDERS_OF_PICTURES = ("plots", "comparison/plots", "power/plots")


def print_result(result: TaskResult, output_dir: Path, run_id: str, uri: str | None) -> None:
    """Prints what came out, its pictures and files, how it is found in the store at `uri`, and what goes on from it."""
    from rich.console import Console

    # Brackets and colons in names are no markup and no emoji.
    console = Console(file=redacted(sys.stdout), markup=False, emoji=False, highlight=False)
    for table in result.tables:
        console.print(_redacted(table).to_rich(), crop=False)
        console.print()
    for note in (*result.notes, *pictures(output_dir)):
        print_sentence(console, note)
    for line in _endings(result, output_dir, run_id, uri):
        console.print(line, soft_wrap=True)  # whole, so that it can be copied


def print_sentence(console: "Console", text: str) -> None:
    """Prints a text that a terminal breaks between words; in a file or a pipe there is no edge to break it at."""
    width = console.width if console.is_terminal else None
    for line in chain.from_iterable(broken(part, width) for part in text.splitlines()):
        console.print(line, soft_wrap=True)


def pictures(output_dir: Path) -> Iterator[str]:
    """A sentence about every folder with pictures or reports in it."""
    for folder in filter(Path.is_dir, (output_dir / name for name in FOLDERS_OF_PICTURES)):
        if names := sorted(path.name for path in folder.iterdir() if path.suffix in PICTURES):
            yield f"Pictures in {folder}: {', '.join(names)}"


def _redacted(table: ResultTable) -> ResultTable:
    """The table without secrets, before long cells are cut into lines."""
    text = redactor().text
    return replace(table, rows=tuple(tuple(map(text, row)) for row in table.rows))


def _endings(result: TaskResult, output_dir: Path, run_id: str, uri: str | None) -> Iterator[str]:
    if output_dir.is_dir():  # a task that only answers a question makes none
        yield f"Files: {output_dir}"
    if run_id:  # a task that tracks nothing has none
        yield f"MLflow run: {run_id} ({ui_command(uri)})"
    if result.next:
        yield f"Go on with: {result.next}"
