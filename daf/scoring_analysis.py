"""Scores of policies in mixed teams: the season's, and value over replacement as `cogames.pickup` computes it."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daf.bridge import scoring
from daf.bridge.missions import agent_count
from daf.bridge.scoring import ScoredMatch
from daf.config.missions import mission_specs
from daf.config.schemas import DAFConfig
from daf.episodes.plans import Planner, planner, unique_names
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec

if TYPE_CHECKING:
    from daf.statistics import Estimate

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class VorCount:
    """One number of agents of the candidate.

    Attributes:
        candidate_agents: how many agents were the candidate's; the rest were the pool's.
        score: mean reward of the candidate's agents.
        vor: `score` less the mean reward of a team without the candidate.
    """

    candidate_agents: int
    score: "Estimate"
    vor: "Estimate"


@dataclass(frozen=True, kw_only=True)
class Vor:
    """Value over replacement on one mission. Rewards are means per agent; intervals are over seeds, paired.

    Attributes:
        mission: as the user named it.
        seeds: the seeds that every number of agents finished; nothing else is counted.
        replacement: mean reward of a team without the candidate.
        counts: one entry for each number of agents, most first.
        overall: the mean over all agents of the candidate in all scenarios.
    """

    mission: str
    seeds: tuple[int, ...]
    replacement: "Estimate"
    counts: tuple[VorCount, ...]
    overall: "Estimate"


def daf_allocate_agents(total: int, weights: Sequence[float]) -> list[int]:
    """Shares agents out among policies in proportion to `weights`, as CoGames does: by largest remainder.

    Ties go to the policy that stands first. No agents are shared out as zeros.

    Raises:
        ValueError: a negative total, no weights, or weights without a positive sum.
    """
    return scoring.allocate_counts(total, weights)


def daf_validate_proportions(proportions: Sequence[float] | None, num_policies: int) -> None:
    """Raises ValueError unless there is one proportion for each policy and their sum is positive; None passes."""
    scoring.validate_proportions(proportions, num_policies)


def scored_match(record: EpisodeRecord) -> ScoredMatch:
    """An episode as a season's match: every policy's mean reward per agent, and its number of agents.

    Two policies of one name count as one.
    """
    seats: dict[str, list[float]] = {}
    for assigned, reward in zip(record.assignments, record.rewards, strict=True):
        seats.setdefault(record.policies[assigned], []).append(reward)
    return ScoredMatch(
        policy_scores={name: fmean(rewards) for name, rewards in seats.items()},
        policy_agent_counts={name: len(rewards) for name, rewards in seats.items()},
    )


def daf_compute_weighted_score(records: Sequence[EpisodeRecord]) -> dict[str, float]:
    """A season's score of every policy that had an agent in one of the episodes.

    It is the mean of the policy's match scores (mean reward of its agents), weighted by its share of the agents
    (`metta_alo.scoring.compute_weighted_scores`).
    """
    matches = [scored_match(record) for record in records]
    names = list(dict.fromkeys(name for match in matches for name in match.policy_scores))
    return scoring.weighted_scores(names, matches)


def daf_compute_vor(records: Sequence[EpisodeRecord], *, level: float = 0.95) -> Vor:
    """Value over replacement of policy 0, from episodes of one mission.

    Episodes belong together by the number of agents that policy 0 controls: VOR(c) is its agents' mean reward among c
    of them, less the mean reward of teams without it; the overall value weighs each c by c. The point values are
    `metta_alo.scoring`'s. The unit of the intervals is the seed: VOR is a mean of differences on equal seeds.

    Args:
        records: for each number of agents and each seed one episode; seeds that a number lacks are left out.
        level: confidence level of the intervals, which need 5 seeds.

    Raises:
        ValueError: no seed was finished with and without the candidate.
    """
    scenarios = by_candidate_agents(records)
    groups = [{record.seed for record in group} for group in scenarios.values()]
    seeds = set.intersection(*groups) if groups else set()
    complete = {count: [r for r in group if r.seed in seeds] for count, group in scenarios.items()}
    return _vor(complete, sorted(seeds), level)


def _vor(scenarios: Mapping[int, Sequence[EpisodeRecord]], seeds: Sequence[int], level: float) -> Vor:
    """The result of scenarios that hold one episode for each of `seeds`."""
    scores = scoring.vor_scores(scenarios)
    samples = vor_samples(scenarios)
    replacement = _replacement(scenarios)
    estimate = partial(estimate_over_seeds, level=level)
    return Vor(
        mission=scenarios[0][0].mission_name,
        seeds=tuple(seeds),
        replacement=estimate(replacement, scores.replacement_mean),
        counts=tuple(
            VorCount(
                candidate_agents=count,
                score=estimate(samples[count] + replacement, scores.candidate_means[count]),
                vor=estimate(samples[count], scores.values[count]),
            )
            for count in sorted(samples, reverse=True)
        ),
        overall=estimate(overall_samples(samples), scores.overall),
    )


def vor_samples(scenarios: Mapping[int, Sequence[EpisodeRecord]]) -> dict[int, Array]:
    """For each number of agents of policy 0 the value over replacement on every seed; seeds in a common order."""
    replacement = _replacement(scenarios)
    return {
        count: np.array([record.reward(0) for record in records]) - replacement
        for count, records in scenarios.items()
        if count
    }


def overall_samples(samples: Mapping[int, Array]) -> Array:
    """The overall value over replacement on every seed: each number of agents weighs by itself."""
    return np.average(list(samples.values()), axis=0, weights=list(samples))


def _replacement(scenarios: Mapping[int, Sequence[EpisodeRecord]]) -> Array:
    """Mean reward of the team without policy 0, for each seed."""
    return np.array([fmean(record.rewards) for record in scenarios[0]])


def by_candidate_agents(records: Sequence[EpisodeRecord]) -> dict[int, list[EpisodeRecord]]:
    """The scenarios of a VOR: number of agents of policy 0 to its episodes, in the order of their seeds."""
    scenarios: dict[int, list[EpisodeRecord]] = {}
    for record in sorted(records, key=lambda record: record.seed):
        scenarios.setdefault(record.assignments.count(0), []).append(record)
    return scenarios


def estimate_over_seeds(sample: Array, value: float, *, level: float) -> "Estimate":
    """`value`, the mean of a sample, with an interval over its seeds.

    Args:
        sample: one number for each seed, (E,), or for each mission and seed, (M, E).
    """
    from daf.statistics import mean_with_interval

    return replace(mean_with_interval(sample, level=level), value=value)


def vor_plans(
    mission: MissionSpec,
    policies: tuple[PolicySpec, ...],
    *,
    episodes: int,
    seed: int,
    fixed_map: bool,
    make_plan: Planner,
) -> list[EpisodePlan]:
    """The episodes of `cogames.pickup`, seats included, for the same seed.

    Args:
        policies: the candidate, then the pool.
        episodes: for each number of the candidate's agents, from all down to none.
        seed: of the first episode, of the shuffling of seats, and of the map if `fixed_map`.
    """
    agents = agent_count(mission)
    played_on = replace(mission, map_seed=seed) if fixed_map else mission
    # One generator for all scenarios, and seats that are shuffled on from episode to episode: both as in pickup.
    rng = random.Random(seed)
    plans = []
    for count in range(agents, -1, -1):
        pool_counts = daf_allocate_agents(agents - count, [1.0] * (len(policies) - 1))
        seats = [index for index, taken in enumerate([count, *pool_counts]) for _ in range(taken)]
        for episode in range(episodes):
            rng.shuffle(seats)
            plans.append(make_plan(played_on, policies, seats, seed + episode))
    return plans


def pickup_plans(config: DAFConfig) -> list[EpisodePlan]:
    """All episodes of the configured policy, which is policy 0, beside `vor.pool`, on every evaluated mission."""
    policies = tuple(unique_names([policy.spec() for policy in (config.policy, *config.vor.pool)]))
    return [
        plan
        for mission in mission_specs(config)
        for plan in vor_plans(
            mission,
            policies,
            episodes=config.evaluation.episodes,
            seed=config.evaluation.seed,
            fixed_map=config.vor.fixed_map,
            make_plan=planner(config),
        )
    ]


def vor_by_seed(records: Sequence[EpisodeRecord]) -> dict[tuple[str, int], float]:
    """(mission, seed) to the overall value over replacement; every scenario must be there on every seed."""
    values = {}
    for mission in dict.fromkeys(record.mission_name for record in records):
        scenarios = by_candidate_agents([record for record in records if record.mission_name == mission])
        seeds = [record.seed for record in scenarios[0]]
        for seed, value in zip(seeds, overall_samples(vor_samples(scenarios)), strict=True):
            values[mission, seed] = float(value)
    return values
