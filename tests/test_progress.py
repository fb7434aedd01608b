"""Progress without a terminal."""

import pytest

from daf.progress import progress


def test_plain_lines_are_few_and_the_last_is_complete(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(100, 200))
    monkeypatch.setattr("daf.progress.time.monotonic", lambda: next(now))
    with progress("training", 1000) as advance:
        for done in range(100, 1100, 100):
            advance(done, f"at {done}")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "training: 100/1,000 at 100"
    assert lines[-1] == "training: 1,000/1,000 at 1000"
    assert len(lines) < 10
