"""A server as a target, by the contract of ``docs/deployment.md``.

Every request may be repeated: reads are safe, an upload is the same version with the same digest, and a move names the
revision that it starts from. So whatever failed in passing (a connection, 429, 502 to 504, and 500, since each write
carries an idempotency key) is tried again, and a reply that was lost does no harm.
"""

import hashlib
import json
import logging
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from daf.config.policy_server import TOKEN
from daf.deployment.metadata import BundleMetadata
from daf.deployment.moves import Kind, Move, Use, version_key
from daf.deployment.targets import check_same, moved_meanwhile
from daf.errors import DAFError, first_line
from daf.files import PARTIAL, sha256_of
from daf.hosts import is_loopback
from daf.redaction import redactor

log = logging.getLogger(__name__)

PASSING = frozenset({429, 500, 502, 503, 504})
#: Longest answer that is no bundle, longest bundle, and bytes that are read or sent at once.
MOST_ANSWER, MOST_BUNDLE, CHUNK = 2**23, 2**30, 2**16
#: Seconds before an attempt is repeated: grows from the first to the second.
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
#: Their records at INFO hold every address.
CHATTY = ("httpx", "httpcore")

Content = Callable[[], Iterator[bytes]]


class _PassingError(DAFError):
    """It may go well the next time."""

    def __init__(self, message: str, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.after_s = after_s


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)  # a server may say more


class _Version(_Answer):
    digest: str
    file: str


class _Move(_Answer):
    kind: Kind
    before: str | None
    after: str
    why: str = ""
    run_id: str = ""


class _Alias(_Answer):
    version: str
    revision: int
    moves: tuple[_Move, ...] = ()


class _Policy(_Answer):
    versions: dict[str, _Version] = {}
    aliases: dict[str, _Alias] = {}


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    content: Content | None = None


class HttpTarget:
    """One policy on a server, as `daf.deployment.targets.Target` has it.

    Args:
        url: of the server; HTTPS, or HTTP on this machine.
        attempts: at a request that fails in passing.
        timeout_s: longest silence of the server, and longest time of an answer that is no bundle.
        token: sent as a bearer token; redirects are not followed, so that nobody else sees it.
    """

    kind = "http"

    def __init__(
        self, url: str, name: str, alias: str, *, attempts: int, timeout_s: float, token: str | None = None
    ) -> None:
        self.name = name
        self.alias = alias
        self._url = httpx.URL(url.rstrip("/") + "/")
        self._attempts = attempts
        self._timeout_s = timeout_s
        self._headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token else {})
        for chatty in CHATTY:
            logging.getLogger(chatty).setLevel(logging.WARNING)

    def versions(self) -> dict[str, str]:
        found = self._policy().versions
        return {version: found[version].digest for version in sorted(found, key=version_key)}

    def use(self) -> Use:
        alias = self._policy().aliases.get(self.alias)
        if alias is None:
            return Use(None)
        moves = tuple(Move(**move.model_dump()) for move in alias.moves)
        return Use(alias.version, moves, str(alias.revision))

    def upload(self, bundle: Path, metadata: BundleMetadata, digest: str) -> bool:
        version = metadata.version
        # Also so that a large bundle is not sent in vain.
        if there := self.versions().get(version):
            check_same(self, version, there, digest)
            return False
        headers = {
            "Content-Type": "application/zip" if bundle.name.endswith(".zip") else "application/gzip",
            "Content-Length": str(bundle.stat().st_size),
            "Content-Digest": content_digest(digest),
            "Idempotency-Key": _key(self.name, version, digest),
        }
        path = f"policies/{self.name}/versions/{version}"
        status, answer = self._ask(_Request("PUT", path, headers, lambda: _chunks(bundle)), {200, 201, 409})
        if status == 409:
            check_same(self, version, str(answer.get("digest")), digest)
        return status == 201

    def move(self, seen: Use, move: Move) -> None:
        body = json.dumps(
            {"version": move.after, "kind": move.kind, "why": redactor().text(move.why), "run_id": move.run_id}
        ).encode()
        condition = {"If-Match": f'"{seen.revision}"'} if seen.revision else {"If-None-Match": "*"}
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": _key(self.name, self.alias, seen.revision, move.after, move.kind),
            **condition,
        }
        request = _Request("PUT", f"policies/{self.name}/aliases/{self.alias}", headers, lambda: iter([body]))
        status, _ = self._ask(request, {200, 412})
        if status == 412:
            raise moved_meanwhile(self, seen, self.use(), move)

    def fetch(self, version: str, folder: Path) -> Path:
        found = self._policy().versions.get(version)
        if found is None:
            raise DAFError(f"{self._url} has no {self.name} {version}. It has: {', '.join(self.versions()) or 'none'}")
        bundle = folder / ("bundle.zip" if found.file.endswith(".zip") else "bundle.tar.gz")
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{uuid.uuid4().hex}{PARTIAL}"
        try:
            self._repeat(lambda: self._download(version, partial))
            if (digest := sha256_of(partial)) != found.digest:
                raise DAFError(
                    f"{self._url} sent another file than {self.name} {version}: its digest is {digest[:12]}, and "
                    f"{found.digest[:12]} was deployed. Deploy the policy again under a new version"
                )
            partial.replace(bundle)
        except OSError as error:
            raise DAFError(f"{bundle} cannot be written: {error.strerror or error}") from error
        finally:
            partial.unlink(missing_ok=True)
        return bundle

    def location(self, version: str) -> str:
        return str(self._url.join(f"policies/{self.name}/versions/{version}/bundle"))

    def _policy(self) -> _Policy:
        status, answer = self._ask(_Request("GET", f"policies/{self.name}"), {200, 404})
        try:
            return _Policy.model_validate(answer) if status == 200 else _Policy()
        except ValidationError as error:
            found = error.errors()[0]
            where = ".".join(map(str, found["loc"]))
            raise DAFError(f"{self._url} does not keep the contract; {where}: {found['msg']}") from error

    def _ask(self, request: _Request, expected: set[int]) -> tuple[int, dict[str, Any]]:
        """Status, one of those expected, and the JSON object that came with it."""
        return self._repeat(lambda: self._ask_once(request, expected))

    def _repeat[Result](self, action: Callable[[], Result]) -> Result:
        return Retrying(
            stop=stop_after_attempt(self._attempts),
            wait=_wait,
            retry=retry_if_exception_type(_PassingError),
            before_sleep=_tell,
            reraise=True,
        )(action)

    def _ask_once(self, request: _Request, expected: set[int]) -> tuple[int, dict[str, Any]]:
        with self._answered(request) as response:
            body = self._read(response)
            if response.status_code not in expected:
                self._refuse(response, body)
            return response.status_code, self._object(body)

    @contextmanager
    def _answered(self, request: _Request) -> Iterator[httpx.Response]:
        """One attempt. Trouble on the way is passing trouble, also while the answer is read."""
        with self._client() as client:
            content = request.content() if request.content else None
            try:
                with client.stream(request.method, request.path, headers=request.headers, content=content) as response:
                    yield response
            except httpx.TimeoutException as error:
                raise _PassingError(f"{self._url} did not answer within {self._timeout_s:g} s") from error
            except httpx.RequestError as error:
                raise _PassingError(f"{self._url} cannot be reached: {first_line(error)}") from error

    def _client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self._url,
            headers=self._headers,
            timeout=self._timeout_s,
            follow_redirects=False,
            # A proxy is for the world outside.
            trust_env=not is_loopback(self._url.host),
        )

    def _read(self, response: httpx.Response) -> bytes:
        body, end = b"", time.monotonic() + self._timeout_s
        for part in response.iter_bytes(CHUNK):
            body += part
            if len(body) > MOST_ANSWER:
                raise DAFError(f"{self._url} answers with more than {MOST_ANSWER:,} bytes")
            if time.monotonic() > end:
                raise _PassingError(f"{self._url} did not finish its answer within {self._timeout_s:g} s")
        return body

    def _object(self, body: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(body or b"{}")
        except ValueError as error:
            raise DAFError(f"{self._url} does not keep the contract: its answer is no JSON") from error
        return answer if isinstance(answer, dict) else {}

    def _refuse(self, response: httpx.Response, body: bytes) -> None:
        """Raises what a status means."""
        status, said = response.status_code, _said(body)
        what = f"{self._url} answers {status}{f': {said}' if said else ''}"
        if status in PASSING:
            raise _PassingError(what, _retry_after(response))
        if status in (401, 403):
            raise DAFError(f"{what}. Put the token that it wants into the variable {TOKEN}")
        if response.is_redirect:
            where = redactor().text(response.headers.get("Location", "elsewhere"))
            raise DAFError(f"{what}. It sends on to {where}, which is not followed: give that as deployment.url")
        raise DAFError(what)

    def _download(self, version: str, path: Path) -> None:
        request = _Request("GET", f"policies/{self.name}/versions/{version}/bundle")
        with self._answered(request) as response:
            if response.status_code != 200:
                self._refuse(response, self._read(response))
            size = 0
            with path.open("wb") as file:
                for part in response.iter_bytes(CHUNK):
                    size += len(part)
                    if size > MOST_BUNDLE:
                        raise DAFError(f"{self._url} sends more than {MOST_BUNDLE / 2**30:g} GiB")
                    file.write(part)


def content_digest(digest: str) -> str:
    """A SHA-256 (hex) as RFC 9530 writes it in a header."""
    return f"sha-256=:{b64encode(bytes.fromhex(digest)).decode()}:"


def _key(*parts: str) -> str:
    """The same request has the same key, also in another process."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _chunks(bundle: Path) -> Iterator[bytes]:
    with bundle.open("rb") as file:
        while part := file.read(CHUNK):
            yield part


def _said(body: bytes) -> str:
    """The server's own sentence."""
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    said = answer.get("error") if isinstance(answer, dict) else None
    return redactor().text(str(said))[:300] if said else ""


def _retry_after(response: httpx.Response) -> float:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else 0.0


def _wait(state: RetryCallState) -> float:
    """Longer and longer, and as long as the server asks for."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.after_s if isinstance(error, _PassingError) else 0.0
    return min(max(wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S)(state), asked), LONGEST_WAIT_S)


def _tell(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    wait = state.next_action.sleep if state.next_action else 0.0
    log.warning("%s; attempt %d failed, the next one follows in %.1f s", error, state.attempt_number, wait)
