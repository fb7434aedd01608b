"""Bundles: policies that somebody packed, read without running them and unpacked where nobody else writes.

CoGames unpacks into a predictable folder under the system's temporary one, and runs a setup script on the way; so DAF
reads, checks and unpacks them itself.
"""

import fcntl
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import unicodedata
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from daf.bridge.file_digests import file_digest
from daf.files import PARTIAL, is_file, is_folder, sha256_of, user_cache, write_whole

SPEC_FILE = "policy_spec.json"
ARCHIVES = (".zip", ".tar.gz", ".tgz")
MOST_FILES = 10_000
MOST_BYTES = 2**30
MOST_SPEC_BYTES = 2**20
#: An archive may grow so many times when it is unpacked, unless it stays small.
MOST_GROWTH, SMALL_BYTES = 200, 2**26
#: In bytes, as file systems have it.
LONGEST_NAME, LONGEST_PATH = 255, 1_000
#: Of the record at the end of a zip, its comment aside.
END_MARK, END_BYTES = b"PK\x05\x06", 22
SETUP_LIMIT_S = 300.0
#: All of the environment that somebody else's code gets to see.
PASSED_ON = re.compile(r"PATH|HOME|LANG|LC_\w+|TZ|TMPDIR|XDG_CACHE_HOME|LD_LIBRARY_PATH|CUDA_VISIBLE_DEVICES|CUDA_HOME")
#: Says, inside a process, that its environment is `clean_environment`.
CLEAN = "DAF_CLEAN_ENVIRONMENT"


class BundleError(ValueError):
    """A bundle that DAF does not take. The message is for a person."""


class _Spec(BaseModel):
    """What ``policy_spec.json`` says, as CoGames writes it."""

    model_config = ConfigDict(strict=True)
    class_path: str = Field(pattern=r"^[A-Za-z_][\w-]*(\.[A-Za-z_]\w*)*$")
    data_path: str | None = None
    init_kwargs: dict[str, Any] = Field(default_factory=dict)
    setup_script: str | None = None


@dataclass(frozen=True)
class Bundle:
    """A policy in a folder or an archive, as far as it is known without running anything of it.

    Attributes:
        path: the folder or archive.
        class_path: short name or dotted path.
        data_path: of its weights, within the bundle, or None.
        setup_script: to be run once before it is played, within the bundle, or None.
        code_root: the folder within the bundle that has the class's package or module in it, or None: it has neither.
    """

    path: Path
    class_path: str
    data_path: str | None
    init_kwargs: dict[str, Any]
    setup_script: str | None
    code_root: str | None

    @property
    def is_archive(self) -> bool:
        """Whether it must be unpacked."""
        return self.path.is_file()

    def digest(self) -> str:
        """SHA-256 (hex) of an archive, or of the names and contents of all files in a folder."""
        if self.is_archive:
            return file_digest(self.path.absolute())
        return hashlib.sha256(json.dumps(_contents(self.path), sort_keys=True).encode()).hexdigest()


def is_bundle(path: Path) -> bool:
    """Whether a path is a folder with a spec, or a file that is named as an archive."""
    return is_file(path / SPEC_FILE) if is_folder(path) else is_file(path) and path.name.endswith(ARCHIVES)


def read_bundle(path: Path) -> Bundle:
    """Reads what a bundle is, without running or unpacking anything.

    Raises:
        BundleError: damaged, too large, without a sound spec, or with a path that leads out of it.
    """
    with _explained(path):
        if path.is_dir():
            names, text = _names_in_folder(path)
        else:
            names, text = _names_in_archive(path)
    spec = _parsed(path, text)
    for key in ("data_path", "setup_script"):
        value = getattr(spec, key)
        if value and not (_is_inside(value) and _is_there(path, names, value)):
            raise BundleError(f"{path}: {SPEC_FILE} names {key} {value[:200]!r}, which is no file in it.")
    return Bundle(
        path=path,
        class_path=spec.class_path,
        data_path=spec.data_path or None,
        init_kwargs=spec.init_kwargs,
        setup_script=spec.setup_script or None,
        code_root=_code_root(names, spec.class_path.partition(".")[0]),
    )


def read_member(path: Path, name: str) -> bytes | None:
    """A small file of a bundle, without running or unpacking anything; None where it holds none of that name.

    Raises:
        BundleError: damaged or not sound, or the file is larger than `MOST_SPEC_BYTES`.
    """
    with _explained(path):
        if path.is_dir():
            return _limited((path / name).open("rb"), name) if (path / name).is_file() else None
        return _names_in_archive(path, name)[1]


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Says in a sentence why a bundle cannot be read: archives fail in dozens of ways."""
    try:
        yield
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from error
    except Exception as error:
        raise BundleError(f"{path} cannot be read as a bundle: {error or type(error).__name__}.") from error


def _parsed(path: Path, text: bytes | None) -> _Spec:
    if text is None:
        raise BundleError(f"{path} holds no {SPEC_FILE}.")
    try:
        return _Spec.model_validate(json.loads(text))
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(map(str, found["loc"])) or "it"
        raise BundleError(f"{path}: {SPEC_FILE} is not what CoGames writes; {where}: {found['msg']}.") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: {SPEC_FILE} is no JSON: {error}.") from error


def _is_inside(name: str) -> bool:
    """Whether a name stays in the folder that it is relative to."""
    parts = PurePosixPath(name).parts
    is_relative = not name.startswith(("/", "~")) and not PureWindowsPath(name).drive
    return bool(parts) and is_relative and ".." not in parts and not set("\\\0") & set(name)


def _is_there(path: Path, names: list[str], name: str) -> bool:
    if path.is_dir():
        return (path / name).resolve().is_relative_to(path.resolve()) and (path / name).exists()
    plain = str(PurePosixPath(name))
    return any(known == plain or known.startswith(f"{plain}/") for known in names)


def _code_root(names: list[str], top: str) -> str | None:
    """Where the class's code lies, found as CoGames does: a module at the top, or a package wherever it is."""
    if f"{top}.py" in names or any(name.startswith(f"{top}/") and name.endswith(".py") for name in names):
        return ""
    for name in sorted(names):
        parents = PurePosixPath(name).parent.parts
        if name.endswith("/__init__.py") and top in parents:
            return "/".join(parents[: parents.index(top)])
    return None


def _names_in_folder(folder: Path) -> tuple[list[str], bytes | None]:
    """The files in a folder that could be code, as far as that takes no time, and the text of its spec."""
    names: list[str] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        names += [Path(place, name).relative_to(folder).as_posix() for name in files if name.endswith(".py")]
        if len(names) > MOST_FILES:
            break
    return names, _limited((folder / SPEC_FILE).open("rb"))


def _limited(file: IO[bytes], name: str = SPEC_FILE) -> bytes:
    with file:
        text = file.read(MOST_SPEC_BYTES + 1)
    if len(text) > MOST_SPEC_BYTES:
        raise BundleError(f"its {name} is larger than {MOST_SPEC_BYTES:,} bytes.")
    return text


def _names_in_archive(archive: Path, wanted: str = SPEC_FILE) -> tuple[list[str], bytes | None]:
    """Names of all files in an archive, and the content of the one that is wanted."""
    names, text = [], None
    with _members(archive) as members:
        for name, file in members:
            names.append(name)
            if name == wanted:
                text = _limited(file, wanted)
    return names, text


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """The regular files in an archive with their names, each checked; to be read in order."""
    found = archive.stat()
    if not stat.S_ISREG(found.st_mode):
        raise BundleError("it is no regular file.")
    if found.st_size > MOST_BYTES:
        raise BundleError(f"it is larger than {MOST_BYTES / 2**30:g} GiB.")
    limit = min(MOST_BYTES, max(SMALL_BYTES, MOST_GROWTH * found.st_size))
    if archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive) as zipped:
            _check_ends(archive, zipped)
            yield _checked(_zip_members(zipped, limit))
    else:
        size = _unpacked_bytes(archive, limit)
        with tarfile.open(archive, "r:gz") as opened:
            yield _checked(_tar_members(opened, size))


def _checked(members: Iterator[tuple[str, IO[bytes]]]) -> Iterator[tuple[str, IO[bytes]]]:
    seen, folders = set[str](), set[str]()
    for name, file in members:
        _check_name(name)
        plain = str(PurePosixPath(name))
        # As the least careful file system has it.
        folded = unicodedata.normalize("NFC", plain).casefold()
        above = {str(parent) for parent in PurePosixPath(folded).parents}
        if folded in seen or folded in folders or above & seen:
            raise BundleError(f"it holds {name[:200]!r} twice.")
        seen.add(folded)
        folders |= above
        if len(seen) > MOST_FILES:
            raise BundleError(f"it holds more than {MOST_FILES:,} files.")
        yield plain, file


def _check_name(name: str) -> None:
    if not _is_inside(name):
        raise BundleError(f"it holds a path that leads out of it: {name[:200]!r}.")
    if not name.isprintable():
        raise BundleError(f"it holds a name with characters that cannot be shown: {name[:200]!a}.")
    if len(name.encode()) > LONGEST_PATH or max(len(part.encode()) for part in name.split("/")) > LONGEST_NAME:
        raise BundleError(f"it holds a name that is too long: {name[:100]!r}...")


def _check_ends(archive: Path, opened: zipfile.ZipFile) -> None:
    """A zip is found from its end and may stand within another file, which other readers take for something else."""
    starts = min((entry.header_offset for entry in opened.infolist()), default=0)
    with archive.open("rb") as file:
        file.seek(-len(opened.comment) - END_BYTES, os.SEEK_END)
        ends = file.read(len(END_MARK)) == END_MARK
    if starts or not ends:
        raise BundleError("something stands before or behind the archive in it.")


def _zip_members(opened: zipfile.ZipFile, limit: int) -> Iterator[tuple[str, IO[bytes]]]:
    entries = opened.infolist()
    if len(entries) > MOST_FILES:
        raise BundleError(f"it holds more than {MOST_FILES:,} files.")
    # zipfile reads no more of a member than its header says.
    if sum(entry.file_size for entry in entries) > limit:
        raise BundleError(f"it would grow to more than {limit:,} bytes.")
    for entry in entries:
        if not entry.is_dir():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                raise BundleError(f"{entry.filename[:200]!r} in it is a link or a device.")
            if entry.flag_bits & 1:
                raise BundleError("it is encrypted.")
            yield entry.filename, opened.open(entry)
        elif not _is_inside(entry.filename):
            raise BundleError(f"it holds a path that leads out of it: {entry.filename[:200]!r}.")


def _unpacked_bytes(archive: Path, limit: int) -> int:
    """Counts what a compressed tar holds before tarfile believes any size in it."""
    size = 0
    with gzip.open(archive) as stream:
        while part := stream.read(2**20):
            size += len(part)
            if size > limit:
                raise BundleError(f"it would grow to more than {limit:,} bytes.")
    return size


def _tar_members(opened: tarfile.TarFile, size: int) -> Iterator[tuple[str, IO[bytes]]]:
    for entry in opened:
        if not (entry.isreg() or entry.isdir()) or entry.issparse():
            raise BundleError(f"{entry.name[:200]!r} in it is a link or a device.")
        if entry.size > size:
            raise BundleError(f"{entry.name[:200]!r} in it is not as large as it says.")
        if entry.isdir():
            if PurePosixPath(entry.name).parts and not _is_inside(entry.name):
                raise BundleError(f"it holds a path that leads out of it: {entry.name[:200]!r}.")
            continue
        yield entry.name, opened.extractfile(entry) or io.BytesIO()


def bundles_folder() -> Path:
    """``$XDG_CACHE_HOME/daf/bundles``, with ``~/.cache`` where that is not set."""
    return user_cache("bundles")


def unpacked(bundle: Bundle, *, run_setup: bool) -> Path:
    """The folder of a bundle; an archive is unpacked into `bundles_folder` under its digest, once.

    What is there from before counts only if it is this user's, nobody else can write to it, and every file in it has
    the digest that was noted when it was complete. Otherwise it is unpacked anew.

    Args:
        run_setup: whether its setup script has been run in the folder, or is run now.

    Raises:
        BundleError: it cannot be unpacked, or its setup script fails.
        OSError: the cache folder cannot be written to.
    """
    if not bundle.is_archive:
        if run_setup and bundle.setup_script:
            raise BundleError(f"{bundle.path} has a setup script. Pack the folder as a .zip: it runs from there.")
        return bundle.path
    setup = bundle.setup_script if run_setup else None
    cache = private_folder(bundles_folder())
    with _explained(bundle.path):
        digest = sha256_of(bundle.path)
    folder = cache / (f"{digest}-ready" if setup else digest)
    with (cache / f"{digest}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_sound(folder):
            _unpack(bundle, folder, setup)
    return folder


def private_folder(folder: Path) -> Path:
    """Makes a folder that is this user's alone, if it is not there.

    Raises:
        BundleError: it is there, and others can read or write it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_mine(folder):
        raise BundleError(f"{folder} is not yours alone. Remove it, or make it yours with mode 0700.")
    return folder


def _is_mine(path: Path) -> bool:
    found = path.lstat()
    return not stat.S_ISLNK(found.st_mode) and found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o077


def _is_sound(folder: Path) -> bool:
    noted = folder.with_name(f"{folder.name}.json")
    try:
        if not (_is_mine(folder) and _is_mine(noted)):
            return False
        return bool(json.loads(noted.read_bytes()) == _contents(folder))
    except (OSError, ValueError):
        return False


def _contents(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder; for a link or a device, what it is.

    Raises:
        OSError: a file cannot be read.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name, mode = path.relative_to(folder).as_posix(), path.lstat().st_mode
        if stat.S_ISREG(mode):
            found[name] = sha256_of(path)
        elif not stat.S_ISDIR(mode):
            found[name] = str(path.readlink()) if stat.S_ISLNK(mode) else f"{stat.S_IFMT(mode):o}"
    return found


def _unpack(bundle: Bundle, folder: Path, setup: str | None) -> None:
    """Unpacks beside the folder that it is to be, so that nobody meets half of it. The caller holds its lock."""
    partial = folder.with_name(f".{folder.name}{PARTIAL}")
    _remove(partial)  # of a process that was killed
    partial.mkdir(mode=0o700)
    try:
        with _explained(bundle.path), _members(bundle.path) as members:
            for name, file in members:
                target = partial / name
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with file, target.open("xb") as copy:
                    shutil.copyfileobj(file, copy)
        if setup:
            _run_setup(bundle.path, partial, setup)
        _remove(folder)
        write_whole(folder.with_name(f"{folder.name}.json"), json.dumps(_contents(partial)))
        folder.with_name(f"{folder.name}.json").chmod(0o600)
        partial.rename(folder)
    finally:
        _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def clean_environment() -> dict[str, str]:
    """What somebody else's code gets to see of this process's environment: nothing that could be a secret."""
    return {name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name)} | {CLEAN: "1"}


def has_clean_environment(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process was started with `clean_environment`."""
    return CLEAN in environment


def _run_setup(bundle: Path, folder: Path, script: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-B", script],
        cwd=folder,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=SETUP_LIMIT_S)
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"{bundle}: its setup script ran for more than {SETUP_LIMIT_S:g} s.") from error
    finally:
        with suppress(ProcessLookupError):  # what it started ends with it
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode:
        tail = output[-1_000:].decode(errors="replace").strip()
        raise BundleError(f"{bundle}: its setup script failed with exit code {process.returncode}: {tail}")


def import_from(folder: Path, class_path: str) -> None:
    """Makes the modules of a bundle importable, instead of those of another bundle with the same names."""
    root, top = str(folder.resolve()), class_path.partition(".")[0]
    sys.dont_write_bytecode = True  # what is unpacked stays as it is
    if root in sys.path:
        sys.path.remove(root)
    sys.path.insert(0, root)
    module = sys.modules.get(top)
    places = [getattr(module, "__file__", None) or "", *(getattr(module, "__path__", None) or ())]
    if not any(place.startswith(f"{root}/") for place in places):
        for name in [name for name in sys.modules if name.partition(".")[0] == top]:
            del sys.modules[name]
