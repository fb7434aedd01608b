"""CoGames' scoring of mixed teams (`metta_alo.scoring`), fed with episode records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

from daf.bridge.imports import contained
from daf.records import EpisodeRecord


@dataclass(frozen=True, kw_only=True)
class VorScores:
    """What `cogames.pickup` computes from its episodes; rewards are means per agent.

    Attributes:
        candidate_means: number of the candidate's agents, at least 1, to its mean reward.
        replacement_mean: mean reward of teams without the candidate.
        values: number of the candidate's agents to the value over replacement.
        overall: the value over replacement of one agent of the candidate, over all numbers of agents.
    """

    candidate_means: dict[int, float]
    replacement_mean: float
    values: dict[int, float]
    overall: float


@dataclass(frozen=True, kw_only=True)
class ScoredMatch:
    """One match as a season sees it.

    Attributes:
        policy_scores: policy to its mean reward per agent.
        policy_agent_counts: policy to its number of agents.
    """

    policy_scores: Mapping[str, float]
    policy_agent_counts: Mapping[str, int]


def allocate_counts(total: int, weights: Sequence[float]) -> list[int]:
    """Shares `total` agents out by largest remainder, ties to the lower index.

    Raises:
        ValueError: a negative total, no weights, or weights without a positive sum.
    """
    with contained():
        from metta_alo.scoring import allocate_counts
    return list(allocate_counts(total, weights, allow_zero_total=True))


def validate_proportions(proportions: Sequence[float] | None, num_policies: int) -> None:
    """Raises ValueError unless there is one proportion for each policy and their sum is positive; None passes."""
    with contained():
        from metta_alo.scoring import validate_proportions
    validate_proportions(proportions, num_policies)


def weighted_scores(policies: Sequence[str], matches: Sequence[ScoredMatch]) -> dict[str, float]:
    """A season's score: mean of a policy's match scores, weighted by its share of the agents; 0 without a match."""
    with contained():
        from metta_alo.scoring import compute_weighted_scores
    return dict(compute_weighted_scores(policies, matches))


def vor_scores(scenarios: Mapping[int, Sequence[EpisodeRecord]]) -> VorScores:
    """Value over replacement of policy 0.

    Args:
        scenarios: number of agents of policy 0 to episodes; 0 and at least one other number.

    Raises:
        ValueError: one of them is missing, or has no episode.
    """
    with contained():
        from metta_alo.scoring import (
            VorTotals,
            overall_value_over_replacement,
            summarize_vor_scenario,
            value_over_replacement,
        )
    if 0 not in scenarios or len(scenarios) < 2 or not all(scenarios.values()):
        raise ValueError("value over replacement needs episodes with and without the candidate")
    totals, means = VorTotals(), {}
    for count, episodes in scenarios.items():
        summary = summarize_vor_scenario(
            SimpleNamespace(episodes=episodes), candidate_policy_index=0, candidate_count=count
        )
        totals.update(count, summary)
        if count:
            means[count] = float(summary.candidate_mean)
    replacement = totals.replacement_mean
    overall = overall_value_over_replacement(
        totals.total_candidate_weighted_sum, totals.total_candidate_agents, replacement
    )
    return VorScores(
        candidate_means=means,
        replacement_mean=float(replacement),
        values={count: float(value_over_replacement(mean, replacement)) for count, mean in means.items()},
        overall=float(overall),
    )
