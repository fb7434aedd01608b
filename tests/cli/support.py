"""The command line in this process."""

from collections.abc import Callable

import pytest

import daf.run


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of a command."""
    monkeypatch.setattr("sys.argv", ["daf_run", *arguments])
    with pytest.raises(SystemExit) as ended:
        daf.run.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def ends(command: Callable[[], None], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of any command: a function that pyproject.toml names."""
    monkeypatch.setattr("sys.argv", ["command", *arguments])
    with pytest.raises(SystemExit) as ended:
        command()
    return int(ended.value.code or 0)
