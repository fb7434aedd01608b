"""Who the user is at the season's server."""

from daf.auth_integration import RefusedTokenError, account_of, auth_problems, daf_get_auth_token
from daf.config.schemas import DAFConfig
from daf.environment_checks.result import CheckRow, EnvironmentCheckResult, checked
from daf.errors import DAFError, Problem

ACCOUNT = "account"
LOG_IN = "daf_account login, or a token in DAF_AUTH_TOKEN."
LATER = "Try again later."


def daf_check_auth(config: DAFConfig) -> EnvironmentCheckResult:
    """The season's server must know whose the token is; that it cannot be asked just now is a warning.

    Nothing is sent where there is no token, or where the server may not have it.
    """
    if errors := auth_problems(config):
        return checked(ACCOUNT, "", errors, remedy=LOG_IN)
    server = "tournament.season.login_server"
    try:
        name = account_of(config, daf_get_auth_token(config))
    except RefusedTokenError as error:
        return checked(ACCOUNT, "", [Problem(server, f"{error}.")], remedy=LOG_IN)
    except DAFError as error:
        return EnvironmentCheckResult((), (f"{error}.",), (CheckRow(ACCOUNT, "warning", f"{error}.", LATER),))
    return checked(ACCOUNT, f"logged in as {name}")
