"""A study's journal file, whatever a crash, a full disk or an editor did to it: Optuna reads it whole or not at all."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from daf.errors import DAFConfigError, Problem
from daf.files import write_whole

if TYPE_CHECKING:
    from optuna.storages.journal import BaseJournalFileLock

log = logging.getLogger(__name__)


def mend_journal(path: Path, lock: "BaseJournalFileLock") -> None:
    """Leaves out what holds nothing: a torn end, and lines of blanks and NULs. What was there is kept beside it.

    Raises:
        DAFConfigError: a line in the middle is damaged. What follows it may depend on it.
    """
    if not path.is_file():
        return
    lock.acquire()
    try:
        content = path.read_bytes()
        kept = _readable(content, path)
        if kept != content:
            backup = _free_name(path)
            write_whole(backup, content)
            write_whole(path, kept)
            log.warning("The study's journal %s was damaged at %s; what it held is in %s.", path, _where(kept), backup)
    finally:
        lock.release()


def _readable(content: bytes, path: Path) -> bytes:
    """The lines that can be read."""
    lines = [line.strip(b"\0 \t\r\n") for line in content.split(b"\n")]
    kept: list[bytes] = []
    damaged = 0
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        if _is_entry(line):
            if damaged:
                why = f"line {damaged} of the study's journal {path} is damaged, and others follow it."
                raise DAFConfigError([Problem("sweep.storage", why, "Restore the file, or begin another study.")])
            kept.append(line)
        else:
            damaged = damaged or number
    # What was never ended with a newline was never acknowledged either, though it may look whole.
    if kept and not content.endswith(b"\n") and lines[-1] == kept[-1]:
        kept.pop()
    return b"".join(line + b"\n" for line in kept)


def _is_entry(line: bytes) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    return isinstance(entry, dict) and "op_code" in entry


def _where(kept: bytes) -> str:
    return f"line {kept.count(b'\n') + 1}, or before"


def _free_name(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.damaged-{count}") for count in range(1, 10_000))
    return next(name for name in names if not name.exists())
