"""Who may see the page and who may steer: hosts, the token of a page that others reach, the page's own token."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

#: Names of this machine for itself. A page of somebody else's whose name leads here asks under its own name.
OWN_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
#: What the page may do: load its own files and ask its own server, and nothing else.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def is_own(host: str) -> bool:
    """Whether an address is one that this machine alone can reach."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _token() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True)
class Gate:
    """What a request must bring.

    Attributes:
        host: that the page is bound to.
        token: what a visitor must know, where others can reach the page; None where nobody can.
        form_token: what the page's own requests to steer carry.
    """

    host: str
    token: str | None
    form_token: str = field(default_factory=_token)

    @classmethod
    def for_host(cls, host: str) -> "Gate":
        """The gate of a page that is bound to an address."""
        return cls(host, None if is_own(host) else _token())

    def knows_host(self, header: str) -> bool:
        """Whether a request's Host is this machine. Where a token is asked for, it guards against the same."""
        if self.token is not None:
            return True
        try:
            name = urlsplit(f"//{header}").hostname or ""
        except ValueError:
            return False
        return name in OWN_NAMES or name == self.host

    def lets_in(self, given: str | None) -> bool:
        """Whether a visitor knows the token."""
        return self.token is None or _same(given, self.token)

    def may_steer(self, headers: Mapping[str, str]) -> bool:
        """Whether a request to change something is the page's own."""
        site, origin = headers.get("sec-fetch-site", "same-origin"), headers.get("origin")
        from_here = origin is None or urlsplit(origin).netloc == headers.get("host", "")
        return site == "same-origin" and from_here and _same(headers.get("x-daf-token"), self.form_token)


def _same(given: str | None, expected: str) -> bool:
    return secrets.compare_digest((given or "").encode(), expected.encode())
