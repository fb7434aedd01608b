"""Serves the page until somebody ends it."""

import errno
import socket

import uvicorn

from daf.config.schemas import DAFConfig
from daf.dashboard.board import Board
from daf.dashboard.gate import Gate, is_own
from daf.dashboard.server import make_app
from daf.errors import DAFConfigError, Problem

#: Seconds that requests which are being answered have left when the page is ended.
LAST_ANSWERS_S = 1


def serve(config: DAFConfig) -> None:
    """Shows the page of a config's store, and says where, until Ctrl-C.

    Raises:
        DAFConfigError: `watch.host` and `watch.port` cannot be listened at.
    """
    watch = config.watch
    with _listening(watch.host, watch.port) as listener:
        gate = Gate.for_host(watch.host)
        print(f"Watch it at {_address(watch.host, listener, gate)}", flush=True)
        if gate.token is not None:
            print(
                "Whoever knows this address can see and steer what runs. Nothing is encrypted on the way.", flush=True
            )
        app = make_app(Board(config), gate)
        options = {"log_level": "error", "lifespan": "off", "ws": "none", "access_log": False, "server_header": False}
        server = uvicorn.Server(uvicorn.Config(app, timeout_graceful_shutdown=LAST_ANSWERS_S, **options))  # type: ignore[arg-type]
        server.run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            what = f"port {port} is in use: another daf watch, perhaps."
            raise DAFConfigError([Problem("watch.port", what, "watch.port=0 takes a free one.")]) from error
        reason = getattr(error, "strerror", None) or str(error)
        what = f"{host} port {port} cannot be listened at: {reason}."
        raise DAFConfigError([Problem("watch.host", what, "watch.host=127.0.0.1 is this machine alone.")]) from error


def _address(host: str, listener: socket.socket, gate: Gate) -> str:
    # Who listens everywhere has no address that says so; others know the machine's name.
    name = host if is_own(host) or host not in ("0.0.0.0", "::") else socket.gethostname()
    place = f"http://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}/"
    return place if gate.token is None else f"{place}enter/{gate.token}"
