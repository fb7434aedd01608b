"""Deployed versions, fetched from a server that keeps the contract of ``docs/deployment.md``."""

import json
import logging
import os
import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from daf.errors import first_line
from daf.hosts import is_loopback
from daf.redaction import redactor

#: The variable with the token for the server of `deployment.url`.
TOKEN = "DAF_DEPLOYMENT_TOKEN"
ATTEMPTS, TIMEOUT_S = 3, 30.0
MOST_ANSWER, MOST_BUNDLE, CHUNK = 2**23, 2**30, 2**16
PASSING = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Deployed:
    """A version that was fetched: its bundle, which version it is, and the SHA-256 that the server keeps for it."""

    path: Path
    version: str
    digest: str


class _PassingError(ValueError):
    """It may go well the next time."""


class PolicyServer:
    """A server of policies.

    Args:
        url: HTTPS, or HTTP on this machine.
        trusted_with_token: whether the token of the environment is for it. Redirects are not followed.

    Raises:
        ValueError: the address is none, or not a safe one.
    """

    def __init__(self, url: str, *, trusted_with_token: bool) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is no address of a server")
        if parts.username or parts.password:
            raise ValueError(f"the address holds a user or a password; put a token into the variable {TOKEN} instead")
        self._is_here = is_loopback(parts.hostname)
        if parts.scheme == "http" and not self._is_here:
            raise ValueError(f"{parts.hostname} is asked over plain HTTP, which anybody on the way can read; use https")
        self._url = url.rstrip("/")
        # Its records at INFO hold every address.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        token = os.environ.get(TOKEN) if trusted_with_token else None
        redactor().register(token)
        self._headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def fetch(self, name: str, version: str, folder: Path) -> Deployed:
        """Downloads the bundle of a version, or of the version that an alias marks.

        Raises:
            ValueError: there is none, or the server does not answer as it should.
        """
        answer = self._policy(name)
        versions, aliases = answer.get("versions"), answer.get("aliases")
        if isinstance(aliases, dict) and isinstance(aliases.get(version), dict):
            version = str(aliases[version].get("version"))
        known = versions.get(version) if isinstance(versions, dict) else None
        digest = known.get("digest") if isinstance(known, dict) else None
        if not isinstance(versions, dict) or known is None:
            has = ", ".join(sorted(map(str, versions))) if isinstance(versions, dict) and versions else "none"
            raise ValueError(f"{self._url} has no {name} {version}. It has: {has}")
        if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise ValueError(f"{self._url} does not keep the contract: {name} {version} has no digest")
        path = folder / ("bundle.zip" if str(known.get("file", ".zip")).endswith(".zip") else "bundle.tar.gz")
        with path.open("wb") as file:
            self._get(f"policies/{name}/versions/{version}/bundle", MOST_BUNDLE, file)
        return Deployed(path, version, digest)

    def _policy(self, name: str) -> dict[str, Any]:
        body = BytesIO()
        self._get(f"policies/{name}", MOST_ANSWER, body)
        try:
            answer = json.loads(body.getvalue())
        except (RecursionError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"{self._url} does not keep the contract: it answers with no JSON") from error
        return answer if isinstance(answer, dict) else {}

    def _get(self, path: str, most: int, sink: IO[bytes]) -> None:
        """Writes an answer of at most so many bytes, again from the start where an attempt failed in passing."""
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

        Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.2, max=5.0),
            retry=retry_if_exception_type(_PassingError),
            reraise=True,
        )(self._get_once, path, most, sink)

    def _get_once(self, path: str, most: int, sink: IO[bytes]) -> None:
        import httpx

        sink.seek(0)
        sink.truncate()
        # A proxy is for the world outside.
        client = httpx.Client(headers=self._headers, timeout=TIMEOUT_S, trust_env=not self._is_here)
        try:
            with client, client.stream("GET", f"{self._url}/{path}") as response:
                if response.status_code != 200:
                    self._refuse(response.status_code, path)
                for part in response.iter_bytes(CHUNK):
                    sink.write(part)
                    if sink.tell() > most:
                        raise ValueError(f"{self._url} sends more than {most:,} bytes")
        except httpx.HTTPError as error:
            raise _PassingError(f"{self._url} cannot be reached: {first_line(error)}") from error

    def _refuse(self, status: int, path: str) -> None:
        if status in PASSING:
            raise _PassingError(f"{self._url} answers {status}")
        hint = f". Put the token that it wants into the variable {TOKEN}" if status in (401, 403) else ""
        raise ValueError(f"{self._url} answers {status} for {path}{hint}")
