"""Which process runs a trial, so that others can tell whether it still does."""

import os
import time
import uuid
from collections.abc import Mapping

from daf.execution.alive import ProcessName, this_process

#: Seconds without a heartbeat until a process on another machine counts as dead.
DEAD_AFTER_S = 300.0
#: Owners in this process that have not ended.
_AT_WORK: set[str] = set()


def new_owner() -> str:
    """A name for what runs trials in this process from now on: host, process id, its start, and a random word."""
    process = this_process()
    owner = f"{process.machine} {process.pid} {process.started:.2f} {uuid.uuid4().hex[:8]}"
    _AT_WORK.add(owner)
    return owner


def end_owner(owner: str) -> None:
    """Notes that an owner in this process has ended: in a notebook, a process outlives its interrupted sweeps."""
    _AT_WORK.discard(owner)


def is_dead(owner: str | None, heartbeats: Mapping[str, float]) -> bool:
    """Whether an owner has ended, or has been silent for `DEAD_AFTER_S` seconds on another machine.

    Args:
        owner: from `new_owner`; None is nobody, and dead.
        heartbeats: owner to its last heartbeat, in seconds since the epoch.
    """
    if not owner:
        return True
    host, pid, started, _ = owner.rsplit(" ", 3)
    process = ProcessName(host, int(pid), float(started))
    if not process.is_here():
        return time.time() - heartbeats.get(owner, 0.0) > DEAD_AFTER_S
    return process.is_gone() or (process.pid == os.getpid() and owner not in _AT_WORK)
