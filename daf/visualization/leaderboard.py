"""A ranking that does not claim more than the comparison behind it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daf.results import ResultTable
from daf.visualization.text import level_text

if TYPE_CHECKING:
    from daf.statistics import Comparison


def daf_generate_leaderboard(comparison: "Comparison", folder: Path, *, metric: str) -> ResultTable:
    """Ranks policies by their mean over all missions and writes ``leaderboard.json``, ``.csv`` and ``.md``.

    A rank is the range that the decided pairs leave open: ``1-2`` for two leaders that cannot be told apart.

    Returns:
        The table, the highest mean first.
    """
    entries = sorted((_entry(comparison, policy) for policy in comparison.policies), key=lambda entry: -entry.mean)
    interval = f"{level_text(comparison.level)} interval"
    columns = ("policy", "rank", f"mean {metric}", interval, "IQM", "above", "below")
    # Of a stat, such as deaths, the highest need not be the best.
    title = "Leaderboard" if metric == "reward" else f"Leaderboard by {metric}, highest first"
    table = ResultTable(title, columns, tuple(entry.cells() for entry in entries))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "leaderboard.csv").write_text(table.to_csv())
    (folder / "leaderboard.md").write_text(table.to_markdown())
    content = {
        "metric": metric,
        "level": comparison.level,
        "missions": comparison.missions,
        "episodes_per_mission": comparison.episodes_per_mission,
        "entries": [asdict(entry) for entry in entries],
    }
    (folder / "leaderboard.json").write_text(json.dumps(content, indent=1) + "\n")
    return table


@dataclass(frozen=True)
class _Entry:
    """A policy's place; `above` and `below` count the policies from which it is told apart."""

    policy: str
    rank: tuple[int, int]
    mean: float
    interval: tuple[float, float] | None
    iqm: float
    above: int
    below: int

    def cells(self) -> tuple[str, ...]:
        first, last = self.rank
        interval = f"{self.interval[0]:.4f} to {self.interval[1]:.4f}" if self.interval else "-"
        rank = str(first) if first == last else f"{first}-{last}"
        return (self.policy, rank, f"{self.mean:.4f}", interval, f"{self.iqm:.4f}", str(self.above), str(self.below))


def _entry(comparison: "Comparison", policy: str) -> _Entry:
    summary = comparison.summary(policy)
    leads = [
        (pair.difference.value > 0) == (pair.first == policy)
        for pair in comparison.pairs
        if pair.mission is None and pair.significant and policy in (pair.first, pair.second)
    ]
    above, below = leads.count(True), leads.count(False)
    interval = summary.mean.interval
    return _Entry(
        policy=policy,
        rank=(1 + below, len(comparison.policies) - above),
        mean=summary.mean.value,
        interval=(interval.low, interval.high) if interval else None,
        iqm=summary.iqm.value,
        above=above,
        below=below,
    )
