"""CoGames' client of the season's server, with errors in sentences, and repeats where they can do no harm."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol
from urllib.parse import parse_qsl

import httpx
from pydantic import ValidationError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from daf.bridge.imports import contained
from daf.bridge.trust import is_here, is_readable_underway
from daf.errors import DAFError, first_line
from daf.redaction import guard_logs, redactor

with contained():
    import typer
    from cogames.cli import compat
    from cogames.cli.client import (
        LeaderboardEntry,
        MatchResponse,
        PolicyVersionInfo,
        SeasonSummary,
        TournamentServerClient,
    )
    from cogames.cli.submit import UploadResult, upload_submission

#: Values of this length in a signed address are taken for secrets, whatever their names.
LONG_VALUE = 20
_LONGEST_DETAIL = 300
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class SeasonServerError(DAFError):
    """The season's server did not do what it was asked for.

    Attributes:
        status: of the answer; None where none came.
        known: whether it is certain that nothing was done.
        passing: whether the same request may succeed a little later.
    """

    def __init__(self, message: str, *, status: int | None = None, known: bool = True, passing: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.known = known
        self.passing = passing


class UploadSteps(Protocol):
    """Who writes down how far an upload is. Each is called before anything else happens."""

    def uploading(self, upload_id: str) -> None:
        """The file is about to be sent under that id; no version of the policy comes of that alone."""

    def completing(self, upload_id: str) -> None:
        """The file is there, and the server is about to be told to make a version of it."""


@dataclass(frozen=True)
class Uploaded:
    """A version that the server made.

    Attributes:
        id: of the version.
        version: its number, from 1.
        pools: of the season that it was submitted to, as far as the server says.
    """

    id: str
    name: str
    version: int
    pools: tuple[str, ...] = ()


class SeasonServer:
    """One server, asked as one user; use it as a context manager. Every method raises `SeasonServerError`.

    What only asks is repeated where it fails in passing, with growing pauses; what changes something never is, but for
    the file's own upload, of which nothing comes before it is completed.
    """

    def __init__(self, server: str, token: str, login_server: str, attempts: int, timeout_s: float) -> None:
        guard_logs()  # httpx logs addresses, which may be signed
        redactor().register(token)
        self._client = _Client(server, token, login_server, timeout_s)
        self._attempts = attempts

    def __enter__(self) -> "SeasonServer":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def account(self) -> str:
        """Whose token it is; an error with status 401 where the server knows nobody."""
        account = self._asked(lambda client: client._get("/whoami").get("user_email"))
        if not account or account == "unknown":  # as CoGames' own client calls nobody
            message = "the season's server knows nobody with this token. Log in again: daf_account login"
            raise SeasonServerError(message, status=401)
        return shown(account)

    def seasons(self) -> "list[SeasonSummary]":
        """All seasons that the user may see."""
        return self._asked(lambda client: client.get_seasons())

    def versions(self, name: str | None = None) -> "list[PolicyVersionInfo]":
        """The user's own versions, up to 100, of all policies or of one."""
        return self._asked(lambda client: client.get_my_policy_versions(name=name))

    def memberships(self) -> dict[str, list[str]]:
        """The seasons of each of the user's versions, by their ids."""
        return self._asked(lambda client: client.get_my_memberships())

    def leaderboard(self, season: str) -> "list[LeaderboardEntry]":
        """A season's leaderboard."""
        return self._asked(lambda client: client.get_leaderboard(season))

    def matches(self, season: str, version_id: str, limit: int) -> "list[MatchResponse]":
        """Matches of one version in a season."""
        ids = [uuid.UUID(version_id)]
        return self._asked(lambda client: client.get_season_matches(season, ids, limit))

    def submit(self, season: str, version_id: str) -> tuple[str, ...]:
        """Enters an existing version in a season, and returns its pools there. 409 means that it is there already."""
        with _told(f"entering the season {season}"):
            return tuple(self._client.submit_to_season(season, uuid.UUID(version_id)).pools)

    def upload(self, bundle: Path, name: str, season: str, steps: UploadSteps) -> Uploaded:
        """Sends a bundle, has the server make a version of it, and enters that in a season."""
        self._client.begin_upload(steps)

        def send() -> UploadResult:
            with _told("sending the bundle"):
                try:
                    return upload_submission(self._client, bundle, name, season)
                except httpx.HTTPStatusError as error:
                    self._client.forget_address()
                    raise _stored(error.response) from None

        return _uploaded(self._repeated(send, lambda error: error.passing and not self._client.completing))

    def complete(self, upload_id: str, name: str, season: str, steps: UploadSteps) -> Uploaded:
        """The rest of `upload`, where the file is there already."""
        self._client.begin_upload(steps)
        with _told("completing the upload"):
            answer = self._client.complete_policy_upload(upload_id, name, season)
            version = {key: answer[key] for key in ("name", "version")}
            return _uploaded(UploadResult(uuid.UUID(str(answer["id"])), **version, pools=answer.get("pools")))

    def _asked[T](self, ask: Callable[["_Client"], T]) -> T:
        def once() -> T:
            with _told("asking"):
                return ask(self._client)

        return self._repeated(once, lambda error: error.passing)

    def _repeated[T](self, action: Callable[[], T], is_passing: Callable[[SeasonServerError], bool]) -> T:
        retrying = Retrying(
            stop=stop_after_attempt(self._attempts),
            wait=wait_exponential(multiplier=_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S),
            retry=retry_if_exception(lambda error: isinstance(error, SeasonServerError) and is_passing(error)),
            reraise=True,
        )
        return retrying(action)


def season_refusal(season: "SeasonSummary") -> str | None:
    """Why the installed CoGames does not fit a season, in a sentence, as CoGames' own check has it; None if it does."""
    try:
        with compat.console.capture():
            compat.check_compat_version(season)
    except typer.Exit:
        own = compat._get_installed_compat()
        return f"the season {season.name} is played with CoGames {season.compat_version}, and here is CoGames {own}"
    return None


class _Client(TournamentServerClient):  # type: ignore[misc]
    """CoGames' client, which tells the steps of an upload before it takes them."""

    def __init__(self, server: str, token: str, login_server: str, timeout_s: float) -> None:
        super().__init__(server, token, login_server)
        self._http_client.close()
        # A token follows no redirect, and on this machine it goes through no proxy, which would get it unencrypted.
        own = is_here(httpx.URL(server))
        self._http_client: httpx.Client = httpx.Client(
            base_url=server, timeout=timeout_s, follow_redirects=False, trust_env=not own
        )

    def begin_upload(self, steps: UploadSteps) -> None:
        """From here on a new address is asked for, and `steps` is told."""
        self._steps = steps
        self._signed: dict[str, Any] | None = None
        self.completing = False

    def forget_address(self) -> None:
        """The next attempt asks for a new signed address."""
        self._signed = None

    def get_presigned_upload_url(self) -> dict[str, Any]:
        """The address that the file goes to: the same for all attempts."""
        if self._signed is None:
            with _told("asking where the bundle goes"):
                signed = super().get_presigned_upload_url()
            _check_signed(signed)
            self._signed = signed
        self._steps.uploading(str(self._signed["upload_id"]))
        return self._signed

    def complete_policy_upload(self, upload_id: str, name: str, season: str | None = None) -> dict[str, Any]:
        self.completing = True
        self._steps.completing(upload_id)
        with _told("completing the upload"):
            return super().complete_policy_upload(upload_id, name, season)


def _check_signed(signed: Any) -> None:
    """Makes the signature known to the redactor, and sees that nobody can read it on its way.

    Raises:
        SeasonServerError: there is no such address, or the bundle would be sent unencrypted.
    """
    address = signed.get("upload_url") if isinstance(signed, dict) else None
    if not isinstance(address, str) or not address or not signed.get("upload_id"):
        _raise_other_form("upload_url and upload_id are missing")
    query = address.partition("?")[2]
    redactor().learn(address)
    redactor().register(address, query, *(value for _, value in parse_qsl(query) if len(value) >= LONG_VALUE))
    try:
        unsafe = is_readable_underway(httpx.URL(address))
    except httpx.InvalidURL:
        _raise_other_form("upload_url is no address")
    if unsafe:
        raise SeasonServerError("the season's server wants the bundle sent without encryption, which is not done")


def _uploaded(result: UploadResult) -> Uploaded:
    return Uploaded(str(result.policy_version_id), result.name, int(result.version), tuple(result.pools or ()))


@contextmanager
def _told(doing: str) -> Iterator[None]:
    """Turns what httpx and CoGames raise into one kind of error, without the addresses that theirs hold."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise _answered(error.response, doing) from None
    except httpx.TransportError as error:
        known = isinstance(error, _NOT_SENT)
        what = "cannot be reached" if known else "was cut off, or took too long"
        message = f"{doing}: the season's server {what} ({type(error).__name__}: {first_line(error)})"
        raise SeasonServerError(message, known=known, passing=True) from None
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError) as error:
        _raise_other_form(f"{doing}: {type(error).__name__}")


def _raise_other_form(what: str) -> NoReturn:
    raise SeasonServerError(
        f"the season's server answers in another form than CoGames 0.17.1 reads ({what}). Is "
        "tournament.season.server the address of its interface?",
        known=False,
    ) from None


#: What a user can do about an answer.
_ADVICE = {
    401: "The token is wrong or has expired. Log in again: daf_account login (or renew DAF_AUTH_TOKEN)",
    403: "The token is wrong, has expired, or its account may not do this. Log in again: daf_account login",
    404: "Is tournament.season.server the address of its interface?",
    409: "It has this already. Look at it in the season, or submit under another name: deployment.name",
    413: "The bundle is too large for the season. Leave out what the policy does not read",
    429: "It is asked too often. Wait a little, and run the same command again",
}


def _answered(response: httpx.Response, doing: str) -> SeasonServerError:
    status = response.status_code
    detail = _detail(response)
    advice = _ADVICE.get(status, "")
    if response.is_redirect:
        advice = "It sends on to another address, where no token follows. Write that in tournament.season.server"
    elif status >= 500:
        advice = "The fault is the server's. Run the same command again later"
    message = f"{doing}: the season's server answers {status} {response.reason_phrase}{detail}. {advice}".strip()
    # 408 is what a proxy answers that did not wait for the server.
    known = status < 500 and status != 408
    return SeasonServerError(message, status=status, known=known, passing=not known or status == 429)


def _stored(response: httpx.Response) -> SeasonServerError:
    """What the storage behind the signed address answered; its own words would quote the signature."""
    status = response.status_code
    advice = _ADVICE[413] if status == 413 else "Nothing was submitted. Run the same command again"
    message = f"sending the bundle: the season's storage answers {status} {response.reason_phrase}. {advice}"
    # 400 and 403 are what an expired address gets: the next attempt has a new one.
    return SeasonServerError(message, status=status, passing=status >= 500 or status in {400, 403, 429})


def _detail(response: httpx.Response) -> str:
    """What the server says itself, where it says it as JSON."""
    try:
        detail = response.json()["detail"]
    except (ValueError, TypeError, KeyError, httpx.ResponseNotRead):
        return ""
    text = detail if isinstance(detail, str) else json.dumps(detail)
    return f" ({redactor().text(shown(text, _LONGEST_DETAIL))})"


def shown(text: object, longest: int = 100) -> str:
    """A server's text as a terminal may get it: one line, visible characters, not too long."""
    line = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
