"""Rewards on a scale from noop (0) to the best scripted policy (1), and what they say about algorithms.

The scale of a mission is measured (`scales`) and then taken as given, as human-normalised scores are. Where an
algorithm was trained several times, its interval is for other trainings and other evaluation seeds: the episodes of one
training say nothing about what the next training would give (Agarwal et al. 2021), and all trainings share the seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from daf.comparison.benchmark_suite.scales import Array, Scale, measure_scales

if TYPE_CHECKING:
    from daf.statistics import AlgorithmPair, Estimate

#: Algorithm to the rewards per agent of each of its trainings, (M, E).
Trainings = Mapping[str, Sequence[Array]]


@dataclass(frozen=True, kw_only=True)
class AlgorithmScore:
    """How one algorithm did.

    Attributes:
        trainings: number of training seeds; 1 for a policy that was not trained several times.
        unit: what the interval is over: ``episodes``, or ``trainings`` and the episodes that they share.
        score: normalised score, missions weighing equally.
        missions: mission to normalised score.
        rewards: mission to mean reward per agent, also of missions without a scale.
    """

    name: str
    trainings: int
    unit: str
    score: "Estimate"
    missions: dict[str, float]
    rewards: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class SuiteScores:
    """What the episodes of a suite say.

    Attributes:
        level: confidence level of the intervals and tests.
        algorithms: in the order in which they were named.
        scripted: the policies that set the scale, noop first.
        scales: one for each mission.
        pairs: all pairs of algorithms; empty without a scale.
        samples: algorithm to its score in every unit of its interval, missions weighing equally; empty without a scale.
    """

    level: float
    algorithms: tuple[AlgorithmScore, ...]
    scripted: tuple[AlgorithmScore, ...]
    scales: tuple[Scale, ...]
    pairs: "tuple[AlgorithmPair, ...]"
    samples: dict[str, Array]

    @property
    def scored(self) -> bool:
        """Whether there is a mission with a scale."""
        return any(scale.usable for scale in self.scales)


def score_suite(
    trainings: Trainings,
    references: Mapping[str, Array],
    missions: Sequence[str],
    *,
    selection: Mapping[str, Array],
    level: float,
) -> SuiteScores:
    """Scores and compares algorithms.

    Args:
        references: noop, then the scripted policies, with their rewards per agent, (M, E).
        missions: names of the M missions.
        selection: the same policies on the seeds on which the best of them is chosen, (M, E).
    """
    others = [rewards for of_algorithm in trainings.values() for rewards in of_algorithm]
    scales = measure_scales(selection, references, missions, others, level=level)
    scored = [score_algorithm(name, rewards, scales, level=level) for name, rewards in trainings.items()]
    scripted = [score_algorithm(name, [rewards], scales, level=level) for name, rewards in references.items()]
    usable = any(scale.usable for scale in scales)
    return SuiteScores(
        level=level,
        algorithms=tuple(scored),
        scripted=tuple(scripted),
        scales=scales,
        pairs=_pairs(trainings, scales, level) if usable else (),
        samples={name: _unit_scores(rewards, scales) for name, rewards in trainings.items()} if usable else {},
    )


def normalise(rewards: Array, scales: Sequence[Scale]) -> Array:
    """(M, E) rewards as normalised scores of the missions that have a scale, (M', E)."""
    usable = [(index, scale) for index, scale in enumerate(scales) if scale.usable]
    rows = [(rewards[index] - scale.noop) / (scale.best - scale.noop) for index, scale in usable]
    return np.array(rows).reshape(len(usable), rewards.shape[1])


def score_algorithm(name: str, trainings: Sequence[Array], scales: Sequence[Scale], *, level: float) -> AlgorithmScore:
    """Aggregates an algorithm's trainings.

    One training: the mean over missions, its interval over episodes within missions. Several: the mean over trainings
    of that mean, its interval over trainings and the evaluation seeds that they share; both need to be 5.

    Args:
        trainings: for each training the rewards, (M, E).
    """
    normalised = [normalise(rewards, scales) for rewards in trainings]
    usable = [scale.mission for scale in scales if scale.usable]
    per_mission = np.mean([scores.mean(axis=1) for scores in normalised], axis=0)
    per_reward = np.mean([rewards.mean(axis=1) for rewards in trainings], axis=0)
    return AlgorithmScore(
        name=name,
        trainings=len(trainings),
        unit="episodes" if len(trainings) == 1 else "trainings",
        score=_aggregate(normalised, level),
        missions=dict(zip(usable, per_mission.tolist(), strict=True)),
        rewards=dict(zip([scale.mission for scale in scales], per_reward.tolist(), strict=True)),
    )


def _aggregate(normalised: Sequence[Array], level: float) -> "Estimate":
    from daf.statistics import Estimate, crossed_mean, mean_with_interval

    if not normalised[0].size:
        return Estimate(float("nan"))
    if len(normalised) == 1:
        return mean_with_interval(normalised[0], level=level)
    return crossed_mean(_by_seed(normalised), level)


def _by_seed(normalised: Sequence[Array]) -> Array:
    """Scores of each training on each evaluation seed, missions weighing equally, (trainings, E)."""
    return np.array([scores.mean(axis=0) for scores in normalised])


def _unit_scores(trainings: Sequence[Array], scales: Sequence[Scale]) -> Array:
    """Scores in the unit of the interval: of each episode's seed, or of each training."""
    scores = _by_seed([normalise(rewards, scales) for rewards in trainings])
    return scores[0] if len(scores) == 1 else scores.mean(axis=1)


def _pairs(trainings: Trainings, scales: Sequence[Scale], level: float) -> "tuple[AlgorithmPair, ...]":
    """All pairs of algorithms; one that was trained once stands for these weights."""
    from daf.statistics import algorithm_pairs

    scores = {name: [normalise(rewards, scales) for rewards in each] for name, each in trainings.items()}
    return algorithm_pairs({name: np.array(each) for name, each in scores.items()}, level=level)
