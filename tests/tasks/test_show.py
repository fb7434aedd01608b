"""What a finished task prints: at every width, and into a pipe."""

import io
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from daf.config import DAFConfig
from daf.results import ResultTable, TaskResult
from daf.run import daf_run
from daf.tasks import print_result

Load = Callable[..., DAFConfig]
WIDTHS = (60, 80, 100, 160)
RESULTS = {
    "quickstart": (
        "evaluation.policies=[noop]",
        "evaluation.baselines=[random]",
        "evaluation.episodes=5",
        "training.num_steps=256",
    ),
    "compare": (
        "comparison.policies=[noop,random,starter]",
        "evaluation.missions=[cogsguard_arena.basic,cogsguard_machina_1.miner_tutorial]",
        "evaluation.episodes=5",
    ),
    "vor": ("policy=random", "vor.pool=[noop]"),
}
PATH = re.compile(r"\S*/\S*")


@pytest.fixture(params=RESULTS)
def result(request: pytest.FixtureRequest, tiny: Load) -> TaskResult:
    """What a task really gives back, in small."""
    return daf_run(tiny(f"task={request.param}", *RESULTS[request.param]))


def shown(table: ResultTable, width: int | None) -> str:
    console = Console(file=io.StringIO(), width=width or 80, force_terminal=width is not None, color_system=None)
    console.print(table.to_rich(), crop=False)
    return console.file.getvalue()  # type: ignore[attr-defined]


def words(cells: Iterable[str]) -> list[str]:
    return [word for cell in cells for word in cell.split()]


def test_every_number_and_word_of_a_result_stands_whole(result: TaskResult) -> None:
    assert len(result.tables) > 1
    for table in (replace(table, title="") for table in result.tables):
        expected = Counter(words([*table.columns, *itertools.chain(*table.rows)]))
        for width in (*WIDTHS, None):
            text = shown(table, width)
            assert not expected - Counter(text.split()), width
            assert all(len(line) <= width for line in text.splitlines() if width and not PATH.search(line)), width
        for row, line in zip(table.rows, shown(table, None).splitlines()[3:], strict=True):
            assert words([line]) == words(row)
            assert line == line.rstrip()


WIDE = ResultTable(
    "Pairs",
    ("pair", "mission", "difference", "95% interval", "decision"),
    (
        ("lstm - starter", "cogsguard_machina_1.miner_tutorial", "+0.7259", "+0.7259 to +1.0174", "lstm is higher"),
        ("starter - noop", "all missions", "+1,234.5678", "+0.7259 to +1.0174", "no significant difference"),
    ),
)


def test_cells_are_broken_between_words_where_that_is_enough() -> None:
    lines = shown(WIDE, 100).splitlines()
    assert [" ".join(line.split()) for line in lines[3:]] == [
        "lstm - starter cogsguard_machina_1.miner_tutorial +0.7259 +0.7259 to +1.0174 lstm is higher",
        "starter - noop all missions +1,234.5678 +0.7259 to +1.0174 no significant",
        "difference",
    ]


def test_rows_become_lists_where_the_longest_words_do_not_fit() -> None:
    assert shown(WIDE, 60).splitlines()[:6] == [
        "Pairs",
        "pair lstm - starter",
        "  mission       cogsguard_machina_1.miner_tutorial",
        "  difference    +0.7259",
        "  95% interval  +0.7259 to +1.0174",
        "  decision      lstm is higher",
    ]


def test_notes_break_between_words_and_paths_never(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "60")
    note = "The winner was confirmed on fresh seeds, which no trial had seen before, in 12 episodes."
    command = "python -m daf.run task=evaluate policy=outputs/a_folder_with_a_long_name/checkpoints"
    print_result(TaskResult(objective=None, notes=(note,), next=command), tmp_path, "run", None)
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(lines[:2]) == note
    assert len(lines[0]) <= 60
    assert lines[-1] == f"Go on with: {command}"
    assert f"Files: {tmp_path}" in lines


def test_the_end_names_the_pictures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in ("plots/curve.png", "plots/notes.txt", "comparison/plots/all.html"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    print_result(TaskResult(objective=None), tmp_path, "run", None)
    told = capsys.readouterr().out.splitlines()
    assert told[:2] == [
        f"Pictures in {tmp_path}/plots: curve.png",
        f"Pictures in {tmp_path}/comparison/plots: all.html",
    ]
