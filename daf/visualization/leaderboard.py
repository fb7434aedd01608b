"""A ranking that does not claim more than the comparison behind it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daf.results import ResultTable
from daf.visualization.columns import Column, Columns, pick, summary_columns, table
from daf.visualization.groups import Groups, policy_groups
from daf.visualization.text import Direction, best_first

if TYPE_CHECKING:
    from daf.statistics import Comparison, Summary


def daf_generate_leaderboard(
    comparison: "Comparison", folder: Path, *, metric: str, direction: Direction = "maximize"
) -> ResultTable:
    """Ranks policies by their mean over all missions and writes ``leaderboard.json``, ``.csv`` and ``.md``.

    A rank is the range that the decided pairs leave open: ``1-2`` for two leaders that cannot be told apart. From
    `FEWEST_FOR_GROUPS` policies on, those that share a letter cannot be told apart.

    Args:
        direction: what is better; where nobody knows (None), the highest comes first.

    Returns:
        The table, the best first.
    """
    ranking, places = _ranked(comparison, metric, direction)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "leaderboard.csv").write_text(ranking.to_csv())
    (folder / "leaderboard.md").write_text(ranking.to_markdown())
    content = {
        "metric": metric,
        "direction": direction,
        "groups": policy_groups(comparison, direction).get(None, {}),
        "level": comparison.level,
        "missions": comparison.missions,
        "episodes_per_mission": comparison.episodes_per_mission,
        "entries": [place.plain() for place in places],
    }
    (folder / "leaderboard.json").write_text(json.dumps(content, indent=1) + "\n")
    return ranking


def leaderboard_table(comparison: "Comparison", metric: str, direction: Direction) -> ResultTable:
    """The ranking that `daf_generate_leaderboard` writes."""
    return _ranked(comparison, metric, direction)[0]


def leaders(comparison: "Comparison", direction: Direction) -> list[str]:
    """The policies that nothing is told apart from and ranked above: one is the winner, several share the lead."""
    places = [_place(comparison, policy, direction) for policy in comparison.policies]
    return [place.summary.policy for place in places if place.rank[0] == 1]


def _ranked(comparison: "Comparison", metric: str, direction: Direction) -> "tuple[ResultTable, list[_Place]]":
    places = [_place(comparison, policy, direction) for policy in comparison.policies]
    places.sort(key=lambda place: best_first(direction) * place.summary.mean.value)
    order = "lowest" if direction == "minimize" else "highest"
    title = "Leaderboard" if metric == "reward" else f"Leaderboard by {metric}, {order} first"
    names = ("policy", "rank", "mean", "mean_interval", "iqm", "above", "below")
    groups = policy_groups(comparison, direction)
    columns = pick(_columns(metric, comparison.level, groups), names[:2] + ("group",) * bool(groups) + names[2:])
    return table(title, columns, places), places


@dataclass(frozen=True)
class _Place:
    """A policy's place; `above` and `below` count the policies from which it is told apart."""

    summary: "Summary"
    rank: tuple[int, int]
    above: int
    below: int

    def rank_text(self) -> str:
        first, last = self.rank
        return str(first) if first == last else f"{first}-{last}"

    def plain(self) -> dict[str, Any]:
        """The place as JSON takes it."""
        mean = self.summary.mean
        return {
            "policy": self.summary.policy,
            "rank": self.rank,
            "mean": mean.value,
            "interval": (mean.interval.low, mean.interval.high) if mean.interval else None,
            "iqm": self.summary.iqm.value,
            "above": self.above,
            "below": self.below,
        }


def _columns(metric: str, level: float, groups: Groups) -> Columns[_Place]:
    shared = summary_columns(metric, level, groups=groups)
    return {
        **{name: column.of(_summary) for name, column in shared.items()},
        "rank": Column("rank", "rank", _Place.rank_text),
        "above": Column("above", "above", lambda place: place.above),
        "below": Column("below", "below", lambda place: place.below),
    }


def _summary(place: _Place) -> "Summary":
    return place.summary


def _place(comparison: "Comparison", policy: str, direction: Direction) -> _Place:
    sign = -best_first(direction)
    leads = [
        (sign * pair.difference.value > 0) == (pair.first == policy)
        for pair in comparison.pairs
        if pair.mission is None and pair.significant and policy in (pair.first, pair.second)
    ]
    above, below = leads.count(True), leads.count(False)
    return _Place(
        summary=comparison.summary(policy),
        rank=(1 + below, len(comparison.policies) - above),
        above=above,
        below=below,
    )
