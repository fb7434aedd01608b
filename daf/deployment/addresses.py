"""What an address of a server says of itself."""

import os
from urllib.parse import urlsplit

from daf.config.policy_server import TOKEN
from daf.errors import Problem
from daf.hosts import is_loopback
from daf.redaction import redactor


def server_of(url: str) -> tuple[str, str, bool]:
    """Scheme, host, and whether a user or password stands in it.

    Raises:
        ValueError: it is no address, or one with a query or a fragment, to which no path can be added.
    """
    parts = urlsplit(url)
    _ = parts.port
    if parts.query or parts.fragment:
        raise ValueError("there is a ? or # in it")
    return parts.scheme.lower(), parts.hostname or "", bool(parts.username or parts.password)


def deployment_token() -> str | None:
    """The token of the environment, known to the redactor from now on."""
    token = os.environ.get(TOKEN) or None
    redactor().register(token)
    return token


def address_problem(url: str | None) -> Problem | None:
    """What is wrong with a server's address: a token goes over HTTPS only, except on this machine."""
    where = "deployment.url"
    if url is None:
        return Problem(where, "names no server.", "For example: deployment.url=https://policies.example.org.")
    try:
        scheme, host, has_user = server_of(url)
    except ValueError as error:
        return Problem(where, f"is no address: {error}.", "For example: https://policies.example.org.")
    if has_user:
        return Problem(where, "holds a user or a password.", f"Put a token into the variable {TOKEN} instead.")
    if scheme not in ("http", "https") or not host:
        return Problem(where, f"{url!r} is no address of a server.", "For example: https://policies.example.org.")
    if scheme == "http" and not is_loopback(host):
        return Problem(where, f"{host} is asked over plain HTTP, which anybody on the way can read.", "Use https://.")
    return None
