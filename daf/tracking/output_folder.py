"""Which run an output folder is of: no two runs write into one, at the same time or one after the other.

A run holds a lock on ``.daf-run.lock`` in its folder while it goes on, and leaves in ``.daf-run.json`` what it was. The
lock is one of the process: whatever ends that frees it, and what it forked does not hold it.
"""

import errno
import fcntl
import json
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from io import FileIO
from pathlib import Path

from daf.config.refusals import shortened
from daf.config.schemas import DAFConfig
from daf.config.sections import FREE
from daf.errors import DAFConfigError, DAFInterruptedError, Problem
from daf.execution.alive import ProcessName, this_process
from daf.files import user_path, write_whole
from daf.records import digest
from daf.redaction import redactor
from daf.tracking.store import is_run_id

RECORD, LOCK = ".daf-run.json", ".daf-run.lock"
OTHER = "Give another output_dir, or remove that folder."
#: What a file system says that has no locks.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
#: Folders that runs of this process hold. A lock of the process would not keep its own threads apart.
_held: set[str] = set()
_guard = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a run is asked for, as far as its folder is concerned.

    Attributes:
        what: words for a person, such as the task's name.
        digest: equal for requests that give the same results.
        resumes: run id or checkpoint folder that the run goes on from, or None.
        repeatable: whether the request may be made again in its folder once it is finished.
    """

    what: str
    digest: str
    resumes: str | None = None
    repeatable: bool = True


def single_request(config: DAFConfig, *, repeatable: bool) -> Request:
    """The request for one run of a config's task; where and how the work is done makes no other one."""
    data = redactor().tree(config.model_dump(mode="json", exclude=FREE))
    what = f"task={config.task.name}"
    return Request(what=what, digest=digest(data), resumes=config.training.resume, repeatable=repeatable)


@dataclass(frozen=True, kw_only=True)
class _Record:
    """The run that a folder is of."""

    what: str
    request: str
    status: str
    machine: str
    pid: int
    started: float
    run_id: str | None = None

    @property
    def process(self) -> ProcessName:
        return ProcessName(self.machine, self.pid, self.started)

    def name(self) -> str:
        return f"{self.what}, MLflow run {self.run_id}" if self.run_id else self.what


class Claim:
    """A folder that is one run's until the run ends."""

    def __init__(self, folder: Path, record: _Record) -> None:
        self._path = folder / RECORD
        self.record = record
        self._write()

    def _write(self) -> None:
        write_whole(self._path, json.dumps(asdict(self.record), indent=1) + "\n")

    def is_of(self, run_id: str) -> None:
        """Notes the MLflow run."""
        self._note(replace(self.record, run_id=run_id))

    def end(self, status: str) -> None:
        """Notes how the run ended: FINISHED, FAILED or KILLED."""
        self._note(replace(self.record, status=status))

    def withdraw(self, before: bytes | None) -> None:
        """Puts the record of the run before back, if there was one."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True) if before is None else write_whole(self._path, before)

    def _note(self, record: _Record) -> None:
        self.record = record
        with suppress(OSError):  # a full disk: the run then counts as unfinished
            self._write()


@contextmanager
def claimed(folder: Path, request: Request) -> Iterator[Claim]:
    """Makes a folder if need be and keeps it for a run, which is the block; files of nobody's run may lie in it.

    Where the block says that the request was wrong, the folder is left as it was found.

    Raises:
        DAFConfigError: another run is at work there, or has been, that this one does not go on with; or the folder
            cannot be made.
    """
    made = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    with ExitStack() as stack:
        stack.callback(_remove_empty, made)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = _content(folder)
            locked = stack.enter_context(_locked(folder))
            before = _raise_if_occupied(folder, request, locked=locked)
            claim = Claim(folder, _new_record(request))
        except OSError as error:
            what = f"{shortened(folder)} cannot be used: {error.strerror or error}."
            raise DAFConfigError([Problem("output_dir", what)]) from error
        try:
            yield claim
        except DAFConfigError:
            claim.end("FAILED") if _content(folder) - found else claim.withdraw(before)
            raise
        except BaseException as error:
            claim.end("KILLED" if isinstance(error, KeyboardInterrupt | DAFInterruptedError) else "FAILED")
            raise
        claim.end("FINISHED")


def _content(folder: Path) -> set[Path]:
    try:
        return set(folder.iterdir()) - {folder / RECORD, folder / LOCK}
    except OSError:  # somebody took it away
        return set()


def _remove_empty(folders: Iterable[Path]) -> None:
    for path in folders:
        with suppress(OSError):  # it holds something, as is usual
            path.rmdir()


def _new_record(request: Request) -> _Record:
    process = this_process()
    return _Record(
        what=request.what,
        request=request.digest,
        status="RUNNING",
        machine=process.machine,
        pid=process.pid,
        started=process.started,
    )


@dataclass(frozen=True)
class LastRun:
    """Whose files a folder holds.

    Attributes:
        name: the request and the MLflow run, for people.
        status: how it ended: FINISHED, FAILED or KILLED; a run that was killed hard still says RUNNING.
        run_id: of the MLflow run, or None where there was none.
    """

    name: str
    status: str
    run_id: str | None


@contextmanager
def left_alone(folder: Path) -> Iterator[LastRun]:
    """Keeps a folder from any run, for the block, and says whose files it holds.

    Raises:
        DAFConfigError: a run is at work there, or it says of no run, or of a damaged one.
        OSError: it cannot be locked.
    """
    with _locked(folder) as locked:
        _, record = _read(folder / RECORD)
        if record is None:
            raise DAFConfigError([Problem("output_dir", f"{folder} is no run's folder.")])
        if record.status == "RUNNING" and _lives(record.process, locked=locked):
            raise _at_work(folder, record)
        yield LastRun(record.name(), record.status, record.run_id)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Holds the folder's lock, and removes it in the end; False where the file system has none."""
    name = os.path.realpath(folder)
    with _guard:
        if name in _held:
            raise _at_work(folder, _read(folder / RECORD)[1])
        _held.add(name)
    try:
        file, locked = _lock(folder)
        try:
            yield locked
        finally:
            with suppress(OSError):
                (folder / LOCK).unlink()
            file.close()
    finally:
        with _guard:
            _held.discard(name)


def _lock(folder: Path) -> tuple[FileIO, bool]:
    while True:
        file = FileIO(folder / LOCK, "a")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(file, folder / LOCK):
                return file, True
        except OSError as error:
            if error.errno in NO_LOCKS:
                return file, False
            file.close()
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise _at_work(folder, _read(folder / RECORD)[1]) from None
            raise
        file.close()  # who held it before has removed it


def _is_at(file: FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _read(path: Path) -> tuple[bytes | None, _Record | None]:
    """What is noted of the folder's last run, if there was one.

    Raises:
        DAFConfigError: it cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None, None
    try:
        record = _Record(**json.loads(content))
        int(record.pid), float(record.started)
    except (ValueError, TypeError, RecursionError) as error:
        raise DAFConfigError([Problem("output_dir", f"{path} is damaged.", OTHER)]) from error
    return content, record


def noted_run(folder: Path) -> str | None:
    """The MLflow run that was the last one to work in a folder, if one is noted."""
    try:
        record = _read(folder / RECORD)[1]
    except DAFConfigError:
        return None
    return record.run_id if record else None


def _at_work(folder: Path, record: _Record | None) -> DAFConfigError:
    who = f" ({record.name()}, process {record.pid} on {record.machine.partition(' ')[0]})" if record else ""
    what = f"another run is at work in {folder}{who}."
    return DAFConfigError([Problem("output_dir", what, "Wait for its end, or give another output_dir.")])


def _raise_if_occupied(folder: Path, request: Request, *, locked: bool) -> bytes | None:
    """The record before this run's, if there is one.

    Raises:
        DAFConfigError: it is of a run that this one does not go on with.
    """
    content, record = _read(folder / RECORD)
    if record is None:
        return None
    if record.status == "RUNNING" and _lives(record.process, locked=locked):
        raise _at_work(folder, record)
    if request.resumes and _is_resumed(folder, record, request.resumes):
        return content
    if record.request != request.digest:
        what = f"{folder} holds another run's files ({record.name()})."
        raise DAFConfigError([Problem("output_dir", what, OTHER)])
    if record.status == "FINISHED" and not request.repeatable:
        what = f"{folder} holds the finished training of this very request ({record.name()})."
        more = f"or go on from it: training.resume={folder / 'checkpoints'} and more training.num_steps."
        raise DAFConfigError([Problem("output_dir", what, f"Give another output_dir, {more}")])
    return content


def _lives(process: ProcessName, *, locked: bool) -> bool:
    """Whether the process still works there, as far as it shows: without a lock only here."""
    if not process.is_here():
        return not locked
    return process.pid != os.getpid() and not process.is_gone()


def _is_resumed(folder: Path, record: _Record, resumes: str) -> bool:
    if is_run_id(resumes):
        return record.run_id == resumes
    return user_path(resumes).resolve().is_relative_to(folder.resolve())
