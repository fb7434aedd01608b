"""What a task gives back: an objective for sweeps, tables for people."""

import csv
import io
import itertools
import math
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

#: How a run, or what was asked of one, has ended. ``failed`` has an error, ``refused`` is an answer, such as a gate's
#: no; a ``refused_request`` could not be begun as it was asked for.
Status = Literal["ok", "failed", "refused", "interrupted", "refused_request"]

#: Between two columns.
GAP = "  "
#: What a column of text needs at least, where its longest word is a path: that may stand out to the right.
LEAST_WIDTH = 12
#: Cells with words are texts and begin at the left; "to" between two numbers is no such word.
_WORD = re.compile(r"[A-Za-z]{3,}|[A-Za-z]/|/[A-Za-z]")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")


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

    def to_rich(self) -> "ScreenTable":
        """The table for a console, which prints it with ``crop=False``.

        In a terminal it is as wide as that; in a file or a pipe it is as wide as it needs.
        """
        return ScreenTable(self)

    @property
    def file_name(self) -> str:
        """What a file of it is called, without an ending."""
        return "".join(c if c.isalnum() else "_" for c in self.title.lower()).strip("_")

    def to_csv(self) -> str:
        """The table as CSV with a heading. Numbers have no separators of thousands there."""
        rows = [[_for_programs(cell) for cell in row] for row in self.rows]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.columns, *rows])
        return text.getvalue()

    def to_markdown(self) -> str:
        """The table as Markdown, its title as a heading."""

        def line(cells: Sequence[str]) -> str:
            return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

        rule = "|" + " --- |" * len(self.columns)
        return "\n".join([f"## {self.title}", "", line(self.columns), rule, *map(line, self.rows), ""])


def _for_programs(cell: str) -> str:
    return cell.replace(",", "") if _THOUSANDS.fullmatch(cell) else cell


@dataclass(frozen=True)
class ScreenTable:
    """A table as a console shows it.

    No word and no number is ever cut: where the columns do not fit side by side, cells are broken between words, and
    where that is not enough, every row becomes a list of its cells. A word that is wider than the screen stays whole.
    """

    table: ResultTable

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """One text a line. `Text` keeps rich from reading markup into names such as ``[/models/best.pt]``."""
        from rich.text import Text

        width = options.max_width if console.is_terminal else None
        for line in broken(self.table.title, width):
            yield Text(line, style="bold", no_wrap=True, overflow="ignore")
        for line in self.lines(width):
            yield Text(line, no_wrap=True, overflow="ignore")

    def lines(self, width: int | None) -> Iterator[str]:
        """The lines below the title, without spaces at their ends.

        Args:
            width: of the screen; None for as wide as it needs.
        """
        widths = self._widths(width)
        rows = self._side_by_side(widths) if widths else self._stacked(width)
        return (row.rstrip() for row in rows)

    def _widths(self, room: int | None) -> list[int] | None:
        """A width for every column; None where not even the longest words fit side by side."""
        columns = [(head, *cells) for head, cells in zip(self.table.columns, self._cells(), strict=True)]
        widths = [max(map(len, column)) for column in columns]
        if room is None:
            return widths
        least = [max((len(word) for cell in column for word in cell.split()), default=0) for column in columns]
        if any("/" in cell for cell in columns[-1]):
            words = [word for cell in columns[-1] for word in cell.split() if "/" not in word]
            least[-1] = max(LEAST_WIDTH, *map(len, words), 0)
            least[-1] = min(least[-1], widths[-1])
        spare = room - sum(least) - len(GAP) * (len(columns) - 1)
        if spare < 0:
            return None
        # Those that need least to stand on one line get it first: numbers before sentences.
        for index in sorted(range(len(columns)), key=lambda column: widths[column] - least[column]):
            more = min(spare, widths[index] - least[index])
            spare -= more
            least[index] += more
        return least

    def _cells(self) -> list[tuple[str, ...]]:
        """The cells of every column, each on one line."""
        columns = zip(*self.table.rows, strict=True) if self.table.rows else ((),) * len(self.table.columns)
        return [tuple(" ".join(cell.split()) for cell in column) for column in columns]

    def _side_by_side(self, widths: Sequence[int]) -> Iterator[str]:
        cells = self._cells()
        left = [not index or any(map(_WORD.search, column)) for index, column in enumerate(cells)]
        yield from _row(self.table.columns, widths, left)
        yield GAP.join("-" * width for width in widths)
        for row in zip(*cells, strict=True):
            yield from _row(row, widths, left)

    def _stacked(self, width: int | None) -> Iterator[str]:
        (first, *others), indent = self.table.columns, max(map(len, self.table.columns[1:]), default=0) + 2 * len(GAP)
        for number, (name, *cells) in enumerate(zip(*self._cells(), strict=True)):
            yield from [""] if number else []
            yield from broken(f"{first} {name}".strip(), width)
            for head, cell in zip(others, cells, strict=True):
                label = f"{GAP}{head}".ljust(indent)
                yield from broken(label + cell, width, indent)


def _row(cells: Sequence[str], widths: Sequence[int], left: Sequence[bool]) -> Iterator[str]:
    """The lines of a row, whose cells are broken between words."""
    parts = [broken(cell, width) for cell, width in zip(cells, widths, strict=True)]
    for line in itertools.zip_longest(*parts, fillvalue=""):
        padded = zip(line, widths, left, strict=True)
        yield GAP.join(text.ljust(width) if at_left else text.rjust(width) for text, width, at_left in padded)


def broken(text: str, width: int | None, indent: int = 0) -> list[str]:
    """A text as lines that are broken between words only, all but the first indented; without a width it is one."""
    if width is None:
        return [text]
    # A screen narrower than the indentation would leave no room for words at all.
    hang = " " * (indent if indent < width // 2 else len(GAP) * 2)
    return textwrap.wrap(
        text,
        max(width, 1),
        subsequent_indent=hang,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    ) or [""]


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

    @property
    def ended(self) -> Status:
        """How the work has ended that came to this result."""
        return "refused" if self.refused else "failed" if self.failed else "ok"


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
