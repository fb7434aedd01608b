"""Algorithms, each trained several times, on shared missions and evaluation seeds.

A score is that of one training on one mission and evaluation seed. The unit of what is said about an algorithm is the
training (Agarwal et al. 2021, whose library rliable pools the same numbers); since all trainings play the same
evaluation seeds, intervals count these as a second sample (`crossed`; for the bootstrap Owen 2007). A training plays
every mission, so its missions are drawn together. A policy that is not trained is an algorithm of one training, and
only its seeds are a sample.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from daf.statistics.comparison import checked_level
from daf.statistics.crossed import crossed_mean
from daf.statistics.effects import paired_effects
from daf.statistics.estimates import MIN_EPISODES, estimate, iqm
from daf.statistics.resampling import Array
from daf.statistics.results import Estimate, PerformanceProfiles
from daf.statistics.significance import holm

BOOTSTRAPS = 2000
THRESHOLDS = 101

#: Algorithm to its scores, (trainings, missions, episodes); the last two are the same for all.
Scores = Mapping[str, Array]


@dataclass(frozen=True, kw_only=True)
class AlgorithmSummary:
    """One algorithm over all missions, in the unit of the score.

    Attributes:
        trainings: how many; 1 for a policy that is not trained.
        mean: missions weighing equally.
        iqm: interquartile mean of the scores of all trainings on all missions together, as rliable computes it.
    """

    name: str
    trainings: int
    mean: Estimate
    iqm: Estimate


@dataclass(frozen=True, kw_only=True)
class AlgorithmPair:
    """Two algorithms over all missions.

    Attributes:
        difference: mean of the first less that of the second; its interval is for this pair alone.
        probability_of_improvement: that a training of the first beats one of the second on a mission, ties being half,
            missions averaged (Mann and Whitney 1947; Agarwal et al. 2021).
        p_value: corrected for all pairs; None where there is too little to test.
        significant: whether the p-value is at most 1 - level.
    """

    first: str
    second: str
    difference: Estimate
    probability_of_improvement: Estimate
    p_value: float | None
    significant: bool


@dataclass(frozen=True, kw_only=True)
class AlgorithmComparison:
    """Everything about algorithms that a report needs."""

    level: float
    summaries: tuple[AlgorithmSummary, ...]
    pairs: tuple[AlgorithmPair, ...]
    profiles: PerformanceProfiles

    def summary(self, name: str) -> AlgorithmSummary:
        """An algorithm's summary. KeyError if there is none."""
        return {summary.name: summary for summary in self.summaries}[name]


def compare_algorithms(scores: Scores, *, level: float) -> AlgorithmComparison:
    """Summaries, pairs and performance profiles; ValueError for a level outside 0.5 to 1."""
    checked_level(level)
    drawn = _resampled(scores)
    summaries = []
    for name, values in scores.items():
        pooled = iqm(drawn[name].reshape(len(drawn[name]), -1))
        middle = float(iqm(values.mean(axis=-1).ravel()))
        summaries.append(
            AlgorithmSummary(
                name=name,
                trainings=len(values),
                mean=_mean(values, level),
                iqm=_percentiles(middle, pooled, [values], level),
            )
        )
    return AlgorithmComparison(
        level=level,
        summaries=tuple(summaries),
        pairs=algorithm_pairs(scores, level=level, drawn=drawn),
        profiles=_profiles(scores, drawn, level),
    )


def algorithm_pairs(scores: Scores, *, level: float, drawn: Scores | None = None) -> tuple[AlgorithmPair, ...]:
    """All pairs, in the order of the algorithms.

    Trainings are compared by Student's t with the variance of `crossed_difference`, corrected by Holm (1979). Where
    nothing was trained more than once, the tests of `paired_effects` decide.

    Args:
        drawn: the resamples of `_resampled`, where they are at hand.
    """
    drawn = _resampled(scores) if drawn is None else drawn
    couples = list(combinations(scores, 2))
    tested = _tested(scores, couples, level)
    pairs = []
    for (first, second), (difference, p_value) in zip(couples, tested, strict=True):
        improvement = probability_of_improvement(scores[first].mean(axis=-1)[None], scores[second].mean(axis=-1)[None])
        resampled = probability_of_improvement(drawn[first], drawn[second])
        samples = [scores[first], scores[second]]
        pairs.append(
            AlgorithmPair(
                first=first,
                second=second,
                difference=difference,
                probability_of_improvement=_percentiles(float(improvement[0]), resampled, samples, level),
                p_value=p_value,
                significant=p_value is not None and p_value <= 1 - level,
            )
        )
    return tuple(pairs)


def _tested(scores: Scores, couples: Sequence[tuple[str, str]], level: float) -> list[tuple[Estimate, float | None]]:
    if not couples:
        return []
    if all(len(values) == 1 for values in scores.values()):
        contrasts = np.array([scores[first][0] - scores[second][0] for first, second in couples])
        names = [f"{first} - {second}" for first, second in couples]
        effects = paired_effects(contrasts, names, level=level, rng=np.random.default_rng(0))
        return [(effect.value, effect.p_value) for effect in effects]
    by_seed = {name: values.mean(axis=1) for name, values in scores.items()}
    found = [crossed_difference(by_seed[first], by_seed[second], level) for first, second in couples]
    known = [index for index, (_, p_value) in enumerate(found) if p_value is not None]
    corrected = holm(np.array([found[index][1] for index in known], dtype=np.float64))
    p_values = dict(zip(known, corrected.tolist(), strict=True))
    return [(difference, p_values.get(index)) for index, (difference, _) in enumerate(found)]


def crossed_difference(first: Array, second: Array, level: float) -> tuple[Estimate, float | None]:
    """Difference of two algorithms' means over shared evaluation seeds, and the p-value of none.

    The variance has a part of each algorithm's trainings, and one of the seeds, in which the two may differ; the rest
    is in both and is taken out once, as in `crossed_mean`. Student's t with Satterthwaite's (1946) degrees of freedom.
    The interval inverts the test.

    Args:
        first: (trainings, E); column j is the same seed in both. One row is a policy that is not trained.
        second: (trainings, E).

    Returns:
        Without interval and p-value where there are fewer than `MIN_EPISODES` of anything, or nothing varies.
    """
    episodes = first.shape[1]
    value = float(first.mean() - second.mean())
    trained = [rows for rows in (first, second) if len(rows) > 1]
    least = min([episodes, *map(len, trained)])
    if least < MIN_EPISODES:
        return Estimate(value), None
    columns = float((first.mean(axis=0) - second.mean(axis=0)).var(ddof=1)) / episodes
    parts = [(columns, episodes - 1)]
    rests = []
    for rows in trained:
        count = len(rows)
        parts.append((float(rows.mean(axis=1).var(ddof=1)) / count, count - 1))
        rest = rows - rows.mean(axis=1, keepdims=True) - rows.mean(axis=0, keepdims=True) + rows.mean()
        freedom = (count - 1) * (episodes - 1)
        rests.append((float((rest**2).sum()) / freedom / rows.size, freedom))
    of_trainings = sum(part for part, _ in parts[1:])
    variance = max(columns + of_trainings - sum(rest for rest, _ in rests), of_trainings, columns)
    if variance <= (1e-12 * max(np.abs(first).max(), np.abs(second).max())) ** 2:
        return Estimate(value), None
    freedom = max(variance**2 / sum(part**2 / degrees for part, degrees in (*parts, *rests)), least - 1)
    error = np.sqrt(variance)
    reach = float(stats.t.ppf((1 + level) / 2, freedom)) * error
    p_value = float(2 * stats.t.sf(abs(value) / error, freedom))
    return estimate(value, (value - reach, value + reach), level), p_value


def probability_of_improvement(first: Array, second: Array) -> Array:
    """P(first > second) + P(tie) / 2 over all couples of trainings within a mission, missions averaged.

    (B, trainings, M) each give (B,).
    """
    missions = range(first.shape[-1])
    signs = [np.sign(first[:, :, None, m] - second[:, None, :, m]).mean(axis=(1, 2)) for m in missions]
    return (np.mean(signs, axis=0) + 1) / 2


def _mean(values: Array, level: float) -> Estimate:
    """Over trainings and seeds, or over the seeds of a policy that is not trained."""
    by_seed = values.mean(axis=1)
    if len(by_seed) > 1:
        return crossed_mean(by_seed, level)
    difference, _ = crossed_difference(by_seed, np.zeros_like(by_seed), level)
    return difference


def _resampled(scores: Scores) -> dict[str, Array]:
    """Bootstrap resamples of trainings' scores, (B, trainings, M): trainings and evaluation seeds are drawn anew.

    Seeds are drawn together for all algorithms, in every mission on their own.
    """
    rng = np.random.default_rng(0)
    _, missions, episodes = next(iter(scores.values())).shape
    weights = rng.multinomial(episodes, np.full(episodes, 1 / episodes), (missions, BOOTSTRAPS)) / episodes
    drawn = {}
    for name, values in scores.items():
        means = np.einsum("tme,mbe->btm", values, weights)
        rows = rng.integers(0, len(values), (BOOTSTRAPS, len(values), 1))
        drawn[name] = np.take_along_axis(means, rows, axis=1)
    return drawn


def _percentiles(value: float, drawn: Array, samples: Sequence[Array], level: float) -> Estimate:
    """The estimate with the percentiles of its resamples, at a level widened for few trainings (Hesterberg 2015)."""
    counts = [len(sample) for sample in samples if len(sample) > 1] + [sample.shape[-1] for sample in samples]
    least = min(counts)
    if least < MIN_EPISODES or np.ptp(drawn) == 0:
        return Estimate(value)
    widened = np.sqrt(least / (least - 1)) * stats.t.ppf((1 + level) / 2, least - 1)
    outside = float(stats.norm.sf(widened))
    return estimate(value, np.quantile(drawn, [outside, 1 - outside]), level)


def _profiles(scores: Scores, drawn: Scores, level: float) -> PerformanceProfiles:
    """The share of trainings, over all missions, that score above each threshold (Agarwal et al. 2021)."""
    runs = {name: values.mean(axis=-1) for name, values in scores.items()}
    low, high = min(values.min() for values in runs.values()), max(values.max() for values in runs.values())
    step = (high - low or 1.0) / (THRESHOLDS - 1)
    grid = np.linspace(low - step, high, THRESHOLDS)
    outside = (1 - level) / 2
    bands = []
    for values in drawn.values():
        flat = values.reshape(len(values), -1)
        shares = np.array([(flat > threshold).mean(axis=1) for threshold in grid])
        bands.append(np.quantile(shares, [outside, 1 - outside], axis=1))
    return PerformanceProfiles(
        policies=tuple(scores),
        thresholds=tuple(grid.tolist()),
        fractions=tuple(tuple((values[..., None] > grid).mean(axis=(0, 1)).tolist()) for values in runs.values()),
        low=tuple(tuple(band[0].tolist()) for band in bands),
        high=tuple(tuple(band[1].tolist()) for band in bands),
        level=level,
    )
