"""Where DAF keeps files for its user, and files that are whole or not there, whatever ends who writes them."""

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

PARTIAL = ".partial"


def user_cache(name: str) -> Path:
    """``$XDG_CACHE_HOME/daf/<name>``, with ``~/.cache`` where that is not set."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "daf" / name


def user_state(name: str) -> Path:
    """``$XDG_STATE_HOME/daf/<name>``, with ``~/.local/state`` where that is not set: what must outlive a clearing."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "daf" / name


def user_path(text: str) -> Path:
    """A path as a user writes it; ``~`` of a user that is not known stays as it is."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def is_there(path: Path) -> bool:
    """Whether there is something at a path, which may be no path at all: too long, or with a NUL."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_file(path: Path) -> bool:
    """Whether there is a file at a path, which may be no path at all."""
    return is_there(path) and path.is_file()


def is_folder(path: Path) -> bool:
    """Whether there is a folder at a path, which may be no path at all."""
    return is_there(path) and path.is_dir()


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's content, read now; `daf.bridge.file_digests` remembers it.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def why_no_files(folder: Path) -> str | None:
    """Why a folder takes no file, tried out with one that nobody sees, or None where it does.

    Permissions alone say little: root has them in a read-only file system, and in one that only the kernel fills.
    """
    try:
        with TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)


@contextmanager
def writing_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to be written by way of one beside it: a reader finds the old content, the new one or none, never half.

    The content is on the disk before the name points to it. A failed write leaves nothing behind, and neither does a
    process that is killed in it, where the file system has files without a name (those of Linux do, network ones not).

    Raises:
        OSError: the folder is missing, read-only or full.
    """
    partial = path.with_name(f".{uuid.uuid4().hex}{PARTIAL}")
    try:
        with _opened(partial) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if not partial.exists():
                _name(file, partial)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file as `writing_whole` does.

    Raises:
        OSError: the folder is missing, read-only or full.
    """
    try:
        with writing_whole(path) as file:
            file.write(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        if error.errno:  # a full disk does not say for which file
            error.filename = error.filename or str(path)
        raise


def _opened(partial: Path) -> BinaryIO:
    """A new file without a name in the folder of `partial`, or else one of that name."""
    try:
        return os.fdopen(os.open(partial.parent, os.O_TMPFILE | os.O_WRONLY, 0o666), "wb")
    except (OSError, AttributeError):  # a file system, or a system, without them
        return partial.open("xb")


def _name(file: BinaryIO, path: Path) -> None:
    """Gives an open file without a name one, as `open(2)` recommends."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # With the folder's descriptor Python calls linkat, which alone follows the link in /proc.
        os.link(f"/proc/self/fd/{file.fileno()}", path, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)
