"""Archives with always the same bytes."""

import os
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from daf.deployment.archives import Member, size_at_most, write_tar_gz, write_zip
from daf.errors import DAFError

CONTENTS = {"b/two.py": b"two", "a.txt": b"one", "ä/long" + "x" * 150: os.urandom(3_000), "empty": b""}


def members(folder: Path) -> dict[str, Member]:
    """Half from memory, half from files."""
    found = {}
    for number, (name, content) in enumerate(CONTENTS.items()):
        path = folder / str(number)
        path.write_bytes(content)
        found[name] = Member.of(path if number % 2 else content)
    return found


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_the_bytes_depend_on_names_and_contents_alone(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = write_zip if suffix == ".zip" else write_tar_gz
    write(tmp_path / f"first{suffix}", members(tmp_path))
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    old = os.umask(0o077)
    try:
        (tmp_path / "other").mkdir()
        for path in tmp_path.glob("[0-9]"):
            path.chmod(0o755)
        write(tmp_path / f"other/second{suffix}", dict(reversed(members(tmp_path / "other").items())))
    finally:
        os.umask(old)
    first, second = (tmp_path / f"first{suffix}").read_bytes(), (tmp_path / f"other/second{suffix}").read_bytes()
    assert first == second
    assert str(tmp_path).encode() not in first
    assert len(first) <= size_at_most(members(tmp_path))


def test_both_formats_give_the_contents_back(tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", members(tmp_path))
    write_tar_gz(tmp_path / "x.tar.gz", members(tmp_path))
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert archive.namelist() == sorted(CONTENTS)
        assert {name: archive.read(name) for name in archive.namelist()} == CONTENTS
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}
    with tarfile.open(tmp_path / "x.tar.gz") as tar:
        entries = tar.getmembers()
        assert [entry.name for entry in entries] == sorted(CONTENTS)
        assert {entry.name: tar.extractfile(entry).read() for entry in entries} == CONTENTS  # type: ignore[union-attr]
        assert {(e.mode, e.mtime, e.uid, e.gid, e.uname, e.gname) for e in entries} == {(0o644, 0, 0, 0, "", "")}


@pytest.mark.parametrize("change", [b"other", b"longer than before", b""])
@pytest.mark.parametrize("write", [write_zip, write_tar_gz])
def test_a_file_that_changes_meanwhile_leaves_nothing(write: object, change: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"these")
    found = {"weights": Member.of(path)}
    path.write_bytes(change)
    with pytest.raises((DAFError, OSError)):
        write(tmp_path / "x.zip", found)  # type: ignore[operator]
    assert list(tmp_path.iterdir()) == [path]
