"""What the season's server knows, as tables."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from daf.bridge.season import shown
from daf.results import ResultTable
from daf.visualization.text import NO_VALUE

if TYPE_CHECKING:
    from cogames.cli.client import LeaderboardEntry, MatchPlayerInfo, MatchResponse, PolicyVersionInfo, SeasonSummary


def seasons_table(seasons: "Sequence[SeasonSummary]", chosen: str) -> ResultTable:
    """One row a season."""
    rows = [
        (
            shown(season.name),
            shown(season.display_name or NO_VALUE),
            str(season.version),
            season.tournament_type or NO_VALUE,
            shown(season.compat_version or "any"),
            "*" * (season.name == chosen) or NO_VALUE,
        )
        for season in seasons
    ]
    return ResultTable("Seasons", ("season", "title", "version", "type", "CoGames", "chosen"), tuple(rows))


def submissions_table(
    versions: "Sequence[PolicyVersionInfo]", memberships: Mapping[str, Sequence[str]], mine: str
) -> ResultTable:
    """One row for each of the user's versions at the server; `mine` is the id of this bundle's."""
    rows = [
        (
            shown(f"{version.name}:v{version.version}"),
            f"{version.created_at:%Y-%m-%d %H:%M}",
            shown(", ".join(memberships.get(str(version.id), ())) or NO_VALUE),
            "*" * (str(version.id) == mine) or NO_VALUE,
        )
        for version in versions
    ]
    return ResultTable("My submissions", ("policy", "uploaded", "seasons", "this bundle"), tuple(rows))


def leaderboard_table(entries: "Sequence[LeaderboardEntry]", mine: str) -> ResultTable:
    """One row a policy, in the server's order."""
    rows = [
        (
            shown(_policy_name(entry.policy.name, entry.policy.version)),
            str(entry.rank),
            f"{entry.score:.3f}",
            NO_VALUE if entry.score_stddev is None else f"{entry.score_stddev:.3f}",
            str(entry.matches),
            "*" * (str(entry.policy.id) == mine) or NO_VALUE,
        )
        for entry in entries
    ]
    columns = ("policy", "rank", "score", "standard deviation", "matches", "this bundle")
    return ResultTable("Season leaderboard", columns, tuple(rows))


def matches_table(matches: "Sequence[MatchResponse]") -> ResultTable:
    """One row a match, in the server's order."""
    rows = [
        (
            str(match.id),
            f"{match.created_at:%Y-%m-%d %H:%M}",
            shown(match.pool_name),
            shown(match.status),
            shown(", ".join(map(_player, match.players)), 300),
            shown(match.error or NO_VALUE, 300),
        )
        for match in matches
    ]
    return ResultTable("Matches", ("match", "created", "pool", "status", "players", "error"), tuple(rows))


def _player(player: "MatchPlayerInfo") -> str:
    score = "" if player.score is None else f": {player.score:.3f}"
    return f"{_policy_name(player.policy.name, player.policy.version)} x{player.num_agents}{score}"


def _policy_name(name: str | None, version: int | None) -> str:
    return (name or "unnamed") + ("" if version is None else f":v{version}")
