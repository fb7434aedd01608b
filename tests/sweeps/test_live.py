"""What a person sees of a running sweep."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from daf.sweeps.launch import interrupted
from daf.sweeps.live import _table, live_view
from daf.sweeps.status import SweepStatus, time_text

STATUS = SweepStatus(
    name="mine",
    n_trials=8,
    running=1,
    interrupted=0,
    complete=3,
    pruned=1,
    failed=1,
    best=2,
    best_values=(1.25,),
    best_name="lr=0.001",
    front=(),
    seconds_left=90.0,
    verdict=None,
)


def test_the_table_holds_everything_worth_knowing() -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(_table(STATUS, {"lr=0.01": "1.1 at 500"}, ["trial 4: lr=[0.1] -> pruned"]))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for part in ("3 complete, 1 pruned, 1 failed of 8", "lr=0.01 1.1 at 500", "lr=[0.1]", "1.2500: trial 2", "2 min"):
        assert part in text


def test_elsewhere_there_is_a_line_for_each_trial(capsys: pytest.CaptureFixture[str]) -> None:
    with live_view() as show:
        show(STATUS, {}, "")
        show(STATUS, {}, "trial 2: lr=0.001 -> 1.2500")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["trial 2: lr=0.001 -> 1.2500 | " + str(STATUS)]
    assert "5/8 trials, 1 running, 1 pruned, 1 failed, best 1.2500 (trial 2), 2 min left" in lines[0]


def test_times_for_people() -> None:
    assert [time_text(seconds) for seconds in (5, 300, 9000)] == ["5 s", "5 min", "2.5 h"]


def test_elsewhere_long_trials_are_told_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr("daf.sweeps.live.time.monotonic", lambda: next(now))
    with live_view() as show:
        for _ in range(3):
            show(STATUS, {"lr=0.01": "1.1 at 500"}, "")
    assert capsys.readouterr().err.splitlines() == [f"running: lr=0.01 1.1 at 500 | {STATUS}"]


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_no_number_of_the_table_is_cut(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    console.print(_table(STATUS, {"optimizer.lr=0.0012345 seed=12": "1.1234 at 131,072"}, ["2 of 8, 3 min left: x"]))
    words = console.file.getvalue().split()  # type: ignore[attr-defined]
    assert {"optimizer.lr=0.0012345", "seed=12", "1.1234", "131,072", "1.2500:", "3", "lr=0.001"} <= set(words)


@pytest.mark.parametrize(
    ("done", "confirm", "remains"),
    [
        (5, "retrain", "3 trials and the confirmation of the best on fresh seeds."),
        (8, "retrain", "the confirmation of the best on fresh seeds."),
        (7, "off", "1 trial and the tables and plots."),
    ],
)
def test_an_interrupted_sweep_says_what_remains(done: int, confirm: str, remains: str) -> None:
    said = str(interrupted(replace(STATUS, complete=done, pruned=0, failed=0), confirm))
    assert f"{done} of 8 trials are done. What remains: {remains} The same command" in said
