"""How a season is shown."""

from collections.abc import Mapping

from daf.comparison.tournament.standings import Season, Standing
from daf.results import ResultTable
from daf.visualization.groups import SHARED_LETTERS, policy_groups
from daf.visualization.text import NO_VALUE, estimate_cells, p_text, rating_text, verdict_text

SCORED = ("score", "interval", "VOR", "VOR interval", "rating", "matches", "against the leader")


def season_table(season: Season) -> ResultTable:
    """One row a policy, best first."""
    groups = policy_groups(season.comparison, "maximize").get(None, {})
    head = ("policy", "rank", *(("group",) if groups else ()), *SCORED)
    rows = [
        (
            standing.policy,
            str(standing.rank),
            *([groups[standing.policy]] if groups else []),
            *estimate_cells(standing.score),
            *estimate_cells(standing.vor, "+"),
            rating_text(standing.rating, standing.rating_sd),
            str(standing.matches),
            _against_leader(season, standing),
        )
        for standing in season.standings
    ]
    return ResultTable("Tournament", head, tuple(rows))


def _against_leader(season: Season, standing: Standing) -> str:
    leader, comparison = season.standings[0].policy, season.comparison
    if standing.policy == leader:
        return NO_VALUE
    pair = comparison.pair(*sorted((leader, standing.policy), key=comparison.policies.index))
    return verdict_text(pair) if pair.p_value is None else f"{verdict_text(pair)} (p {p_text(pair.p_value)})"


def season_notes(season: Season) -> list[str]:
    """What the user should know about the intervals and tests."""
    from daf.statistics import reliability

    comparison = season.comparison
    notes = list(reliability(comparison.episodes_per_mission, "seeds"))
    return [*notes, SHARED_LETTERS] if policy_groups(comparison, "maximize") else notes


def disqualification_notes(failed: Mapping[str, str]) -> list[str]:
    """A sentence for every policy that could not finish a match on its own, from its name and the reason."""
    return [f"{name} is disqualified, since it cannot finish a match on its own: {why}" for name, why in failed.items()]
