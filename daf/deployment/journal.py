"""How far a submission is, on disk before and after each step, so that the same command goes on where it was cut."""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from daf.errors import DAFError
from daf.files import user_state, write_whole

Step = Literal["new", "uploading", "uploaded", "completing", "there"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What is known of one submission.

    Attributes:
        server: address of the season's server.
        account: who submits.
        name: of the policy at the server.
        digest: SHA-256 (hex) of the bundle.
        step: `new`, nothing was sent; `uploading`, the file may be there in part; `uploaded`, it is there, and the
            server was not told to make a version; `completing`, it was told, and its answer is not known; `there`, the
            version exists.
        upload_id: of the file at the server.
        season: that the upload was completed for.
        before: ids of the versions that the server had under the name before the step `completing`.
        since: when the step `completing` began, in seconds since 1970.
        version_id: of the policy's version at the server.
        version: its number.
        seasons: that it was entered in, as far as the server said so.
    """

    server: str
    account: str
    name: str
    digest: str
    step: Step = "new"
    upload_id: str = ""
    season: str = ""
    before: tuple[str, ...] = ()
    since: float = 0.0
    version_id: str = ""
    version: int = 0
    seasons: tuple[str, ...] = ()


class SubmissionJournal:
    """One submission's progress in a file of its owner's alone. It holds no token and no signed address."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self.path = path
        self.progress = progress

    def note(self, **changes: Any) -> Progress:
        """Writes down what changed; it is on the disk when this returns.

        Raises:
            DAFError: the disk does not take it. What comes next must not be done then.
        """
        progress = replace(self.progress, **changes)
        try:
            write_whole(self.path, json.dumps(asdict(progress), indent=2) + "\n")
            _sync_folder(self.path.parent)
        except OSError as error:
            raise DAFError(f"{self.path} cannot be written: {error.strerror or error}") from error
        self.progress = progress
        return progress

    def uploading(self, upload_id: str) -> None:
        """Notes that the file is about to be sent."""
        self.note(step="uploading", upload_id=upload_id)

    def completing(self, upload_id: str) -> None:
        """Notes that the server is about to be told to make a version of the file."""
        self.note(step="completing", upload_id=upload_id, since=time.time())


@contextmanager
def submission_journal(server: str, account: str, name: str, digest: str) -> Iterator[SubmissionJournal]:
    """The journal of one bundle under one name at one server, for one process at a time.

    Raises:
        DAFError: another process submits the same, or the file is damaged or cannot be written.
    """
    from filelock import FileLock, Timeout

    asked = Progress(server=server, account=account, name=name, digest=digest)
    key = hashlib.sha256(json.dumps([server, account, name, digest]).encode()).hexdigest()[:32]
    path = user_state("submissions") / f"{key}.json"
    lock = FileLock(path.with_suffix(".lock"), timeout=0, mode=0o600)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock.acquire()
    except Timeout as error:
        raise DAFError(
            f"another process is submitting this bundle as {name!r} right now; wait until it ends"
        ) from error
    except OSError as error:
        raise DAFError(f"{path} cannot be written: {error.strerror or error}") from error
    try:
        yield SubmissionJournal(path, _read(path) or asked)
    finally:
        lock.release()


def _read(path: Path) -> Progress | None:
    try:
        data = json.loads(path.read_text())
        lists = {key: tuple(data[key]) for key in ("before", "seasons")}
        return Progress(**{**data, **lists})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise DAFError(
            f"{path}, which says how far this submission is, is damaged. Look at the season whether the policy is "
            "there, and remove the file"
        ) from error


def _sync_folder(folder: Path) -> None:
    """Puts a file's new name on the disk, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
