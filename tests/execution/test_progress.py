"""Progress in a terminal and without one."""

import pytest

from daf.execution.progress import progress

NAMES = "[/models/best.pt] [type=value_error] :warning:"


def test_plain_lines_are_few_and_the_last_is_complete(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(100, 200))
    monkeypatch.setattr("daf.execution.progress.time.monotonic", lambda: next(now))
    with progress("training", 1000) as advance:
        for done in range(100, 1100, 100):
            advance(done, f"at {done}")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "training: 100/1,000 at 100"
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
