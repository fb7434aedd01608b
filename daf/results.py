"""What a task gives back: an objective for sweeps, tables for people."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.table import Table


#: How a run, or what was asked of one, has ended. ``failed`` has an error, ``refused`` is an answer, such as a gate's
#: no; a ``refused_request`` could not be begun as it was asked for.
Status = Literal["ok", "failed", "refused", "interrupted", "refused_request"]

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
        metrics: named numbers of the result, for programs, under MLflow's names. A tracked run adds what it logged
            without a step.
        facts: named words of the result, for programs, such as the winner.
        files: what it wrote, by names that programs know, such as ``checkpoint`` or ``report``; absolute paths once it
            was a tracked run.
        next: the whole command that goes on from here, to be pasted into a shell, or None.
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


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run has ended, for programs.

    Attributes:
        task: its name; empty where the request was not understood so far.
        status: in a word.
        exit_code: what a shell is told.
        output_dir: where its files are; None where it left none.
        run_id: of its MLflow run; empty without one.
        result: what came out, where the work came to its end.
        metrics: what is known where it did not.
        error: what went wrong, for a person; None where nothing did.
        problems: each thing that is wrong with the request: where, what, hint.
    """

    task: str
    status: Status
    exit_code: int
    output_dir: Path | None = None
    run_id: str = ""
    result: TaskResult | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    problems: tuple[Mapping[str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """What ``result.json`` holds, with nothing that JSON does not know; secrets are still in it."""
        result = self.result or TaskResult(objective=None, metrics=self.metrics)
        told = {
            "status": self.status,
            "exit_code": self.exit_code,
            "task": self.task,
            "objective": result.objective,
            "metrics": {name: number(value) for name, value in result.metrics.items()},
            "facts": result.facts,
            "run_id": self.run_id,
            "output_dir": None if self.output_dir is None else str(self.output_dir),
            "files": {name: str(path) for name, path in result.files.items()},
            "tables": [{"title": each.title, "columns": each.columns, "rows": each.rows} for each in result.tables],
            "notes": result.notes,
            "next": result.next,
            "error": self.error,
            "problems": self.problems,
        }
        ready: dict[str, Any] = json_ready(told)
        return ready


def number(value: Any) -> Any:
    """A number of Python's own for one of numpy's."""
    return value.item() if hasattr(value, "item") else value
