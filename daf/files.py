"""Where DAF keeps files for its user, and files that are whole or not there, whatever ends who writes them."""

import os
import uuid
from pathlib import Path
from tempfile import TemporaryFile

PARTIAL = ".partial"


def user_cache(name: str) -> Path:
    """``$XDG_CACHE_HOME/daf/<name>``, with ``~/.cache`` where that is not set."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "daf" / name


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


def why_no_files(folder: Path) -> str | None:
    """Why a folder takes no file, tried out with one that nobody sees, or None where it does.

    Permissions alone say little: root has them in a read-only file system, and in one that only the kernel fills.
    """
    try:
        with TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file by way of one beside it, so that a reader finds the old content, the new one or none, never half.

    The content is on the disk before the name points to it. A failed write leaves nothing behind.

    Raises:
        OSError: the folder is missing, read-only or full.
    """
    partial = path.with_name(f".{uuid.uuid4().hex}{PARTIAL}")
    try:
        with partial.open("xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
