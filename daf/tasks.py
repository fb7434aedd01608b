"""What a task is, and how it is found."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from daf.errors import DAFConfigError, Problem
from daf.results import TaskResult

if TYPE_CHECKING:
    pass


WIDTH_OF_FILES = 160


def load_task(function: str) -> Callable[..., TaskResult]:
    """The function behind a dotted path.

    Raises:
        DAFConfigError: there is no such function.
    """
    module, _, name = function.rpartition(".")
    try:
        task: Callable[..., TaskResult] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise DAFConfigError([Problem("task.function", f"{function!r} cannot be imported: {error}.")]) from error
    return task


def tell_result(result: TaskResult, output_dir: Path, run_id: str, uri: str | None) -> None:
    """Prints what came out, where its files are and how it is found again in the store at `uri`."""
    from rich.console import Console

    from daf.tracking.store import ui_command

    # In a file or a pipe there is no edge to wrap at. Brackets and colons in names are no markup and no emoji.
    console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_FILES, markup=False, emoji=False, highlight=False)
    for table in result.tables:
        console.print(table.to_rich())
    for note in result.notes:
        console.print(note, soft_wrap=True)
    console.print(f"Files: {output_dir}", soft_wrap=True)
    console.print(f"MLflow run: {run_id} ({ui_command(uri)})", soft_wrap=True)
