"""What a comparison says in plain sentences, above all when it can say nothing."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from daf.visualization.text import (
    Direction,
    best_first,
    error_rate_text,
    estimate_text,
    higher_and_lower,
    verdict_text,
)

if TYPE_CHECKING:
    from daf.statistics import Comparison, PairResult


def verdict(
    comparison: "Comparison", metric: str, flat: str | None = None, direction: Direction = "maximize"
) -> list[str]:
    """Who beats whom over all missions, what differs on single missions, and why nothing does if nothing does.

    Args:
        flat: why the metric cannot tell these policies apart, where it cannot.
        direction: what is better; None says who is higher, and of nobody that it is better.
    """
    overall = [pair for pair in comparison.pairs if pair.mission is None]
    sentences = list(_leads(overall, comparison, direction))
    if not sentences:
        sentences = [f"Nothing can be told apart: {flat or _why_nothing(comparison, overall)}"]
    else:
        sentences += [_tie(pair) for pair in overall if not pair.significant]
        sentences.append(
            f"Metric: {metric}{_less_is_better(direction)}; {comparison.episodes_per_mission} episodes per policy and"
            f" mission; the error rate is {error_rate_text(comparison.level)} {_family(comparison)}."
        )
    return sentences + list(_exceptions(comparison))


def _less_is_better(direction: Direction) -> str:
    return ", of which less is better" if direction == "minimize" else ""


def _family(comparison: "Comparison") -> str:
    """What one error rate is shared by."""
    if len(comparison.missions) == 1:
        return "over all pairs together"
    return "over all pairs over all missions together, and once more over all pairs on single missions"


def _leads(pairs: Sequence["PairResult"], comparison: "Comparison", direction: Direction) -> Iterator[str]:
    """One sentence for every policy that is significantly better than another, or higher where nobody knows."""
    sign, winner = best_first(direction), 1 if direction == "minimize" else 0
    for policy in sorted(comparison.policies, key=lambda name: sign * comparison.summary(name).mean.value):
        won = [pair for pair in pairs if pair.significant and policy == higher_and_lower(pair)[winner]]
        if won:
            beaten = _listed([_lead(pair, policy) for pair in won])
            yield f"{policy} {'beats' if direction else 'is higher than'} {beaten}."


def _lead(pair: "PairResult", policy: str) -> str:
    """By how much a policy is ahead of the other one of a pair, upwards or downwards."""
    sign = 1 if pair.difference.value > 0 else -1
    other = pair.second if pair.first == policy else pair.first
    interval = pair.difference.interval
    bounds = sorted((sign * interval.low, sign * interval.high)) if interval else []
    return f"{other} by {estimate_text(sign * pair.difference.value, bounds)}"


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _tie(pair: "PairResult") -> str:
    interval = pair.difference.interval
    difference = estimate_text(pair.difference.value, (interval.low, interval.high) if interval else ())
    return f"{pair.first} and {pair.second}: {verdict_text(pair)} (difference {difference})."


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


def _why_nothing(comparison: "Comparison", pairs: Sequence["PairResult"]) -> str:
    from daf.statistics import fixed_sample_size

    if not pairs[0].tests:  # played in rounds
        more = " Raise comparison.max_episodes." if any("undecided" in pair.decision for pair in pairs) else ""
        return " ".join(_tie(pair) for pair in pairs) + more
    if all(pair.p_value is None for pair in pairs):
        return f"{pairs[0].decision}. {_remedy(pairs[0])}"
    widest = max(pairs, key=lambda pair: abs(pair.difference.value))
    needed = fixed_sample_size(0.5, level=comparison.level)
    return (
        f"the largest difference lies within chance. {_tie(widest)} To find a difference of half a standard deviation"
        f" in 9 of 10 cases, one pair needs {needed} episodes per mission (evaluation.episodes={needed})."
        " task=power says what other differences need."
    )


def _remedy(pair: "PairResult") -> str:
    """What to do about a pair that has no p-value."""
    from daf.statistics.comparison import CANNOT_TELL

    if pair.decision.startswith(CANNOT_TELL):
        return (
            "An outcome that was not seen yet may lie anywhere. Declare the lowest and the highest score that there can"
            " be (comparison.range=[0,1])."
        )
    return "Play more: evaluation.episodes=20."
