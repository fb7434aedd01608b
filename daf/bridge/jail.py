"""Runs a command of somebody else's where it finds nothing to take, reaches nobody, and leaves nothing behind.

On Linux it gets namespaces of its own (`namespaces(7)`): no network but loopback, no processes but its own, which all
end with it, and a file system in memory in which only Python and DAF can be read. It holds no capability, and its
time, memory, disk and processes are limited. Where namespaces are not allowed the limits remain, and `Jailed.walls`
says so. ``python -m daf.bridge.jail FOLDER`` is the warden between DAF and the command: small, outside of the walls.
"""

import ctypes
import fcntl
import json
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

import daf

GIB = 2**30
NETWORK, PROCESSES, FILES = "network", "processes", "files"
#: All that can stand between the command and the machine.
WALLS = (NETWORK, PROCESSES, FILES)
#: What a program needs of the system, as far as it is there.
SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/etc/ld.so.cache", "/etc/ld.so.conf",
    "/etc/ld.so.conf.d", "/etc/localtime", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/hosts",
)  # fmt: skip
DEVICES = ("null", "zero", "full", "random", "urandom")
#: The user that nobody is, on every Linux.
NOBODY = 65534
POLL_S, GRACE_S = 0.1, 30.0
#: From <sys/mount.h>, <linux/mount.h>, <sys/prctl.h> and <linux/sockios.h>.
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 2, 4, 8, 4096, 16384, 1 << 18, 2
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE = 1, 2, 442, -100, 0x8000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 36, 38
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


@dataclass(frozen=True, kw_only=True)
class JailLimits:
    """What a command may use.

    Attributes:
        seconds: of wall time.
        memory_bytes: that each of its processes may allocate.
        total_bytes: of memory for all of its processes together.
        disk_bytes: that it may write, and the largest file of it.
        processes: at the same time.
    """

    seconds: float
    memory_bytes: int = 4 * GIB
    total_bytes: int = 8 * GIB
    disk_bytes: int = GIB
    file_bytes: int = GIB // 16
    processes: int = 64


@dataclass(frozen=True, kw_only=True)
class Jailed:
    """How a jailed command ended.

    Attributes:
        returncode: its exit code, negative for a signal; None where the jail itself broke down.
        broken: the limit over which it was ended: ``time``, ``memory``, ``processes``, ``disk`` or None.
        walls: which of `WALLS` stood around it.
        survivors: processes that it left behind and that were ended after it, where no wall had ended them already.
        peak_bytes: the most memory that all of its processes held together, as far as looking every 0.1 s tells.
        output, errors: what it wrote to standard output, and to standard error.
    """

    returncode: int | None
    broken: str | None
    walls: frozenset[str]
    survivors: int
    peak_bytes: int
    output: bytes
    errors: str


@dataclass(frozen=True, kw_only=True)
class _Job:
    command: list[str]
    environment: dict[str, str]
    visible: list[str]
    copies: dict[str, str]
    limits: JailLimits


def run_jailed(
    command: Sequence[str],
    limits: JailLimits,
    *,
    copies: Mapping[str, Path] | None = None,
    visible: Iterable[Path] = (),
    given: bytes = b"",
    environment: Mapping[str, str] | None = None,
    stop: threading.Event | None = None,
) -> Jailed:
    """Runs a command to its end behind as many walls as this machine allows.

    Inside, ``$TMPDIR`` is the only place that can be written to; the working directory and ``$HOME`` lie in it.

    Args:
        copies: files and folders that it gets, by their names under ``$TMPDIR``.
        visible: other files and folders that it may read where they are, beside the system's, Python's and DAF's.
        given: what it reads from standard input.
        environment: more of it than `clean_environment` has.
        stop: ends it, from another thread.
    """
    folder = Path(tempfile.mkdtemp(prefix="daf-jail-"))
    try:
        job = _Job(
            command=list(command),
            environment=_environment(environment or {}),
            visible=[str(path) for path in _outermost([*map(Path, SYSTEM), *_python(), *visible])],
            copies={name: str(path) for name, path in (copies or {}).items()},
            limits=limits,
        )
        (folder / "job.json").write_text(json.dumps(asdict(job)))
        (folder / "given").write_bytes(given)
        _guard(folder, job, stop or threading.Event())
        return _outcome(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _clean() -> dict[str, str]:
    from daf.bridge.bundles import clean_environment  # with pydantic, for which the warden has no time

    return clean_environment()


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    passed = _clean()
    passed.pop("XDG_CACHE_HOME", None)
    own = {"PYTHONPATH": str(_package().parent), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    return {**passed, **own, **more}


def _package() -> Path:
    return Path(str(daf.__file__)).resolve().parent


def _python() -> list[Path]:
    """Where Python and the installed packages lie, links as well as what they lead to."""
    places = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parents[1], _package()]
    places += [Path(place) for place in sys.path if place.endswith(("site-packages", "dist-packages"))]
    return [found for place in places for found in (place, place.resolve())]


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """Those that are there, without those that lie in others."""
    kept: list[Path] = []
    for path in sorted({path.absolute() for path in paths}, key=lambda path: len(path.parts)):
        if path.exists() and not any(path.is_relative_to(other) for other in kept):
            kept.append(path)
    return kept


def _guard(folder: Path, job: _Job, stop: threading.Event) -> None:
    """Starts the warden and waits for it; whatever happens here, nothing of it goes on."""
    own = _clean() | {"PYTHONPATH": job.environment["PYTHONPATH"]}
    with (
        (folder / "given").open("rb") as given,
        (folder / "output").open("ab") as output,
        (folder / "errors").open("ab") as errors,
    ):
        warden = subprocess.Popen(
            [sys.executable, "-m", "daf.bridge.jail", str(folder)],
            stdin=given, stdout=output, stderr=errors, env=own, start_new_session=True,
        )  # fmt: skip
    late = time.monotonic() + job.limits.seconds + GRACE_S
    try:
        while not stop.is_set() and time.monotonic() < late:
            with suppress(subprocess.TimeoutExpired):
                warden.wait(POLL_S)
                break
    finally:
        with suppress(ProcessLookupError):
            os.killpg(warden.pid, signal.SIGKILL)
        warden.wait()


def _outcome(folder: Path) -> Jailed:
    try:
        told = json.loads((folder / "outcome.json").read_bytes())
    except (OSError, ValueError):  # the warden was killed, which behind a wall nobody can do
        told = {"returncode": None, "broken": None, "walls": [], "survivors": 0, "peak_bytes": 0}
    errors = (folder / "errors").read_bytes().decode(errors="replace")
    walls = frozenset(told.pop("walls"))
    return Jailed(**told, walls=walls, output=(folder / "output").read_bytes(), errors=errors)


def main(folder: Path) -> None:
    """What the warden does: puts up the walls, starts the command behind them, and watches it."""
    noted: dict[str, Any] = json.loads((folder / "job.json").read_bytes())
    job = _Job(**{**noted, "limits": JailLimits(**noted["limits"])})
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    (folder / "inside").mkdir()
    (folder / "root").mkdir()
    walls = _part()
    reading, writing = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    child = os.fork()
    if child == 0:
        _become(job, folder, walls, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        walls = json.loads(told.read() or b"[]")
    watched = _Watch(job.limits, None if FILES in walls else folder / "inside")
    outcome = watched.until_end(child)
    (folder / "outcome.json").write_text(json.dumps({**outcome, "walls": walls}))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        _check(_libc().prctl(option, value, 0, 0, 0))


def hide_from_others() -> None:
    """Keeps other processes of the same user from reading this one's memory and files, and from tracing it."""
    _prctl(PR_SET_DUMPABLE, 0)


def _part() -> list[str]:
    """Leaves the machine's network, processes and so on, as far as that is allowed; the next child is behind walls."""
    if sys.platform != "linux":
        return []
    apart = os.CLONE_NEWNET | os.CLONE_NEWPID | os.CLONE_NEWIPC | os.CLONE_NEWUTS
    uid, gid = os.geteuid(), os.getegid()
    for flags in [apart] * (uid == 0) + [apart | os.CLONE_NEWUSER]:
        with suppress(OSError):
            os.unshare(flags)
            if flags & os.CLONE_NEWUSER:
                _map_to_self(uid, gid)
            return [NETWORK, PROCESSES]
    return []


def _map_to_self(uid: int, gid: int) -> None:
    """In a user namespace everybody is nobody until it is said who they are."""
    own = Path("/proc/self")
    (own / "uid_map").write_text(f"{uid} {uid} 1")
    (own / "setgroups").write_text("deny")
    (own / "gid_map").write_text(f"{gid} {gid} 1")


def _become(job: _Job, folder: Path, walls: list[str], report: int) -> None:
    """Becomes the command. Never returns."""
    try:
        inside = folder / "inside"
        if walls:
            _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            _loopback_up()
        with suppress(OSError):
            _furnish(folder / "root", job)
            inside, walls = Path("/tmp"), [*walls, FILES]
        if FILES not in walls:
            _fill(inside, job.copies)
        os.chdir(inside / "work")
        user = _new_user(inside, job.copies)
        os.write(report, json.dumps(walls).encode())
        os.close(report)
        _limit(job.limits, walls)
        _drop_rights(user)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        own = {"HOME": str(inside / "home"), "TMPDIR": str(inside), "XDG_CACHE_HOME": str(inside / "home" / ".cache")}
        os.execvpe(job.command[0], job.command, job.environment | own)
    except BaseException as error:
        print(f"the jail could not be furnished: {error!r}", file=sys.stderr, flush=True)
    finally:
        os._exit(125)


def _loopback_up() -> None:
    """The policy and the simulator talk over 127.0.0.1, which a new network has only in name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        found = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sH22x", b"lo", 0))
        flags = struct.unpack("16sH22x", found)[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | IFF_UP))


def _furnish(root: Path, job: _Job) -> None:
    """Makes a file system in memory the only one that this process sees, with what it may read in it.

    Raises:
        OSError: this machine does not allow it; nothing has changed for this process then.
    """
    if sys.platform != "linux":
        raise OSError("no namespaces here")
    os.unshare(os.CLONE_NEWNS)
    _mount(None, Path("/"), None, MS_REC | MS_PRIVATE)
    size = job.limits.disk_bytes + sum(map(_size, job.copies.values()))
    _mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, f"size={size},mode=755")
    for path in map(Path, job.visible):
        _show(path, root)
    for name in DEVICES:
        _show(Path("/dev", name), root)
    (root / "dev" / "shm").mkdir()
    (root / "dev" / "shm").chmod(0o1777)
    (root / "proc").mkdir()
    _mount("proc", root / "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    _only_read(root / "proc")
    _fill(root / "tmp", job.copies)
    os.chdir(root)
    _check(_libc().pivot_root(b".", b"."))
    _check(_libc().umount2(b".", MNT_DETACH))
    os.chdir("/")


def _mount(source: str | None, target: Path, kind: str | None, flags: int, data: str | None = None) -> None:
    texts = [text if text is None else text.encode() for text in (source, str(target), kind, data)]
    _check(_libc().mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]))


def _show(path: Path, root: Path) -> None:
    """Lets a file, folder or link be seen in the new root where it is in the old one, to be read only."""
    target = root / path.relative_to("/")
    if target.exists() or target.is_symlink():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        target.symlink_to(path.readlink())
        return
    if path.is_dir():
        target.mkdir()
    else:
        target.touch()
    _mount(str(path), target, None, MS_BIND | MS_REC)
    _only_read(target)


def _only_read(target: Path) -> None:
    attributes = struct.pack("QQQQ", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, 0, 0, 0)
    place = str(target).encode()
    _check(_libc().syscall(SYS_MOUNT_SETATTR, AT_FDCWD, place, AT_RECURSIVE, attributes, len(attributes)))


def _size(path: str) -> int:
    found = Path(path)
    return sum(entry.lstat().st_size + 4096 for entry in [found, *found.rglob("*")])


def _fill(inside: Path, copies: Mapping[str, str]) -> None:
    for name in ("home", "work"):
        (inside / name).mkdir(parents=True, exist_ok=True)
    for name, source in copies.items():
        target = inside / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if Path(source).is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copyfile(source, target)


def _new_user(inside: Path, copies: Iterable[str]) -> int | None:
    """The user that a jailed command of root's is instead: nobody, where nobody can read what it needs."""
    if os.geteuid() != 0 or inside != Path("/tmp"):
        return None
    try:
        os.seteuid(NOBODY)
        for needed in (sys.executable, os.__file__, __file__):
            Path(needed).open("rb").close()
    except OSError:  # such as in a user namespace, or a Python that only root may read
        return None
    finally:
        os.seteuid(0)
    own = [inside / name for name in {"home", "work"} | {Path(name).parts[0] for name in copies}]
    for path in [inside, *own, *(entry for place in own for entry in place.rglob("*"))]:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    return NOBODY


def _limit(limits: JailLimits, walls: list[str]) -> None:
    for what, value in (
        (resource.RLIMIT_DATA, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (value, value))
    if PROCESSES in walls:  # elsewhere all of the user's processes count
        _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        most = 64 + limits.processes  # threads count as well
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


def _drop_rights(user: int | None) -> None:
    """Gives up every capability, for good: what is executed from here on gets none, whoever it belongs to."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    capability = 0
    with suppress(OSError):  # the first that this Linux does not know, or a right that is not there to be dropped
        while True:
            _prctl(PR_CAPBSET_DROP, capability)
            capability += 1
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass
class _Watch:
    """Looks after the command until it ends or breaks a limit."""

    limits: JailLimits
    folder: Path | None
    peak: int = 0
    started: float = field(default_factory=time.monotonic)

    def until_end(self, child: int) -> dict[str, Any]:
        """Waits; then ends what is left. Returns what `Jailed` says of it."""
        broken, status = None, 0
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            broken = None if ended else self._broken()
            if broken:
                os.kill(child, signal.SIGKILL)
                _, status = os.waitpid(child, 0)
            if ended or broken:
                break
            signal.sigtimedwait([signal.SIGCHLD], POLL_S)
        survivors = _end_all()
        code = os.waitstatus_to_exitcode(status)
        return {"returncode": code, "broken": broken, "survivors": survivors, "peak_bytes": self.peak}

    def _broken(self) -> str | None:
        processes = _all_processes()
        held = sum(map(_private_bytes, processes))
        self.peak = max(self.peak, held)
        if time.monotonic() - self.started > self.limits.seconds:
            return "time"
        if held > self.limits.total_bytes:
            return "memory"
        if len(processes) > self.limits.processes:
            return "processes"
        full = self.folder is not None and _size(str(self.folder)) > self.limits.disk_bytes
        return "disk" if full else None


def living(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended; who has, and was not waited for, counts as ended."""
    found = []
    for process in processes:
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _all_processes() -> list[psutil.Process]:
    """All that have come from here: whose parent has ended has become this process's child."""
    with suppress(psutil.Error):
        return psutil.Process().children(recursive=True)
    return []


def _private_bytes(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        memory = process.memory_info()
        return int(memory.rss - getattr(memory, "shared", 0))
    return 0


def _end_all() -> int:
    """Ends every process that is left; returns how many there were."""
    ended: set[int] = set()
    for _ in range(100):
        left = living(_all_processes())
        if not left:
            break
        for process in left:
            with suppress(psutil.Error):
                process.kill()
                ended.add(process.pid)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)
    return len(ended)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
