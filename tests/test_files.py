"""Files are whole, or not there."""

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


NO_PATHS = ("x" * 300, "a/" + "y" * 5000, "a\0b", "~nobody-of-that-name/x", "loop", "file/below", "")


@pytest.mark.parametrize("text", NO_PATHS)
def test_what_is_no_path_is_not_there(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path("loop").symlink_to("loop")
    path = user_path(text)
    assert (is_there(path), is_file(path), is_folder(path)) == ((True, False, True) if text == "" else (False,) * 3)
    assert user_path("~") == Path.home()
