"""What a task gives back: an objective for sweeps, tables for people."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


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
        """The table for a terminal."""
        from rich.table import Table

        table = Table(title=self.title, title_justify="left", title_style="bold")
        for index, column in enumerate(self.columns):
            table.add_column(column, justify="right" if index else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*row)
        return table

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
    """

    objective: float | tuple[float, ...] | None
    tables: tuple[ResultTable, ...] = ()
    notes: tuple[str, ...] = field(default=())
