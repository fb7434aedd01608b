"""What a comparison says in plain sentences, above all when it can say nothing."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from daf.comparison.scores import PairedScores
from daf.config.suggestions import nearest
from daf.records import EpisodeRecord
from daf.visualization.text import higher_and_lower, number_text, verdict_text

if TYPE_CHECKING:
    from daf.statistics import Comparison, PairResult

MOST_SUGGESTIONS = 3
#: Stats of what was tried and how the run went rather than of what came of it.
_BOOKKEEPING = ("action.", "tokens", "map_", "objects.", "env_")


def verdict(comparison: "Comparison", scores: PairedScores, records: Sequence[EpisodeRecord]) -> list[str]:
    """Who beats whom over all missions, what differs on single missions, and why nothing does if nothing does."""
    overall = [pair for pair in comparison.pairs if pair.mission is None]
    sentences = list(_leads(overall, comparison, scores.metric))
    if not sentences:
        sentences = [f"Nothing can be told apart: {_why_nothing(comparison, overall, scores, records)}"]
    else:
        sentences += [_tie(pair) for pair in overall if not pair.significant]
        sentences.append(
            f"Metric: {scores.metric}; {comparison.episodes_per_mission} episodes per policy and mission; the error"
            f" rate is {1 - comparison.level:.2g} over all pairs together."
        )
    return sentences + list(_exceptions(comparison))


def _leads(pairs: Sequence["PairResult"], comparison: "Comparison", metric: str) -> Iterator[str]:
    """One sentence for every policy that is significantly higher than another."""
    for policy in sorted(comparison.policies, key=lambda name: -comparison.summary(name).mean.value):
        lower = [_oriented(pair, policy) for pair in pairs if pair.significant and policy in higher_and_lower(pair)[:1]]
        if lower:
            word = "beats" if metric == "reward" else "is higher than"
            yield f"{policy} {word} {_listed(lower)}."


def _oriented(pair: "PairResult", policy: str) -> str:
    sign = 1 if pair.first == policy else -1
    other = pair.second if pair.first == policy else pair.first
    text = f"{other} by {number_text(sign * pair.difference.value)}"
    interval = pair.difference.interval
    if interval is None:
        return text
    low, high = sorted((sign * interval.low, sign * interval.high))
    return f"{text} [{number_text(low)}, {number_text(high)}]"


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _tie(pair: "PairResult") -> str:
    interval = pair.difference.interval
    bounds = f" [{number_text(interval.low)}, {number_text(interval.high)}]" if interval else ""
    difference = f"difference {number_text(pair.difference.value)}{bounds}"
    return f"{pair.first} and {pair.second}: {verdict_text(pair)} ({difference})."


def _exceptions(comparison: "Comparison") -> Iterator[str]:
    """Missions whose significant differences are not those over all missions: blocks are never pooled away."""
    if len(comparison.missions) == 1:
        return
    for pair in comparison.pairs:
        if pair.mission is None or not pair.significant:
            continue
        overall = comparison.pair(pair.first, pair.second)
        if not overall.significant or higher_and_lower(overall) != higher_and_lower(pair):
            yield f"On {pair.mission} alone, {pair.decision}; over all missions: {verdict_text(overall)}."


def _why_nothing(
    comparison: "Comparison", pairs: Sequence["PairResult"], scores: PairedScores, records: Sequence[EpisodeRecord]
) -> str:
    from daf.statistics import fixed_sample_size

    values, metric = scores.values, scores.metric
    count = values.size
    if (absent := _absent(metric, records)) is not None:
        return absent
    if (values == values.flat[0]).all():
        return (
            f"{metric} is constant; every policy scored exactly {number_text(values.flat[0])} in each of the {count}"
            f" episodes, so more of them will not help. {_way_out(metric, records)}"
        )
    if (values == values[:1]).all():
        return (
            f"{metric} depends on the seed alone; on each seed every policy scored exactly the same."
            f" {_way_out(metric, records)}"
        )
    if all(pair.p_value is None for pair in pairs):
        return f"{pairs[0].decision}. Play more: evaluation.episodes=20."
    if not pairs[0].tests:  # played in rounds
        more = " Raise comparison.max_episodes." if any("undecided" in pair.decision for pair in pairs) else ""
        return " ".join(_tie(pair) for pair in pairs) + more
    if _out_of_reach(pairs[0]):
        return _too_few(comparison)
    widest = max(pairs, key=lambda pair: abs(pair.difference.value))
    needed = fixed_sample_size(0.5, level=comparison.level)
    return (
        f"the largest difference lies within chance. {_tie(widest)} To find a difference of half a standard deviation"
        f" in 9 of 10 cases, one pair needs {needed} episodes per mission (evaluation.episodes={needed})."
    )


def _out_of_reach(pair: "PairResult") -> bool:
    """Whether sign flips of so few episodes cannot reach the level, and normal theory did not decide in their place."""
    from daf.statistics.comparison import NORMAL_THEORY

    return pair.tests["permutation"].p_value is None and NORMAL_THEORY not in pair.warnings


def _too_few(comparison: "Comparison") -> str:
    from daf.statistics.significance import sign_flips_needed

    alpha = 1 - comparison.level
    needed = math.ceil(sign_flips_needed(alpha) / len(comparison.missions))
    return (
        f"{comparison.episodes_per_mission} episodes per mission cannot reach the error rate of {alpha:.2g}, however"
        f" large the difference; at least {needed} are needed (evaluation.episodes={needed})."
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
