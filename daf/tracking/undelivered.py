"""Entries that MLflow did not take: kept on disk, and delivered later.

They lie in ``undelivered.jsonl`` of the run's output folder. A link in the user's state folder
(``$XDG_STATE_HOME/daf/undelivered``) notes them for the next run against the same store; where the output folder takes
nothing, they lie in the state folder themselves. The process that keeps or delivers entries holds a lock on the file.
"""

import contextlib
import fcntl
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daf.files import user_state, write_whole
from daf.records import digest
from daf.tracking.deliver import KINDS, Entry, StoreAwayError, deliver, reason

if TYPE_CHECKING:
    from mlflow import MlflowClient

UNDELIVERED = "undelivered.jsonl"
_STATUSES = ("FINISHED", "FAILED", "KILLED")


def state_dir(address: str) -> Path:
    """Where is noted what a store did not get; credentials in its address make no difference."""
    return user_state("undelivered") / digest(re.sub(r"(?<=://)[^/]*@", "", address))[:16]


class Keeper:
    """Keeps entries of one run on disk, in the first place that takes them."""

    def __init__(self, output_dir: Path, address: str, run_id: str) -> None:
        self._usual = output_dir.absolute() / UNDELIVERED
        self._noted = state_dir(address) / f"{run_id}.jsonl"
        self._spare = self._noted.with_name(f"{run_id}.spare.jsonl")
        self._files: dict[Path, FileIO] = {}
        self._lock = threading.Lock()
        self.kept_in: set[Path] = set()

    def keep(self, entry: Entry) -> None:
        """Writes an entry down.

        Raises:
            OSError: no place takes it.
        """
        with self._lock:
            try:
                self._write(self._usual, entry)
                self._note()
            except OSError:
                self._spare.parent.mkdir(parents=True, exist_ok=True)
                self._write(self._spare, entry)

    def _write(self, path: Path, entry: Entry) -> None:
        if path not in self._files:
            self._files[path] = _opened_locked(path)
        file, line = self._files[path], entry.line().encode()
        size = os.fstat(file.fileno()).st_size
        try:
            if file.write(line) != len(line):
                raise OSError(f"{path} is full")
            os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(size)  # half a line is of no use
            raise
        self.kept_in.add(path)

    def _note(self) -> None:
        # Not being noted, they are still told, and `task=deliver` looks for them.
        with contextlib.suppress(OSError):
            if not self._noted.is_symlink():
                self._noted.parent.mkdir(parents=True, exist_ok=True)
                self._noted.symlink_to(self._usual)

    def close(self) -> None:
        """Leaves the files to others."""
        for path, file in self._files.items():
            with contextlib.suppress(OSError):
                if path not in self.kept_in and os.fstat(file.fileno()).st_size == 0:
                    path.unlink()
                file.close()
        self._files.clear()


def _opened_locked(path: Path) -> FileIO:
    """The file, opened to append to it and locked.

    Raises:
        OSError: it cannot be, or another process holds it.
    """
    file = FileIO(path, "a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            raise OSError(f"{path} was delivered in this moment")
    except OSError:
        file.close()
        raise
    return file


@dataclass
class Delivered:
    """What became of a file of undelivered entries.

    Attributes:
        run_ids: whose entries were delivered.
        count: how many were.
        problems: sentences on those that stay in the file.
    """

    path: Path
    run_ids: list[str] = field(default_factory=list)
    count: int = 0
    problems: list[str] = field(default_factory=list)


def noted_files(address: str) -> list[Path]:
    """Files with entries that a store did not get, as far as they are noted; notes that lead nowhere go."""
    found = []
    with contextlib.suppress(OSError):
        for path in sorted(state_dir(address).glob("*.jsonl")):
            if path.exists():
                found.append(path.resolve())
            else:
                path.unlink(missing_ok=True)
    return found


def deliver_files(client: "MlflowClient", paths: Iterable[Path]) -> list[Delivered]:
    """Delivers what files hold. A file that is whole with MLflow is removed; the others keep what is left.

    A file that another process keeps or delivers is left to it.
    """
    results = []
    for path in dict.fromkeys(path.resolve() for path in paths):
        result = Delivered(path)
        try:
            with _locked(path) as file:
                if file is not None:
                    _deliver_file(client, file, result)
        except OSError as error:
            result.problems.append(f"{path} cannot be read or written: {error.strerror or error}")
        if result.count or result.problems:
            results.append(result)
    return results


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[FileIO | None]:
    if not path.is_file():
        yield None
        return
    with FileIO(path, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        # Somebody may have delivered and removed it in between.
        same = path.is_file() and os.path.samestat(os.fstat(file.fileno()), path.stat())
        yield file if same else None


def _deliver_file(client: "MlflowClient", file: FileIO, result: Delivered) -> None:
    left: list[bytes] = []
    lines = file.readall().splitlines()
    away = False
    for number, line in enumerate(lines, start=1):
        where = f"{result.path}, line {number}"
        try:
            entry = None if away or not line.strip() else _entry(line)
            refused = deliver(client, entry) if entry else []
        except StoreAwayError as error:
            away = _is_away(client)
            entry = None
            result.problems.append(f"{where}: {error}")
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            entry = None
            result.problems.append(f"{where} is damaged: {reason(error)}. Mend the line, or remove it.")
        else:
            result.problems += [f"{where}: MLflow refuses {each.what}: {each.why}" for each in refused]
        if entry is not None:
            result.count += 1
            if entry.run_id not in result.run_ids:
                result.run_ids.append(entry.run_id)
        elif line.strip():
            left.append(line)
    if left:
        write_whole(result.path, b"\n".join(left) + b"\n")
    else:
        result.path.unlink()


def _is_away(client: "MlflowClient") -> bool:
    """Whether the store takes nothing at all, and not just nothing of one run."""
    try:
        client.search_experiments(max_results=1)
    except Exception:
        return True
    return False


def _entry(line: bytes) -> Entry:
    """An entry from its line.

    Raises:
        ValueError: it is none.
    """
    data = json.loads(line.decode())
    if not isinstance(data, dict) or not {"run_id", "kind", "content"} <= data.keys():
        raise ValueError("it is no entry of a run")
    entry = Entry(data["run_id"], data["kind"], data["content"])
    if not isinstance(entry.run_id, str) or entry.kind not in KINDS or not _fits(entry.kind, entry.content):
        raise ValueError("it is no entry of a run")
    return entry


def _fits(kind: str, content: Any) -> bool:
    if kind == "metrics":
        return isinstance(content, list) and all(isinstance(item, list) and len(item) == 4 for item in content)
    if kind in ("params", "tags"):
        return isinstance(content, dict) and all(isinstance(value, str) for value in content.values())
    if kind == "file":
        is_pair = isinstance(content, list) and len(content) == 2
        return is_pair and isinstance(content[0], str) and isinstance(content[1], str | None)
    return content in _STATUSES
