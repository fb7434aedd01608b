"""Places, scores, values over replacement and ratings, computed from the matches' records."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daf.bridge.scoring import vor_scores
from daf.records import EpisodeRecord
from daf.scoring_analysis import daf_compute_weighted_score

if TYPE_CHECKING:
    from daf.statistics import Comparison, Estimate

Array = NDArray[np.float64]
#: The matches of each mission and, within it, each seed, in order.
Matches = list[list[list[EpisodeRecord]]]

# Scores that differ by less, relative to their size, differ by rounding alone and share a rank.
ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One policy's place. Rewards are means per agent; intervals are over seeds, missions weighing equally.

    Attributes:
        rank: 1 is best by score; equal scores share a rank.
        score: the season's score (`daf_compute_weighted_score`) over all of its matches.
        vor: value over replacement with each other policy as the pool, averaged over these.
        rating: mean of its skill in OpenSkill's Plackett-Luce model; everyone starts at 25.
        rating_sd: standard deviation of that skill.
        matches: number of finished matches.
    """

    policy: str
    rank: int
    score: "Estimate"
    vor: "Estimate"
    rating: float
    rating_sd: float
    matches: int


@dataclass(frozen=True, kw_only=True)
class Season:
    """What the matches say.

    Attributes:
        standings: best first.
        comparison: all pairs of policies by their scores, paired by seed.
        samples: policy to its score on each seed, missions weighing equally, (E,); in the order of `standings`.
    """

    standings: tuple[Standing, ...]
    comparison: "Comparison"
    samples: dict[str, Array]


def rank_policies(
    records: Sequence[EpisodeRecord], names: Sequence[str], missions: Sequence[str], *, level: float
) -> Season:
    """Ranks policies by their scores over all matches.

    Args:
        records: every match of the named policies on every mission and counted seed.
        level: confidence level of the intervals and tests, whose unit is the seed.
    """
    from daf.statistics import compare, mean_with_interval

    rng = np.random.default_rng(0)
    matches = matches_by_seed(records, missions)
    scores = season_scores(matches, names)
    comparison = compare(scores, names, missions, level=level, rng=rng)
    ratings = rate(scores)
    means = [comparison.summary(name).mean for name in names]
    standings = [
        Standing(
            policy=name,
            rank=1 + sum(other.value > mean.value + ROUNDING * abs(other.value) for other in means),
            score=mean,
            vor=mean_with_interval(pairwise_vor(matches, name, names), level=level),
            rating=rating,
            rating_sd=rating_sd,
            matches=sum(name in record.policies for record in records),
        )
        for name, mean, (rating, rating_sd) in zip(names, means, ratings, strict=True)
    ]
    standings.sort(key=lambda standing: standing.rank)
    by_name = dict(zip(names, scores.mean(axis=1), strict=True))
    samples = {standing.policy: by_name[standing.policy] for standing in standings}
    return Season(standings=tuple(standings), comparison=comparison, samples=samples)


def matches_by_seed(records: Iterable[EpisodeRecord], missions: Sequence[str]) -> Matches:
    """The records of each mission and, within it, each seed that was played, in order."""
    grouped: dict[tuple[str, int], list[EpisodeRecord]] = {}
    for record in records:
        grouped.setdefault((record.mission_name, record.seed), []).append(record)
    seeds = sorted({seed for _, seed in grouped})
    return [[grouped[mission, seed] for seed in seeds] for mission in missions]


def season_scores(matches: Matches, names: Sequence[str]) -> Array:
    """The season's score of every policy on every mission and seed, (P, M, E).

    On each of them a policy has as many agents as any other, so that the mean of these scores is the score over all.
    """
    scored = [[daf_compute_weighted_score(of_seed) for of_seed in of_mission] for of_mission in matches]
    return np.array([[[scores[name] for scores in of_mission] for of_mission in scored] for name in names])


def pairwise_vor(matches: Matches, candidate: str, names: Sequence[str]) -> Array:
    """Overall value over replacement of a policy on every mission and seed, (M, E), averaged over the others.

    Against each of them: its agents in the mixed teams and in its own team, less the other's team.
    """
    others = [name for name in names if name != candidate]
    return np.array(
        [
            [fmean(_vor_against(of_seed, candidate, other) for other in others) for of_seed in of_mission]
            for of_mission in matches
        ]
    )


def _vor_against(records: Sequence[EpisodeRecord], candidate: str, other: str) -> float:
    scenarios: dict[int, list[EpisodeRecord]] = {}
    for record in records:
        if set(record.policies) <= {candidate, other}:
            seats = tuple(int(record.policies[seat] != candidate) for seat in record.assignments)
            scenarios.setdefault(seats.count(0), []).append(replace(record, assignments=seats))
    return vor_scores(scenarios).overall


def rate(scores: Array) -> list[tuple[float, float]]:
    """Skill of every policy as (mean, standard deviation), from (P, M, E) scores.

    Each seed of each mission is one game that ranks all policies by their scores; scores that differ by rounding alone
    are ties. OpenSkill's Plackett-Luce model (Weng and Lin 2011) with tau = 0: policies do not change between games.
    """
    from openskill.models import PlackettLuce

    model = PlackettLuce(tau=0.0)
    ratings = [model.rating() for _ in scores]
    for game in scores.transpose(2, 1, 0).reshape(-1, len(scores)):
        ranked = [float(f"{score:.10g}") for score in game]
        ratings = [team[0] for team in model.rate([[rating] for rating in ratings], scores=ranked)]
    return [(rating.mu, rating.sigma) for rating in ratings]
