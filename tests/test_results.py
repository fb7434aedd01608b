"""Tables in their three forms."""

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

from daf.results import ResultTable, TaskResult
from daf.tasks import print_result
from daf.visualization.text import level_text

TABLE = ResultTable("Two | policies", ("policy", "reward"), (("a,b", "1.0"), ("<x>|y", "2.0")))


def test_csv_reads_back() -> None:
    assert list(csv.reader(io.StringIO(TABLE.to_csv()))) == [["policy", "reward"], ["a,b", "1.0"], ["<x>|y", "2.0"]]


def test_markdown_keeps_its_columns() -> None:
    assert TABLE.to_markdown().splitlines()[2:] == [
        "| policy | reward |",
        "| --- | --- |",
        "| a,b | 1.0 |",
        "| <x>\\|y | 2.0 |",
    ]


def test_the_terminal_shows_every_cell() -> None:
    console = Console(file=io.StringIO(), width=20)
    console.print(TABLE.to_rich())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(cell in shown for cell in ("a,b", "1.0", "<x>|y", "2.0"))


def test_brackets_and_colons_in_names_are_shown_as_they_are() -> None:
    names = ("[/models/best.pt]", "[type=value_error]", ":warning:")
    console = Console(file=io.StringIO(), width=100)
    console.print(ResultTable(names[0], (names[1], "n"), ((names[2], names[0]),)).to_rich())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(name in shown for name in names)


def test_a_result_is_told_as_it_is(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    note = "failed with [/models/best.pt] [type=value_error] :warning:"
    print_result(TaskResult(objective=None, notes=(note,)), tmp_path / "[bold]", "run", None)
    assert note in capsys.readouterr().out


def test_a_level_keeps_its_digits() -> None:
    assert [level_text(level) for level in (0.95, 0.995, 0.9, 0.57)] == ["95%", "99.5%", "90%", "57%"]
