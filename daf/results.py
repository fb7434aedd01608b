"""What a task gives back: an objective for sweeps, tables for people."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


#: Cells up to this length, numbers with their intervals, stay on one line; longer ones share what room is left.
SHORT = 20
LEAST_WIDTH = 12


def json_ready(value: Any) -> Any:
    """The same with numbers that JSON does not know as text (an effect size is infinite where nothing varies)."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    return value


@dataclass(frozen=True)
class ResultTable:
    """A small table that can be printed, and written as CSV or Markdown.

    Attributes:
        columns: headings; the first column names the row, the others hold numbers or short texts.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def to_rich(self) -> "Table":
        """The table for a terminal. `Text` keeps rich from reading markup into names such as ``[/models/best.pt]``."""
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(self.title, style="bold"), title_justify="left")
        for index, column in enumerate(self.columns):
            short = all(len(row[index]) <= SHORT for row in self.rows)
            table.add_column(
                Text(column),
                justify="right" if index else "left",
                overflow="fold",
                no_wrap=short,
                min_width=None if short else LEAST_WIDTH,
            )
        for row in self.rows:
            table.add_row(*map(Text, row))
        return table

    @property
    def file_name(self) -> str:
        """What a file of it is called, without an ending."""
        return "".join(c if c.isalnum() else "_" for c in self.title.lower()).strip("_")

    def to_csv(self) -> str:
        """The table as CSV with a heading."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.columns, *self.rows])
        return text.getvalue()

    def to_markdown(self) -> str:
        """The table as Markdown, its title as a heading."""

        def line(cells: Sequence[str]) -> str:
            return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

        rule = "|" + " --- |" * len(self.columns)
        return "\n".join([f"## {self.title}", "", line(self.columns), rule, *map(line, self.rows), ""])


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """What every task returns.

    Attributes:
        objective: what a sweep optimises (several values for several objectives), or None.
        tables: what is printed at the end and kept in MLflow.
        notes: sentences for the user, such as where to look next.
        failed: episodes without which the result is not whole: a shell script is told so.
        refused: why the answer is no, where the task was asked a question: a shell script is told so. Else None.
        metrics: named numbers of the result, for programs.
        facts: named words of the result, for programs, such as the winner.
        files: what it wrote, by names that programs know, such as ``checkpoint`` or ``report``.
        next: the command that goes on from here, or None.
    """

    objective: float | tuple[float, ...] | None
    tables: tuple[ResultTable, ...] = ()
    notes: tuple[str, ...] = field(default=())
    failed: int = 0
    refused: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    next: str | None = None
