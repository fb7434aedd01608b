"""`daf_account login`, `daf_account status` and `daf_account logout`: who you are at the season's server."""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from daf.auth_integration import LONGEST_TOKEN, daf_check_auth_status, daf_login, daf_logout
from daf.cli.exit_codes import exit_code
from daf.errors import DAFError
from daf.redaction import guarded

if TYPE_CHECKING:
    from daf.config import DAFConfig

EPILOG = """\
In a terminal, `login` opens the browser; otherwise it reads a token from standard input: {program} login < file.
DAF_AUTH_TOKEN in the environment goes before what was saved. Keys such as tournament.season.server=URL name another
server. Exit codes: 0 done or logged in, 1 not, 2 the request was wrong.
"""


def main(arguments: Sequence[str] | None = None, program: str = "daf_account") -> None:
    """Logs in or out, or says who is logged in. Ends the process with the exit code."""
    parser = argparse.ArgumentParser(
        prog=program,
        description="Who you are at the season's server: logs in or out, or says who is logged in.",
        epilog=EPILOG.format(program=program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=("login", "status", "logout"))
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="keys of DAF's config")
    options = parser.parse_args(arguments)

    actions: dict[str, Callable[[DAFConfig], None]] = {
        "login": partial(_login, program=program),
        "status": _status,
        "logout": _logout,
    }

    def act() -> None:
        from daf.config import daf_load_config

        config = daf_load_config(overrides=options.overrides)
        actions[options.action](config)

    with guarded():
        code = exit_code(act, program)
    sys.exit(code)


def _login(config: "DAFConfig", program: str) -> None:
    status = daf_login(config, _token_from_standard_input())
    print(f"Logged in at {status.login_server} as {status.account}. If that is not you: {program} logout")


def _token_from_standard_input() -> str | None:
    """The token that is piped in; None in a terminal."""
    if sys.stdin is not None and sys.stdin.isatty():
        return None
    token = sys.stdin.read(LONGEST_TOKEN + 2) if sys.stdin is not None else ""
    if not token.strip():
        raise DAFError(
            "standard input is no terminal, and holds nothing to log in with. The browser opens in a terminal"
        )
    return token


def _status(config: "DAFConfig") -> None:
    status = daf_check_auth_status(config)
    if not status.logged_in:
        raise DAFError(status.problem)
    source = "DAF_AUTH_TOKEN" if status.source == "environment" else "CoGames' token file"
    print(f"Logged in at {status.login_server} as {status.account} (by {source})")


def _logout(config: "DAFConfig") -> None:
    server = config.tournament.season.login_server
    print(f"Logged out of {server}" if daf_logout(config) else f"Nobody was logged in at {server}")


if __name__ == "__main__":
    main()
