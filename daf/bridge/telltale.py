"""Says on standard error what a policy tries that its jail does not let it do.

The jail holds without it: a policy can get round this. It is there so that an attempt gets a name. Copied into the
jail as ``sitecustomize.py``, which Python imports by itself; standard library only.
"""

import os
import sys

MARK = "daf noticed: "
STARTS = ("os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen")
LOOPBACK = ("127.", "::1", "localhost")


def attempt(event: str, arguments: tuple[object, ...]) -> str | None:
    """What an audit event of Python's means, where it means that code leaves its place; None for all others."""
    if event == "socket.connect":
        address = arguments[1] if len(arguments) > 1 else None
        host = str(address[0]) if isinstance(address, tuple) and address else str(address)
        return None if host.startswith(LOOPBACK) else f"it tried to reach {host}"
    if event == "socket.getaddrinfo":
        host = str(arguments[0])
        return None if arguments[0] is None or host.startswith(LOOPBACK) else f"it asked for the address of {host}"
    if event in STARTS:
        return "it started another process"
    if event in ("os.kill", "os.killpg"):
        return "it sent a signal to a process"
    return None


def _watch() -> None:
    told: set[str] = set()

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        found = attempt(event, arguments) if event.startswith(("socket.", "os.", "subprocess.")) else None
        if found and found not in told and len(told) < 20:
            told.add(found)
            os.write(2, f"{MARK}{found}\n".encode())

    sys.addaudithook(hook)


if __name__ == "sitecustomize" and os.environ.get("DAF_TELLTALE"):
    _watch()
