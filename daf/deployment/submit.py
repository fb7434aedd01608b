"""`task=submit`: a validated bundle enters a season."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from daf.auth_integration import daf_get_auth_token
from daf.bridge.bundles import BundleError
from daf.config.commands import command_for
from daf.config.schemas import DAFConfig
from daf.deployment.asked import asked_bundle
from daf.deployment.metadata import read_metadata
from daf.deployment.package import MOST_BYTES
from daf.deployment.results import DeploymentResult, bundle_facts
from daf.deployment.validations import passed_validation
from daf.errors import DAFConfigError, DAFError, Problem
from daf.files import sha256_of
from daf.results import ResultTable
from daf.tasks import Task
from daf.tracking.tracker import Tracker

if TYPE_CHECKING:
    from cogames.cli.client import LeaderboardEntry, SeasonSummary

    from daf.bridge.season import SeasonServer
    from daf.deployment.submission import Submission

_BUNDLE, _NAME, _SEASON = "deployment.bundle", "deployment.name", "tournament.season.name"


@dataclass(frozen=True, kw_only=True)
class _Request:
    """A bundle, and what it is called at the season's server."""

    bundle: Path
    digest: str
    name: str
    version: str


def daf_submit_policy(config: DAFConfig, tracker: Tracker) -> DeploymentResult:
    """Uploads `deployment.bundle`, or the packed `deployment.policy`, enters it in a season, and shows the season.

    The same call after a cut connection goes on where it was cut. With `tournament.season.dry_run` all is done but the
    upload.

    Raises:
        DAFConfigError: there is no such bundle or season, or it cannot be submitted as it is; nothing was sent.
        DAFError: the server refused it or was cut off; the message says what is known and what to do.
    """
    request = _request(config, tracker)
    with _season_server(config) as server:
        account = server.account()
        seasons = server.seasons()
        season = _chosen(config, seasons)
        tracker.set_tags({"daf.season": season, "daf.bundle": request.digest})
        if config.tournament.season.dry_run:
            return replace(_not_sent(server, request, seasons, season), next=_really(config, request))
        submission = _submitted(config, server, request, account, season)
        policy = f"{request.name}:v{submission.progress.version}"
        tracker.set_tags({"daf.season_policy": policy, "daf.season_version_id": submission.progress.version_id})
        tables = tuple(_shown_season(config, tracker, server, seasons, season, submission.progress.version_id))
    pools = f" (pools: {', '.join(submission.pools)})" if submission.pools else ""
    return DeploymentResult(
        name=request.name,
        version=request.version,
        digest=request.digest,
        bundle=request.bundle,
        target=f"season {season}",
        location=policy,
        facts=bundle_facts(request.name, request.version, request.digest, season=season, policy=policy),
        files={"bundle": request.bundle},
        tables=tables,
        notes=(f"{policy} of {account} is in the season {season}{pools}.", *submission.notes),
    )


def _really(config: DAFConfig, request: _Request) -> str:
    """The command that sends what a dry run has looked at."""
    season = config.tournament.season.model_copy(update={"dry_run": False})
    deployment = config.deployment.model_copy(update={"bundle": str(request.bundle), "policy": None})
    tournament = config.tournament.model_copy(update={"season": season})
    sending = config.model_copy(update={"tournament": tournament, "deployment": deployment})
    return command_for(sending, "submit", ("tournament", "deployment", "tracking"))


def submit_problems(config: DAFConfig) -> list[Problem]:
    """What is wrong with a bundle that exists already."""
    if config.deployment.bundle is None:
        return []
    try:
        _checked(config, Path(config.deployment.bundle).expanduser())
    except DAFConfigError as error:
        return error.problems
    return []


def _request(config: DAFConfig, tracker: Tracker) -> _Request:
    return _checked(config, asked_bundle(config, tracker))


def _checked(config: DAFConfig, bundle: Path) -> _Request:
    """What a bundle will be at the server.

    Raises:
        DAFConfigError: it is none that the season takes, or its validation is missing.
    """
    if not bundle.is_file():
        raise _wrong(f"there is no bundle at {str(bundle)!r}.", "task=package writes one.")
    if bundle.suffix != ".zip":
        raise _wrong(f"{bundle} is no .zip, and the season takes nothing else.", "task=package writes one beside it.")
    if (size := bundle.stat().st_size) > MOST_BYTES:
        what = f"{bundle} has {size / 2**20:,.0f} MB, and the season takes {MOST_BYTES / 2**20:.0f} MB."
        raise _wrong(what, "Leave out what the policy does not read.")
    digest = sha256_of(bundle)
    if not config.tournament.season.unvalidated and passed_validation(digest) is None:
        hint = f"Run task=validate deployment.bundle={bundle}, or set tournament.season.unvalidated=true."
        raise _wrong(f"{bundle} has passed no validation as it is now (SHA-256 {digest[:12]}...).", hint)
    try:
        metadata = read_metadata(bundle)
    except BundleError as error:
        raise _wrong(f"{error}".rstrip(".") + ".") from error
    return _Request(
        bundle=bundle, digest=digest, name=config.deployment.name or metadata.name, version=metadata.version
    )


def _wrong(what: str, hint: str = "") -> DAFConfigError:
    return DAFConfigError([Problem(_BUNDLE, what, hint)])


@contextmanager
def _season_server(config: DAFConfig) -> "Iterator[SeasonServer]":
    from daf.bridge.season import SeasonServer  # with CoGames' client, which costs seconds

    season, deployment = config.tournament.season, config.deployment
    token = daf_get_auth_token(config)
    with SeasonServer(season.server, token, season.login_server, deployment.retries, deployment.timeout_s) as server:
        yield server


def _chosen(config: DAFConfig, seasons: "list[SeasonSummary]") -> str:
    """The season's name, once it is known that it exists and that the installed CoGames fits it.

    Raises:
        DAFConfigError: it does not, or there is none.
    """
    from daf.bridge.season import season_refusal

    asked = config.tournament.season.name
    known = ", ".join(season.name for season in seasons) or "none"
    named = [season for season in seasons if season.name == asked]
    # As CoGames chooses: the server's default, or else the first.
    defaults = sorted(seasons, key=lambda season: not season.is_default)
    found = next(iter(named if asked else defaults), None)
    if found is None:
        raise DAFConfigError([Problem(_SEASON, f"there is no season {asked!r}.", f"Known: {known}.")])
    if refusal := season_refusal(found):
        hint = "Install that CoGames, or choose another season."
        raise DAFConfigError([Problem(_SEASON, f"{refusal}.", hint)])
    return str(found.name)


def _not_sent(
    server: "SeasonServer", request: _Request, seasons: "list[SeasonSummary]", season: str
) -> DeploymentResult:
    """What a dry run comes to."""
    from daf.deployment.season_tables import seasons_table, submissions_table

    versions, memberships = server.versions(), server.memberships()
    note = f"Dry run: {request.bundle} would be sent as {request.name} to the season {season}. Nothing was sent."
    return DeploymentResult(
        name=request.name,
        version=request.version,
        digest=request.digest,
        bundle=request.bundle,
        facts=bundle_facts(request.name, request.version, request.digest, season=season),
        files={"bundle": request.bundle},
        tables=(seasons_table(seasons, season), submissions_table(versions, memberships, "")),
        notes=(note,),
    )


def _submitted(config: DAFConfig, server: "SeasonServer", request: _Request, account: str, season: str) -> "Submission":
    from daf.deployment.journal import submission_journal
    from daf.deployment.submission import submit_bundle

    with submission_journal(config.tournament.season.server, account, request.name, request.digest) as journal:
        return submit_bundle(server, journal, request.bundle, season)


def _shown_season(
    config: DAFConfig,
    tracker: Tracker,
    server: "SeasonServer",
    seasons: "list[SeasonSummary]",
    season: str,
    version_id: str,
) -> Iterator[ResultTable]:
    """The tables that can be had. The bundle is submitted by now: one that is missing does not fail the work."""
    from daf.deployment.season_tables import leaderboard_table, matches_table, seasons_table, submissions_table

    makers: tuple[Callable[[], ResultTable], ...] = (
        lambda: submissions_table(server.versions(), server.memberships(), version_id),
        lambda: leaderboard_table(_ranked(tracker, server.leaderboard(season), version_id), version_id),
        lambda: matches_table(server.matches(season, version_id, config.tournament.season.matches)),
    )
    yield seasons_table(seasons, season)
    for make in makers:
        try:
            yield make()
        except DAFError as error:
            tracker.warn(f"the policy is in the season, but not all of it can be shown: {error}")


def _ranked(tracker: Tracker, entries: "list[LeaderboardEntry]", version_id: str) -> "list[LeaderboardEntry]":
    """The same, after the version's own place was logged."""
    own = next((entry for entry in entries if str(entry.policy.id) == version_id), None)
    if own:
        tracker.log_metrics({"season/rank": own.rank, "season/score": own.score, "season/matches": own.matches})
    return entries


submit = Task(
    name="submit",
    run=daf_submit_policy,
    policies=lambda _: (),
    named_after=lambda _: (),
    missions=lambda _: (),
    needs_account=True,
    problems=submit_problems,
    gives=frozenset({"bundle"}),
)
