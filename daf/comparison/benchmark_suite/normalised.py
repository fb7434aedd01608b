"""Rewards on a scale from noop (0) to the best scripted policy (1), and what they say about algorithms.

The scale of a mission is measured on the same seeds and then taken as given, as human-normalised scores are. Where an
algorithm was trained several times, the unit of its interval is the training seed: the episodes of one training say
nothing about what the next training would give (Agarwal et al. 2021).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daf.visualization.text import ALL_MISSIONS

if TYPE_CHECKING:
    from daf.statistics import Comparison, Estimate

Array = NDArray[np.float64]
#: Algorithm to the rewards per agent of each of its trainings, (M, E).
Trainings = Mapping[str, Sequence[Array]]

# Rewards that differ by less, relative to their size, differ by rounding alone.
ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What 0 and 1 mean on a mission, in reward per agent.

    Attributes:
        noop: mean reward of doing nothing; the score 0.
        best: mean reward of the best scripted policy; the score 1.
        best_policy: its name.
    """

    mission: str
    noop: float
    best: float
    best_policy: str

    @property
    def usable(self) -> bool:
        """Whether the best scripted policy earns more than noop."""
        return self.best - self.noop > ROUNDING * max(abs(self.best), abs(self.noop))


@dataclass(frozen=True, kw_only=True)
class AlgorithmScore:
    """How one algorithm did.

    Attributes:
        trainings: number of training seeds; 1 for a policy that was not trained several times.
        unit: what the interval is over: ``episodes`` or ``training seeds``.
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
        comparison: all pairs of algorithms, or None where their units differ or there is but one.
        samples: algorithm to its score in every unit of its interval, missions weighing equally; empty without a scale.
    """

    level: float
    algorithms: tuple[AlgorithmScore, ...]
    scripted: tuple[AlgorithmScore, ...]
    scales: tuple[Scale, ...]
    comparison: "Comparison | None"
    samples: dict[str, Array]

    @property
    def scored(self) -> bool:
        """Whether there is a mission with a scale."""
        return any(scale.usable for scale in self.scales)


def score_suite(
    trainings: Trainings, references: Mapping[str, Array], missions: Sequence[str], *, level: float
) -> SuiteScores:
    """Scores and compares algorithms.

    Args:
        references: noop, then the scripted policies, with their rewards per agent, (M, E).
        missions: names of the M missions.
    """
    rng = np.random.default_rng(0)
    scales = measure_scales(references, missions)
    scored = [score_algorithm(name, rewards, scales, level=level, rng=rng) for name, rewards in trainings.items()]
    scripted = [score_algorithm(name, [rewards], scales, level=level, rng=rng) for name, rewards in references.items()]
    return SuiteScores(
        level=level,
        algorithms=tuple(scored),
        scripted=tuple(scripted),
        scales=scales,
        comparison=_compare(trainings, scales, level, rng),
        samples={name: _unit_scores(rewards, scales) for name, rewards in trainings.items()}
        if any(scale.usable for scale in scales)
        else {},
    )


def measure_scales(references: Mapping[str, Array], missions: Sequence[str]) -> tuple[Scale, ...]:
    """The scale of every mission.

    Args:
        references: noop, then the scripted policies, to rewards, (M, E); the first scripted policy wins ties.
    """
    noop, *scripted = references
    means = {name: rewards.mean(axis=1) for name, rewards in references.items()}
    scales = []
    for index, mission in enumerate(missions):
        best = max(scripted, key=lambda name: means[name][index])
        scales.append(
            Scale(mission=mission, noop=float(means[noop][index]), best=float(means[best][index]), best_policy=best)
        )
    return tuple(scales)


def normalise(rewards: Array, scales: Sequence[Scale]) -> Array:
    """(M, E) rewards as normalised scores of the missions that have a scale, (M', E)."""
    usable = [(index, scale) for index, scale in enumerate(scales) if scale.usable]
    rows = [(rewards[index] - scale.noop) / (scale.best - scale.noop) for index, scale in usable]
    return np.array(rows).reshape(len(usable), rewards.shape[1])


def score_algorithm(
    name: str, trainings: Sequence[Array], scales: Sequence[Scale], *, level: float, rng: np.random.Generator
) -> AlgorithmScore:
    """Aggregates an algorithm's trainings.

    One training: the mean over missions, its interval over episodes within missions. Several: the mean over trainings
    of that mean, its interval over trainings, which need to be 5.

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
        unit="episodes" if len(trainings) == 1 else "training seeds",
        score=_aggregate(normalised, level, rng),
        missions=dict(zip(usable, per_mission.tolist(), strict=True)),
        rewards=dict(zip([scale.mission for scale in scales], per_reward.tolist(), strict=True)),
    )


def _aggregate(normalised: Sequence[Array], level: float, rng: np.random.Generator) -> "Estimate":
    from daf.statistics import Estimate, mean_with_interval

    if not normalised[0].size:
        return Estimate(float("nan"))
    sample = normalised[0] if len(normalised) == 1 else _training_means(normalised)
    return mean_with_interval(sample, level=level, rng=rng)


def _training_means(normalised: Sequence[Array]) -> Array:
    return np.array([scores.mean() for scores in normalised])


def _unit_scores(trainings: Sequence[Array], scales: Sequence[Scale]) -> Array:
    normalised = [normalise(rewards, scales) for rewards in trainings]
    return normalised[0].mean(axis=0) if len(normalised) == 1 else _training_means(normalised)


def _compare(
    trainings: Trainings, scales: Sequence[Scale], level: float, rng: np.random.Generator
) -> "Comparison | None":
    """All pairs of algorithms: by episodes, paired, or by training seeds, which are nobody's pairs."""
    from daf.statistics import compare

    counts = {len(rewards) for rewards in trainings.values()}
    usable = [scale.mission for scale in scales if scale.usable]
    if len(trainings) < 2 or len(counts) > 1 or not usable:
        return None
    names = list(trainings)
    normalised = [[normalise(rewards, scales) for rewards in of_algorithm] for of_algorithm in trainings.values()]
    if counts == {1}:
        return compare(np.array([scores for (scores,) in normalised]), names, usable, level=level, rng=rng)
    means = np.array([[_training_means(scores)] for scores in normalised])
    return compare(means, names, [ALL_MISSIONS], level=level, rng=rng, paired=False)
