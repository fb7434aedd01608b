"""The command line in this process."""

import pytest

import daf.run


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of a command."""
    monkeypatch.setattr("sys.argv", ["daf_run", *arguments])
    with pytest.raises(SystemExit) as ended:
        daf.run.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code
