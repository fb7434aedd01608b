"""Files that are either whole or not there, whatever ends the process that writes them."""

import os
import uuid
from pathlib import Path

PARTIAL = ".partial"


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
