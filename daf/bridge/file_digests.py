"""Digests of files and folders, cheap to ask for again."""

import hashlib
import os
import time
from pathlib import Path

from daf.files import sha256_of

#: Folders that hold no part of a policy: what tools leave behind, and what runs write.
SKIPPED = frozenset(
    {
        "__pycache__",
        "node_modules",
        "outputs",
        "multirun",
        "mlruns",
        "venv",
        *(f".{name}" for name in ("git", "hg", "svn", "venv", "tox", "idea", "ipynb_checkpoints", "hypothesis")),
        *(f".{name}_cache" for name in ("mypy", "pytest", "ruff")),
    }
)
#: In a folder, larger files count by size and time: nobody waits for gigabytes to be read before every evaluation.
LARGE_BYTES = 2**26
MOST_FILES = 5_000
# A file may change twice within the time that a file system's clock can tell apart.
SETTLED_NS = 2_000_000_000

_known: dict[Path, tuple[tuple[int, ...], str]] = {}


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's content; read once while size, times and inode stay what they are.

    Raises:
        OSError: there is no such file, or it cannot be read.
    """
    found = path.stat()
    signature = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)
    if (known := _known.get(path)) and known[0] == signature:
        return known[1]
    content = sha256_of(path)
    if found.st_ctime_ns < time.time_ns() - SETTLED_NS and path.is_absolute():
        _known[path] = (signature, content)
    return content


def files_below(folder: Path) -> list[Path]:
    """Every regular file in a folder, in order, links followed; without `SKIPPED` folders, at most `MOST_FILES`."""
    files: list[Path] = []
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        files += [path for name in sorted(names) if not name.endswith(".pyc") and (path := Path(place, name)).is_file()]
        if len(files) >= MOST_FILES:
            break
    return files[:MOST_FILES]


def path_digest(path: Path) -> str | None:
    """SHA-256 (hex) of a file's or a folder's content; None for anything else, and for what cannot be read."""
    path = path.absolute()
    try:
        if path.is_file():
            return file_digest(path)
        if not path.is_dir():
            return None
        lines = [f"{file.relative_to(path)} {_digest_in_folder(file)}" for file in files_below(path)]
    except OSError:
        return None
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def listing_digest(path: Path) -> str:
    """SHA-256 of the names in a folder."""
    return hashlib.sha256(
        "\0".join(sorted(entry.name for entry in path.iterdir())).encode(errors="surrogateescape")
    ).hexdigest()


def _digest_in_folder(file: Path) -> str:
    found = file.stat()
    if found.st_size > LARGE_BYTES:
        return f"{found.st_size} {found.st_mtime_ns}"
    return file_digest(file)
