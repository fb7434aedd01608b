"""CoGames' login: where it keeps its tokens, and how its browser page brings one back."""

import asyncio
import os
import socket
import threading
from pathlib import Path

from daf.bridge.imports import contained
from daf.errors import DAFError

with contained():
    import uvicorn
    from cogames.auth import AuthConfigReaderWriter
    from cogames.cli.login import CoGamesAuthenticator

#: Files and folders made under it are for their owner alone.
PRIVATE = 0o077
#: How long the browser gets to receive the last page.
FAREWELL_S = 5.0


def token_store() -> tuple[Path, str]:
    """CoGames' token file (``~/.metta/cogames.yaml``), and the key in it that holds ``{login server: token}``.

    Raises:
        DAFError: its folder cannot be made.
    """
    before = os.umask(PRIVATE)
    try:
        store = CoGamesAuthenticator().config_reader_writer
    except OSError as error:
        raise DAFError(f"CoGames' folder for tokens cannot be made: {error}") from error
    finally:
        os.umask(before)
    return store.yaml_file, store.token_storage_key


def token_from_browser(login_server: str, limit_s: float) -> str:
    """Opens CoGames' login page, and waits until the browser comes back to this machine with a token.

    Raises:
        DAFError: no token came in time, or the browser came without one.
    """
    login = _BrowserLogin()
    try:
        if login.authenticate(login_server, login_server, timeout=limit_s) and login.token:
            return str(login.token)
    finally:
        login.stop()
    late = f"no token came back within {limit_s:.0f} s" if not login.auth_completed.is_set() else "no token came back"
    raise DAFError(
        f"the login at {login_server} did not succeed: {login.error or late}. Try again, or pass a token on standard "
        "input: daf_account login < file"
    )


class _Unsaved(AuthConfigReaderWriter):  # type: ignore[misc]
    """Nothing is saved before the server has said whose token it is."""

    def save_token(self, token: str, auth_server_key: str) -> None:
        pass


class _BrowserLogin(CoGamesAuthenticator):  # type: ignore[misc]
    """CoGames' own, on a socket that is never let go in between, with a server that is stopped in the end.

    What cannot be done from outside: the callback carries neither state nor nonce, so that whoever reaches the port in
    time may bring a token of their own, and the token stands in the browser's history.
    """

    def __init__(self) -> None:
        super().__init__()
        self.config_reader_writer = _Unsaved("cogames.yaml", "login_tokens")
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._stopped = threading.Event()

    def _find_free_port(self) -> int:
        # Held from here on: another user of this machine could take a port that is only found.
        self._socket = socket.create_server(("127.0.0.1", 0))
        return int(self._socket.getsockname()[1])

    def _run_server(self, port: int) -> None:
        # Without an access log, whose lines would hold the token.
        config = uvicorn.Config(self.create_app(), log_config=None, log_level="critical", access_log=False)
        self._server = uvicorn.Server(config)
        self.server_started.set()
        try:
            asyncio.run(self._server.serve(sockets=[self._socket] if self._socket else None))
        except Exception as error:  # it runs in a thread of CoGames', which waits for one of the events
            self.error = f"the callback server failed: {error}"
            self.auth_completed.set()
        finally:
            self._stopped.set()

    def stop(self) -> None:
        """Ends the callback server, once the browser has its page."""
        if self._server:
            self._server.should_exit = True
            self._stopped.wait(FAREWELL_S)
        if self._socket:
            self._socket.close()
