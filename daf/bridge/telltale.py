"""CoGames' policy server, which also says why a policy failed, and what it tries that its jail does not let it do.

The jail holds without it, and a policy can get round it: it is there so that what happens gets a name. It runs as
``python -m daf.bridge.telltale`` with the server's own arguments.
"""

import functools
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

MARK = "daf noticed: "
MOST_TOLD = 20
STARTS = ("os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen")
LOOPBACK = ("127.", "::1", "localhost")


def attempt(event: str, arguments: tuple[Any, ...]) -> str | None:
    """What an audit event of Python's means, where code leaves its place; None for all others."""
    if event == "socket.connect":
        address = arguments[1]
        host = str(address[0] if isinstance(address, tuple) else address)
        return None if host.startswith(LOOPBACK) else f"it tried to reach {host}"
    if event == "socket.getaddrinfo" and arguments[0]:
        host = str(arguments[0])
        return None if host.startswith(LOOPBACK) else f"it asked for the address of {host}"
    if event in STARTS:
        return "it started another process"
    return "it sent a signal to a process" if event in ("os.kill", "os.killpg") else None


def tell_attempts() -> None:
    """Has every attempt of this process's told on standard error, each once."""
    told: set[str] = set()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        found = attempt(event, arguments) if event.startswith(("socket.", "os.", "subprocess.")) else None
        if found and found not in told and len(told) < MOST_TOLD:
            told.add(found)
            os.write(2, f"\n{MARK}{found}\n".encode(errors="replace"))

    sys.addaudithook(hook)


def telling(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method that prints what it raises: the server often ends before its own log has it."""

    @functools.wraps(method)
    def told(*arguments: Any) -> Any:
        try:
            return method(*arguments)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            raise

    return told


def main() -> None:
    """Serves the policy."""
    from mettagrid.runner.policy_server import server

    for name in ("prepare_policy", "batch_step"):
        setattr(server.LocalPolicyServer, name, telling(getattr(server.LocalPolicyServer, name)))
    tell_attempts()
    server.cli()


if __name__ == "__main__":
    main()
