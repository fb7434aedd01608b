"""Where a token may go, and what may be sent without encryption."""

from typing import TYPE_CHECKING

from daf.hosts import is_loopback

if TYPE_CHECKING:
    import httpx

#: Hosts of one owner, beside those that are the same: a token of one may go to the others.
FAMILIES = (
    frozenset(
        {"softmax.com", "www.softmax.com", "observatory.softmax-research.net", "api.observatory.softmax-research.net"}
    ),
)


def parsed(address: str) -> "httpx.URL":
    """An address as the client will read it.

    Raises:
        ValueError: it is none, or holds credentials, a query or a fragment.
    """
    import httpx

    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, TypeError, UnicodeError) as error:
        raise ValueError("is no address") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("is no address of a server. Write it as https://host/path")
    if url.userinfo or url.query or url.fragment:
        raise ValueError("holds more than scheme, host, port and path")
    return url


def host_of(url: "httpx.URL") -> str:
    """The host in the one spelling that hosts are compared in."""
    return url.host.lower().rstrip(".")


def is_here(url: "httpx.URL") -> bool:
    """Whether it never leaves this machine."""
    return is_loopback(host_of(url))


def is_readable_underway(url: "httpx.URL") -> bool:
    """Whether what is sent there could be read by others."""
    return url.scheme != "https" and not is_here(url)


def why_untrusted(server: str, login_server: str, trust: bool) -> str | None:
    """Why a token of `login_server` may not be sent to `server`, to follow the address in a sentence; None if it may.

    Args:
        trust: whether the user says that it may go to any host, though still not without encryption.
    """
    url = parsed(server)
    if is_readable_underway(url):
        return "would get the token without encryption. Use https (http is for this machine alone)"
    hosts = {host_of(url), host_of(parsed(login_server))}
    if trust or len(hosts) == 1 or any(hosts <= family for family in FAMILIES):
        return None
    return (
        f"does not belong to {login_server}, whose token would be sent there. If it may have it: "
        "tournament.season.trust_server=true"
    )
