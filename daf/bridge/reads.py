"""What policies read while they are imported, made and played: it decides an episode as much as their code does.

An audit hook of Python's sees which files are opened, which folders are listed, and whether a process or the network is
used; a class of its own under `os.environ` sees which variables are read. Both are there only while somebody else's
policy is at work. What is read below Python (a library that opens files itself, the clock) is not seen.
"""

import functools
import hashlib
import importlib.util
import os
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import daf
from daf.bridge.file_digests import listing_digest, path_digest

# What these read by themselves is no part of a policy, and their own policies are watched by nobody.
LIBRARIES = frozenset({"cogames", "mettagrid", "torch", "numpy", "pufferlib", "mlflow"})
# DAF sets them in worker processes.
SET_BY_DAF = frozenset({"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"})
STDLIB = tuple(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib"))
SYSTEM = ("/proc/", "/sys/", "/dev/")
NETWORK = ("connect", "getaddrinfo", "gethostbyname", "gethostbyaddr", "sendto", "sendmsg", "bind")
PROCESSES = ("subprocess.Popen", "os.system", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "pty.spawn")


@dataclass(frozen=True)
class Reads:
    """What was read until an episode's end, imports and earlier episodes of the same process included.

    Attributes:
        values: ``env NAME``, ``file PATH`` or ``folder PATH`` to the digest of what was found, None for nothing.
        unknowable: why no list of values can stand for what was read.
    """

    values: Mapping[str, str | None] = field(default_factory=dict)
    unknowable: tuple[str, ...] = ()


NOTHING = Reads()


def current_value(name: str) -> str | None:
    """What one of `Reads.values` would be now."""
    kind, _, what = name.partition(" ")
    if kind == "env":
        value = os.environ.get(what)
        return None if value is None else _digest(os.fsencode(value))
    try:
        return listing_digest(Path(what)) if kind == "folder" else path_digest(Path(what))
    except OSError:
        return None


@contextmanager
def watching(class_paths: Iterable[str]) -> Iterator[None]:
    """Takes note of what somebody else's policies read in this block, for `reads_of`. Blocks may lie in each other."""
    packages = _packages(class_paths)
    if not packages or _State.watch:
        yield
        return
    _install_hook()
    watch = _Watch()
    environments: tuple[Any, ...] = (os.environ, os.environb)
    kinds = [type(environment) for environment in environments]
    for environment in environments:
        environment.__class__ = _Environment
    _State.watch = watch
    try:
        yield
    finally:
        _State.watch = None
        for environment, kind in zip(environments, kinds, strict=True):
            environment.__class__ = kind
        for package in packages:
            values, unknowable = _earlier.setdefault(package, ({}, {}))
            values.update(watch.values)
            unknowable.update(watch.unknowable)


def reads_of(class_paths: Iterable[str]) -> Reads:
    """What the packages of these policies have read in this process, as it was found last."""
    found = [_earlier[package] for package in _packages(class_paths) if package in _earlier]
    return Reads(
        {name: value for values, _ in found for name, value in values.items()},
        tuple(dict.fromkeys(reason for _, unknowable in found for reason in unknowable)),
    )


def watched[Item](items: Iterator[Item], class_paths: Iterable[str]) -> Iterator[tuple[Item, Reads]]:
    """Items that policies have a part in, each with what they had read by then."""
    paths = list(class_paths)
    while True:
        with watching(paths):
            item = next(items, None)
        if item is None:
            return
        yield item, reads_of(paths)


def _packages(class_paths: Iterable[str]) -> list[str]:
    return sorted({path.partition(".")[0] for path in class_paths} - LIBRARIES)


class _State:
    """The watch that is on, if any: an audit hook cannot be taken away again. And what policies made themselves."""

    watch: "_Watch | None" = None
    written: ClassVar[set[str]] = set()


# By package, since its modules are imported once in a process. The dictionary of reasons is an ordered set.
_earlier: dict[str, tuple[dict[str, str | None], dict[str, None]]] = {}


class _Watch:
    """One block's notes. The first value counts: a policy may write over what it has read."""

    def __init__(self) -> None:
        self.values: dict[str, str | None] = {}
        self.unknowable: dict[str, None] = {}
        self._busy = False
        # Threads that were there before, such as a tracker's, are no policy's.
        self._others = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}

    def take(self, note: "Callable[[_Watch, Any], None]", details: Any) -> None:
        """Calls `note` unless it is DAF's own reading, or another thread's. A note never disturbs what it is about."""
        if self._busy or threading.get_ident() in self._others:
            return
        self._busy = True
        try:
            note(self, details)
        except Exception as error:
            self.unknowable[f"what it read could not be followed ({error})"] = None
        finally:
            self._busy = False

    def variable(self, details: tuple[str, bytes | None]) -> None:
        """A variable was asked for."""
        variable, value = details
        name = f"env {variable}"
        if variable not in SET_BY_DAF and name not in _State.written and _reader() in ("user", "installed"):
            self.values.setdefault(name, None if value is None else _digest(value))

    def whole_environment(self, _: Any) -> None:
        """All variables were asked for: what they are differs from shell to shell."""
        if _reader() in ("user", "installed"):
            self.unknowable["it reads the whole environment"] = None

    def opened(self, details: tuple[Any, ...]) -> None:
        """A file was opened. What DAF opens itself is in the key already."""
        path, _, flags = details
        if (place := _place(path)) is None or place.is_dir() or _reader() == "daf":
            return
        if flags & os.O_ACCMODE == os.O_WRONLY or flags & (os.O_TRUNC | os.O_EXCL):
            _State.written.add(str(place))
        else:
            self._read(place)

    def listed(self, details: tuple[Any, ...]) -> None:
        """A folder was listed, other than by an import."""
        place = _place("." if details[0] is None else details[0])
        if place and str(place) not in _State.written and _reader() == "user":
            self.values.setdefault(f"folder {place}", current_value(f"folder {place}"))

    def loaded(self, details: tuple[Any, ...]) -> None:
        """A database or a library was opened by name."""
        if (place := _place(details[0])) and place.exists():
            self._read(place)

    def imported(self, details: tuple[Any, ...]) -> None:
        """A module is imported; only a compiled one comes with its file."""
        if details[1] is not None:
            self.loaded(details[1:])

    def created(self, details: tuple[Any, ...]) -> None:
        """A folder is about to be made."""
        if (place := _place(details[0])) and not place.exists():
            _State.written.add(str(place))

    def renamed(self, details: tuple[Any, ...]) -> None:
        """A file or folder is about to get another name."""
        before, after = _place(details[0]), _place(details[1])
        if before and after and str(before) in _State.written:
            _State.written.add(str(after))

    def network(self, _: Any) -> None:
        """The network was used."""
        if _reader() in ("user", "installed"):
            self.unknowable["it uses the network"] = None

    def process(self, _: Any) -> None:
        """Another process was started."""
        if _reader() in ("user", "installed"):
            self.unknowable["it starts other processes"] = None

    def _read(self, place: Path) -> None:
        if place.suffix == ".pyc" and place.parent.name == "__pycache__":
            place = Path(importlib.util.source_from_cache(str(place)))
        name = f"file {place}"
        if name in self.values or str(place) in _State.written:
            return
        if place.exists() and not place.is_file():
            self.unknowable[f"it reads {place}, which is no file"] = None
        else:
            self.values[name] = current_value(name)


_NOTES: dict[str, Callable[[_Watch, Any], None]] = {
    "open": _Watch.opened,
    "os.listdir": _Watch.listed,
    "os.scandir": _Watch.listed,
    "os.mkdir": _Watch.created,
    "os.rename": _Watch.renamed,
    "import": _Watch.imported,
    "sqlite3.connect": _Watch.loaded,
    "ctypes.dlopen": _Watch.loaded,
    **{f"socket.{name}": _Watch.network for name in NETWORK},
    **dict.fromkeys(PROCESSES, _Watch.process),
}


class _Environment(os._Environ[Any]):
    """`os.environ` while a policy is at work."""

    def __getitem__(self, key: Any) -> Any:
        if (watch := _State.watch) and isinstance(key, str | bytes):
            raw = os.fsencode(key)
            watch.take(_Watch.variable, (os.fsdecode(key), self._data.get(raw)))  # type: ignore[attr-defined]
        return super().__getitem__(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        if _State.watch and isinstance(key, str | bytes):
            _State.written.add(f"env {os.fsdecode(key)}")
        super().__setitem__(key, value)

    def __iter__(self) -> Iterator[Any]:
        if watch := _State.watch:
            watch.take(_Watch.whole_environment, None)
        return super().__iter__()


@functools.cache
def _install_hook() -> None:
    def hook(event: str, details: tuple[Any, ...]) -> None:
        if (watch := _State.watch) and (note := _NOTES.get(event)):
            watch.take(note, details)

    sys.addaudithook(hook)


def _place(path: Any) -> Path | None:
    """The absolute path of a file that may be a policy's, or None."""
    if not isinstance(path, str | bytes | os.PathLike):
        return None
    place = Path(os.fsdecode(path)).absolute()
    systems = str(place).startswith(SYSTEM) and not str(place).startswith("/dev/shm/")
    return None if systems or _kind(str(place)) != "user" else place


def _reader() -> str:
    """Whose code is at work: the innermost that is not the standard library's; an import is nobody's."""
    frame: FrameType | None = sys._getframe(1)
    while frame:
        file = frame.f_code.co_filename
        if file.startswith("<frozen importlib"):
            break
        if file != __file__ and (kind := _kind(file)) != "stdlib":
            return kind
        frame = frame.f_back
    return "stdlib"


@functools.lru_cache(maxsize=4096)
def _kind(file: str) -> str:
    """``daf``, ``stdlib``, ``library`` (CoGames, torch, ...), ``installed`` or ``user``."""
    if file.startswith(f"{Path(daf.__file__).parent}/"):
        return "daf"
    parts = Path(file).parts
    for folder in ("site-packages", "dist-packages"):
        if folder in parts:
            package = parts[parts.index(folder) + 1 :][:1]
            return "library" if LIBRARIES.intersection(package) else "installed"
    return "stdlib" if file.startswith(("<frozen", *STDLIB)) else "user"


def _digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()
