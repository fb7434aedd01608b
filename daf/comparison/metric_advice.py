"""A metric that cannot tell policies apart: why, and which other one might."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from daf.config.suggestions import nearest
from daf.records import EpisodeRecord
from daf.visualization.text import number_text

if TYPE_CHECKING:
    from daf.statistics import PairedScores

MOST_SUGGESTIONS = 3
#: Stats of what was tried and how the run went rather than of what came of it.
_BOOKKEEPING = ("action.", "tokens", "map_", "objects.", "env_")


def flat_metric(scores: "PairedScores", records: Sequence[EpisodeRecord]) -> str | None:
    """Why every policy has the same score in every episode, and what to do; None where they do not."""
    values, metric = scores.values, scores.metric
    if (values != values[:1]).any():
        return None
    if (absent := _absent(metric, records)) is not None:
        return absent
    if (values == values.flat[0]).all():
        return (
            f"{metric} is constant; every policy scored exactly {number_text(values.flat[0])} in each of the"
            f" {values.size} episodes, so more of them will not help. {_way_out(metric, records)}"
        )
    return (
        f"{metric} depends on the seed alone; on each seed every policy scored exactly the same."
        f" {_way_out(metric, records)}"
    )


def _absent(metric: str, records: Sequence[EpisodeRecord]) -> str | None:
    kind, _, name = metric.partition("/")
    if kind not in ("game", "agent"):
        return None
    known = {stat for record in records for stat in _stats(record, kind)}
    if name in known:
        return None
    return f"no episode reported {metric!r}, so it counts as 0 everywhere. {nearest(name, sorted(known))}"


def _stats(record: EpisodeRecord, kind: str) -> dict[str, float]:
    stats: dict[str, float] = record.stats["game"] if kind == "game" else record.agent_stats()
    return stats


def _way_out(metric: str, records: Sequence[EpisodeRecord]) -> str:
    advice = []
    if metric == "reward":
        advice.append(
            "CoGames' default reward counts the junctions that a team holds, its hub among them, and weak policies"
            " never take another; give a reward that moves with what they do (variant=objective_mine, variant=credit,"
            " variant=mining)"
        )
    if separating := separating_metrics(records):
        names = " or ".join(f"comparison.metric={name}" for name in separating)
        advice.append(f"compare another metric: {names} differ here (seen on these episodes; test on fresh ones)")
    text = "; or ".join(advice)
    return f"{text[0].upper()}{text[1:]}." if text else "No stat of these episodes differs either."


def separating_metrics(records: Sequence[EpisodeRecord]) -> list[str]:
    """Up to three stats whose means differ most between policies, in standard deviations within a policy."""
    tables: dict[str, list[dict[str, float]]] = {}
    for record in records:
        stats = {f"{kind}/{name}": value for kind in ("game", "agent") for name, value in _stats(record, kind).items()}
        tables.setdefault(record.policies[0], []).append(stats)
    names = {name for rows in tables.values() for row in rows for name in row}
    ranked = []
    for name in sorted(names):
        samples = [np.array([row.get(name, 0.0) for row in rows]) for rows in tables.values()]
        spread = float(np.sqrt(np.mean([sample.var() for sample in samples])))
        distance = float(np.ptp([sample.mean() for sample in samples]))
        if distance > 0 and not name.partition("/")[2].startswith(_BOOKKEEPING):
            ranked.append((-distance / spread if spread else -np.inf, name))
    return [name for _, name in sorted(ranked)[:MOST_SUGGESTIONS]]
