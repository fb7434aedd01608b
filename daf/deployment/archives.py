"""Archives whose bytes depend on nothing but the names and contents in them.

Order, times, owners, modes and the archive's own header are fixed. Nothing is compressed: weights hardly shrink, and
what a compressor writes differs between its versions.
"""

import gzip
import hashlib
import shutil
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

from daf.errors import DAFError
from daf.files import writing_whole

#: The earliest time that a zip can hold.
EPOCH = (1980, 1, 1, 0, 0, 0)
UNIX, REGULAR_FILE = 3, 0o100644
#: What neither format needs per file beyond its content and twice its name, rounded up.
OVERHEAD = 2_048


@dataclass(frozen=True)
class Member:
    """A file that goes into an archive.

    Attributes:
        content: its bytes, or the file that holds them.
        digest: SHA-256 (hex) of them.
        size: in bytes.
    """

    content: bytes | Path
    digest: str
    size: int

    @classmethod
    def of(cls, content: bytes | Path) -> "Member":
        """Reads a file once for its digest.

        Raises:
            OSError: it cannot be read.
        """
        if isinstance(content, bytes):
            return cls(content, hashlib.sha256(content).hexdigest(), len(content))
        with content.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return cls(content, digest, file.tell())

    @contextmanager
    def opened(self) -> "Iterator[_Hashing]":
        """The content for reading.

        Raises:
            DAFError: it is not what it was when its digest was taken.
        """
        with BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open("rb") as file:
            hashing = _Hashing(file)
            yield hashing
        if hashing.sha256.hexdigest() != self.digest:
            raise DAFError(f"{self.content!s} changed while it was packed; nothing was written.")


class _Hashing:
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.sha256.update(data)
        return data


def size_at_most(members: Mapping[str, Member]) -> int:
    """Bytes that neither archive of these members exceeds."""
    return sum(member.size + 4 * len(name.encode()) + OVERHEAD for name, member in members.items()) + 2**14


def write_zip(path: Path, members: Mapping[str, Member]) -> None:
    """Writes a zip whole or not at all.

    Raises:
        OSError: the folder does not take it.
        DAFError: a file changed meanwhile.
    """
    with writing_whole(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, member in sorted(members.items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system, entry.external_attr = UNIX, REGULAR_FILE << 16
            entry.file_size = member.size
            with member.opened() as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target)


def write_tar_gz(path: Path, members: Mapping[str, Member]) -> None:
    """Writes a gzipped tar whole or not at all.

    Raises:
        OSError: the folder does not take it.
        DAFError: a file changed meanwhile.
    """
    with (
        writing_whole(path) as file,
        gzip.GzipFile("", "wb", compresslevel=0, fileobj=file, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, member in sorted(members.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = member.size, REGULAR_FILE & 0o777, 0
            with member.opened() as source:
                archive.addfile(entry, source)
