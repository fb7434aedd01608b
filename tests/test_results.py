"""Tables in their three forms."""

import csv
import io

from rich.console import Console

from daf.results import ResultTable

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
