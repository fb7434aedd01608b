"""Where DAF keeps files for its user, and files that are whole or not there, whatever ends who writes them."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PARTIAL = ".partial"


def user_cache(name: str) -> Path:
    """``$XDG_CACHE_HOME/daf/<name>``, with ``~/.cache`` where that is not set."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "daf" / name


@contextmanager
def writing_whole(path: Path) -> Iterator[IO[bytes]]:
    """A file to be written by way of one beside it: a reader finds the old content, the new one or none, never half.

    The content is on the disk before the name points to it. A failed write leaves nothing behind.

    Raises:
        OSError: the folder is missing, read-only or full.
    """
    partial = path.with_name(f".{uuid.uuid4().hex}{PARTIAL}")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file as `writing_whole` does.

    Raises:
        OSError: the folder is missing, read-only or full.
    """
    with writing_whole(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)
