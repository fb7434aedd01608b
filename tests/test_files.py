"""Files are whole, or not there."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from daf.files import is_file, is_folder, is_there, user_path, write_whole


def test_the_content_stands_whole_under_the_name(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.json", "first")
    write_whole(tmp_path / "a.json", b"second")
    assert (tmp_path / "a.json").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_failed_write_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError("No space left on device")

    write_whole(tmp_path / "a.json", "old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "a.json", "new")
    assert (tmp_path / "a.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


KILLED = """
import os, signal, sys
from pathlib import Path
from daf import files
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
files.write_whole(Path(sys.argv[1]), "new")
"""


def test_a_writer_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.json", "old")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a.json")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "a.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_where_every_file_needs_a_name_it_gets_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.O_TMPFILE")
    write_whole(tmp_path / "a.json", "first")
    write_whole(tmp_path / "a.json", "second")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["second"]


def test_what_is_written_is_as_private_as_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_whole(tmp_path / "a.json", "x")
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "usual").stat().st_mode


NO_PATHS = ("x" * 300, "a/" + "y" * 5000, "a\0b", "~nobody-of-that-name/x", "loop", "file/below", "")


@pytest.mark.parametrize("text", NO_PATHS)
def test_what_is_no_path_is_not_there(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path("loop").symlink_to("loop")
    path = user_path(text)
    assert (is_there(path), is_file(path), is_folder(path)) == ((True, False, True) if text == "" else (False,) * 3)
    assert user_path("~") == Path.home()
