"""Progress in a terminal and without one."""

import io
import time
from collections.abc import Iterator

import pytest
from rich.console import Console

from daf.execution import progress as module
from daf.execution.progress import moved, progress, say, time_left, working

NAMES = "[/models/best.pt] [type=value_error] :warning:"


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every look at the clock is a second later."""
    now = iter(range(100, 200))
    monkeypatch.setattr("daf.execution.progress.time.monotonic", lambda: next(now))
    yield


@pytest.mark.usefixtures("seconds")
def test_plain_lines_are_few_and_the_last_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("training", 1000) as advance:
        for done in range(100, 1100, 100):
            advance(done, f"at {done}")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "training: 100/1,000, 0:00:09 left at 100"
    assert lines[-1] == "training: 1,000/1,000 at 1000"
    assert len(lines) < 10


@pytest.mark.parametrize("terminal", ["0", "1"])
def test_names_are_shown_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: str
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    with progress("evaluating", 1) as advance:
        advance(1, NAMES)
    assert NAMES in capsys.readouterr().err


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_no_number_of_the_bar_is_cut(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    bars = module._Bars(console=console)
    task = bars.add_task("training", total=16_384, note="")
    bars.tasks[0].start_time = bars.get_time() - 100
    note = "reward 0.4312, 123,456 steps/s"
    bars.update(task, completed=8_192, note=note)
    for line in bars.get_renderables():
        console.print(line)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(len(line) <= width for line in text.splitlines())
    words = text.split()
    assert {"training", "8,192/16,384", "0:01:40", "<", *note.split()} <= set(words)
    assert words.count("0:01:40") == 2  # as long again as until now


def test_the_time_left_is_known_from_the_first_report_on() -> None:
    assert time_left(10, 1, 10) == 90
    assert time_left(10, 0, 10) is None


@pytest.mark.usefixtures("seconds")
def test_work_that_ends_all_at_once_moves_on_meanwhile(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("evaluating", 16) as advance:
        moved(1.6)
        for _ in range(9):
            moved(1.2)  # never back
        advance(16, "lstm")
    moved(99)
    first, last = capsys.readouterr().err.splitlines()
    assert first == "evaluating: 1/16, 0:00:09 left"
    assert last == "evaluating: 16/16 lstm"


def test_long_work_says_what_it_does_and_short_work_is_silent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with working("checking"):
        say("too short to be told")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(module, "SILENCE_S", 0.02)
    with working("checking"):
        say("loading lstm")
        told = _told(capsys, "checking: loading lstm")
        with progress("evaluating", 16):
            say("starting 2 workers")
            told += _told(capsys, "evaluating: starting 2 workers")
    assert told.count("evaluating: starting 2 workers") == 1
    say("nobody listens")
    assert "nobody" not in capsys.readouterr().err


def _told(capsys: pytest.CaptureFixture[str], line: str) -> list[str]:
    """What is said until this line comes; the test fails if it does not."""
    told: list[str] = []
    for _ in range(500):
        told += capsys.readouterr().err.splitlines()
        if line in told:
            return told
        time.sleep(0.01)
    raise AssertionError(told)


@pytest.mark.parametrize("name", ["working", "progress"])
def test_a_terminal_is_told_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "80")
    with working("outer"), working("checking") if name == "working" else progress("checking", 4):
        say("starting 2 workers")
        time.sleep(0.3)
    assert "starting 2 workers" in capsys.readouterr().err
    assert capsys.readouterr().out == ""
