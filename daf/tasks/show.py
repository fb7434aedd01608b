"""How the result of a task is printed."""

import sys
from dataclasses import replace
from pathlib import Path

from daf.redaction import redacted, redactor
from daf.results import TaskResult
from daf.tracking.store import ui_command

WIDTH_OF_FILES = 160


def print_result(result: TaskResult, output_dir: Path, run_id: str | None, uri: str | None) -> None:
    """Prints what came out, where its files are and how it is found again in the store at `uri`.

    Args:
        run_id: the MLflow run; None where there is none, and no files either.
    """
    from rich.console import Console

    # In a file or a pipe there is no edge to wrap at. Brackets and colons in names are no markup and no emoji.
    width, redact = None if sys.stdout.isatty() else WIDTH_OF_FILES, redactor()
    console = Console(file=redacted(sys.stdout), width=width, markup=False, emoji=False, highlight=False)
    for table in result.tables:
        # Before long cells are cut into lines.
        rows = tuple(tuple(map(redact.text, row)) for row in table.rows)
        console.print(replace(table, rows=rows).to_rich())
    for note in result.notes:
        console.print(note, soft_wrap=True)
    if run_id is None:
        return
    console.print(f"Files: {output_dir}", soft_wrap=True)
    console.print(f"MLflow run: {run_id} ({ui_command(uri)})", soft_wrap=True)
