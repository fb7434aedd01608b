"""Who the user is at the season's server: tokens, where they are kept, and where they may go.

A token comes from ``DAF_AUTH_TOKEN`` in the environment, or from CoGames' own file, which a login fills from the
browser or from standard input. It is never an argument: others can read those.
"""

import contextlib
import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from daf.bridge.trust import parsed, why_untrusted
from daf.config.schemas import DAFConfig
from daf.errors import DAFConfigError, DAFError, Problem
from daf.files import write_whole
from daf.redaction import guard_logs, redactor

VARIABLE = "DAF_AUTH_TOKEN"
#: How long a login in the browser may take, in seconds.
LOGIN_LIMIT_S = 300.0
LONGEST_TOKEN = 8192

_SERVER, _LOGIN_SERVER = "tournament.season.server", "tournament.season.login_server"

log = logging.getLogger(__name__)

Source = Literal["environment", "file"]


@dataclass(frozen=True)
class AuthStatus:
    """What the season's server knows of the user.

    Attributes:
        login_server: whose token it is.
        server: who was asked.
        source: where the token comes from; None where there is none.
        account: whose it is, as the server says; None where it says nothing.
        problem: why there is no account, in a sentence; empty where there is one.
    """

    login_server: str
    server: str
    source: Source | None
    account: str | None
    problem: str = ""

    @property
    def logged_in(self) -> bool:
        """Whether the server takes the token."""
        return self.account is not None


class RefusedTokenError(DAFError):
    """The server was reached and takes no such token."""


def daf_login(config: DAFConfig, token: str | None = None) -> AuthStatus:
    """Gets a token from CoGames' login page, or takes the one given; asks whose it is, and only then keeps it.

    Args:
        token: one that the user has already, from standard input for example.

    Raises:
        DAFConfigError: the server may not have the token.
        DAFError: no token came, the server takes it from nobody or cannot be asked, or its file cannot be written.
    """
    _raise_if_any(address_problems(config))
    guard_logs()
    season = config.tournament.season
    saved = read_tokens()  # a damaged file is told before the user has logged in
    if token is None:
        from daf.bridge.login import token_from_browser

        token = token_from_browser(season.login_server, LOGIN_LIMIT_S)
    token = _checked_token(token, "what came as token")
    account = account_of(config, token)
    _write_tokens({**saved, season.login_server: token})
    if os.environ.get(VARIABLE):
        log.warning("%s is set and goes before the token that was saved", VARIABLE)
    return AuthStatus(season.login_server, season.server, "file", account)


def daf_logout(config: DAFConfig) -> bool:
    """Forgets the login server's token; the server is not told. Returns whether there was one.

    Raises:
        DAFError: the token file is damaged, somebody else's or cannot be written.
    """
    saved = read_tokens()
    if (server := config.tournament.season.login_server) not in saved:
        return False
    _write_tokens({key: value for key, value in saved.items() if key != server})
    return True


def daf_check_auth_status(config: DAFConfig) -> AuthStatus:
    """Asks the season's server whose the token is. Never fails: what is wrong is in the answer.

    A damaged token file, a server that may not have the token, and one that cannot be reached are told apart.
    """
    season, source = config.tournament.season, None
    try:
        _raise_if_any(address_problems(config))
        token, source = _found_token(season.login_server)
        return AuthStatus(season.login_server, season.server, source, account_of(config, token))
    except DAFConfigError as error:
        return AuthStatus(season.login_server, season.server, source, None, " ".join(map(str, error.problems)))
    except DAFError as error:
        return AuthStatus(season.login_server, season.server, source, None, str(error))


def daf_get_auth_token(config: DAFConfig) -> str:
    """The token for the season's server: from ``DAF_AUTH_TOKEN``, else from CoGames' token file.

    It is blanked from now on in all that DAF writes.

    Raises:
        DAFError: there is none, or the file is damaged or somebody else's.
    """
    return _found_token(config.tournament.season.login_server)[0]


def auth_problems(config: DAFConfig) -> list[Problem]:
    """What keeps a token from being sent: there is none, its file is damaged, the server may not have it.

    Nobody is asked.
    """
    found = address_problems(config)
    try:
        daf_get_auth_token(config)
    except DAFError as error:
        found.append(Problem(_LOGIN_SERVER, str(error)))
    return found


def address_problems(config: DAFConfig) -> list[Problem]:
    """Whether both addresses are sound, and the server may have the login server's token."""
    season, found = config.tournament.season, []
    for key, address in ((_SERVER, season.server), (_LOGIN_SERVER, season.login_server)):
        try:
            parsed(address)
        except ValueError as error:
            found.append(Problem(key, f"{redactor().text(address)!r} {error}."))
    if not found and (why := why_untrusted(season.server, season.login_server, season.trust_server)):
        found.append(Problem(_SERVER, f"{season.server} {why}."))
    if not found and (why := why_untrusted(season.login_server, season.login_server, False)):
        found.append(Problem(_LOGIN_SERVER, f"{season.login_server} {why}."))
    return found


def account_of(config: DAFConfig, token: str) -> str:
    """Whose token it is, as the season's server says.

    Raises:
        RefusedTokenError: nobody's.
        DAFError: the server cannot be asked.
    """
    from daf.bridge.season import SeasonServer, SeasonServerError

    season, deployment = config.tournament.season, config.deployment
    with SeasonServer(season.server, token, season.login_server, deployment.retries, deployment.timeout_s) as server:
        try:
            return server.account()
        except SeasonServerError as error:
            if error.status in {401, 403}:
                raise RefusedTokenError(str(error)) from None
            raise


def read_tokens() -> dict[str, str]:
    """All tokens in CoGames' file, by their login server; each is blanked from now on in all that DAF writes.

    Raises:
        DAFError: the file is somebody else's or cannot be read, or holds something else.
    """
    tokens = _content().get(_key(), {})
    if not isinstance(tokens, dict) or not all(isinstance(item, str) for pair in tokens.items() for item in pair):
        raise _damaged(f"{_key()} does not name one token for each server")
    redactor().register(*tokens.values())
    return {server: _checked_token(token, f"the token for {server} in {_path()}") for server, token in tokens.items()}


def _found_token(login_server: str) -> tuple[str, Source]:
    if token := os.environ.get(VARIABLE):
        return _checked_token(token, VARIABLE), "environment"
    if token := read_tokens().get(login_server):
        return token, "file"
    raise DAFError(
        f"nobody is logged in at {login_server}. Log in with: daf_account login (in a terminal, or with a token on "
        f"standard input), or set {VARIABLE}"
    )


def _checked_token(token: str, what: str) -> str:
    """The token without the white space around it, known to the redactor; only what a header can hold is one."""
    token = token.strip()
    redactor().register(token)
    if not token or len(token) > LONGEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        form = f"one line of visible ASCII characters, no longer than {LONGEST_TOKEN}"
        raise DAFError(f"{what} cannot be one, which is {form}")
    return token


def _store() -> tuple[Path, str]:
    from daf.bridge.login import token_store

    return token_store()


def _path() -> Path:
    return _store()[0]


def _key() -> str:
    return _store()[1]


def _damaged(why: str) -> DAFError:
    return DAFError(f"the token file {_path()} is damaged: {why}. Repair or remove it, and log in again")


def _content() -> dict[str, Any]:
    """The token file's whole content; nothing where there is no file."""
    import yaml

    path = _path()
    if path.exists() and not path.is_file():  # a pipe would keep its reader waiting for ever
        raise DAFError(f"the token file {path} is no file")
    try:
        with path.open(encoding="utf-8") as file:
            _check_owner(path, os.fstat(file.fileno()))
            found = yaml.safe_load(file)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DAFError(f"the token file {path} cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        # Not in the error's own words, which quote the file.
        mark = getattr(error, "problem_mark", None)
        raise _damaged(f"line {mark.line + 1} is no YAML" if mark else "it is no text") from None
    if found is not None and not isinstance(found, dict):
        raise _damaged("it holds no keys")
    return found or {}


def _check_owner(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.getuid():
        raise DAFError(f"the token file {path} belongs to somebody else, and is not used. Remove it, and log in again")
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        log.warning("%s is open to others on this machine; close it with: chmod 600 %s", path, path)


def _write_tokens(tokens: dict[str, str]) -> None:
    """CoGames' form, and what else stands in the file, with mode 0600 from the first byte."""
    import yaml

    path, key = _store()
    content = yaml.safe_dump({**_content(), key: tokens}, default_flow_style=False)
    try:
        with _private():
            write_whole(path.resolve(), content)  # where it is a link, the link stays
    except OSError as error:
        raise DAFError(f"the token file {path} cannot be written: {error.strerror or error}") from error


@contextlib.contextmanager
def _private() -> Iterator[None]:
    """What is made inside is for its owner alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _raise_if_any(problems: list[Problem]) -> None:
    if problems:
        raise DAFConfigError(problems)
