"""Which process does something, so that others can tell later whether it still lives."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

#: Seconds by which two readings of one process' start may differ: the system's clock may have been set in between. A
#: process id is not given to another process within them.
SAME_START_S = 2.0


def machine() -> str:
    """This machine and its table of processes: two containers on one host may share everything but the latter."""
    return f"{socket.gethostname()} {_content('/etc/machine-id')[:12]} {_pid_namespace()}".replace("  ", " ").strip()


def _content(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        return ""


@dataclass(frozen=True)
class ProcessName:
    """A process among all that ever were: its machine, its id there, and its start in seconds since the epoch."""

    machine: str
    pid: int
    started: float

    def is_here(self) -> bool:
        """Whether it is, or was, a process of this machine; of others nothing is known."""
        return self.machine == machine()

    def is_gone(self) -> bool:
        """Whether a process of this machine has ended; one that nobody has waited for yet (a zombie) has."""
        import psutil

        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) <= SAME_START_S
            return not same or process.status() == psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, ValueError, OverflowError):
            return True
        except psutil.AccessDenied:
            return False


def this_process() -> ProcessName:
    """The name of the running process."""
    import psutil

    return ProcessName(machine(), os.getpid(), round(psutil.Process().create_time(), 2))
