"""Point estimates and their intervals. Shapes as in `resampling`: policies P, missions M, episodes E, pairs K.

Means and their differences stand in `means`. The IQM and Cohen's d get BCa at a level widened for small samples
(`resampling.bca_bounds`). Cliff's delta gets an interval on Fisher's z scale. The interval of Cohen's d covers as
little as 80 % where skewed scores lie far apart; that of Cliff's delta keeps 93 to 97 % up to 0.8.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from daf.statistics.resampling import Array, bca_bounds, moments
from daf.statistics.results import Estimate, Interval

MIN_EPISODES = 5
RELIABLE_EPISODES = 20
_TRIM = 0.25

Indices = NDArray[np.int64]


def not_enough(count: int, needed: int, what: str = "episodes") -> str:
    """The one wording for too little data."""
    return f"not enough {what} ({count} of {needed})"


def reliability(count: int, what: str = "episodes") -> tuple[str, ...]:
    """What is said about a sample of `count` that is small for an interval; nothing from 20 on.

    `what`: the units of the sample, in the plural.
    """
    if count < MIN_EPISODES:
        return (f"no intervals: {not_enough(count, MIN_EPISODES, what)}",)
    if count < RELIABLE_EPISODES:
        return (f"{count} {what}: intervals are only reliable from {RELIABLE_EPISODES} on",)
    return ()


def estimate(value: float, bounds: ArrayLike, level: float) -> Estimate:
    """An estimate with its interval, without one where the two bounds are not finite."""
    low, high = np.asarray(bounds, dtype=np.float64).tolist()
    interval = Interval(low, high, level) if np.isfinite([low, high]).all() else None
    return Estimate(float(value), interval)


def iqm(values: Array) -> Array:
    """Interquartile mean along the last axis: the mean without the lowest and highest quarter (Agarwal et al. 2021)."""
    return np.asarray(stats.trim_mean(values, _TRIM, axis=-1))


def standardised(means: Array, variances: Array, pairs: Indices) -> Array:
    """Cohen's d of all pairs (1988): difference of means over the root of the two policies' average variance.

    (P, ...) moments give (K, ...). Seeds being paired does not enter the denominator (d_av of Cumming 2012), so that d
    says how far apart two policies are on the scale on which the episodes of one policy differ. 0 where the means are
    equal, infinite where they differ and nothing varies.
    """
    first, second = pairs
    difference = means[first] - means[second]
    spread = np.sqrt((variances[first] + variances[second]) / 2)
    with np.errstate(divide="ignore"):
        return np.divide(difference, spread, out=np.zeros_like(difference), where=difference != 0)


def cohens_d(scores: Array, pairs: Indices) -> Array:
    """Cohen's d of all pairs over missions, within-mission variances averaged: (P, M, E) gives (K,)."""
    means, variances = moments(scores)
    return standardised(means.mean(axis=-1), variances.mean(axis=-1), pairs)


def hedges_correction(degrees: int) -> float:
    """Factor that makes Cohen's d unbiased under normality (Hedges 1981), from the variance's degrees of freedom."""
    if degrees < 2:
        return float("nan")
    return float(np.exp(special.gammaln(degrees / 2) - special.gammaln((degrees - 1) / 2)) / np.sqrt(degrees / 2))


def bca_intervals(scores: Array, pairs: Indices, *, paired: bool, level: float, rng: np.random.Generator) -> Array:
    """BCa intervals of all policies' IQMs, then of all pairs' Cohen's d: (P, M, E) gives (2, P + K)."""
    policies, missions, episodes = scores.shape

    def statistic(numbers: list[Indices]) -> Array:
        """`numbers`: the resampled episodes of each mission, in unpaired data of each policy's each mission."""
        means, variances, iqms = [], [], []
        for policy in range(policies):
            episodes_of = numbers if paired else numbers[policy * missions : (policy + 1) * missions]
            drawn = [scores[policy, mission][episodes_of[mission]] for mission in range(missions)]
            means.append(sum(sample.mean(axis=-1) for sample in drawn) / missions)
            variances.append(sum(sample.var(axis=-1, ddof=1) for sample in drawn) / missions)
            iqms.append(iqm(np.concatenate(drawn, axis=-1)))
        return np.concatenate([iqms, standardised(np.stack(means), np.stack(variances), pairs)])

    blocks = missions if paired else missions * policies
    return np.stack(bca_bounds(statistic, blocks, episodes, level, rng))


def cliffs_delta(first: Array, second: Array, *, paired: bool, level: float) -> Estimate:
    """Cliff's delta (1993): P(first > second) - P(first < second) over all couples of episodes within a mission.

    (M, E) each; the missions' deltas are averaged. The interval is symmetric on Fisher's z scale (Newson 2006) around
    the U-statistic's variance, paired or not (Cliff 1996), with Student's quantile; at -1 and 1, where that variance
    vanishes, its inner bound is Feng and Cliff's (2004).
    """
    missions, episodes = first.shape
    dominance = np.sign(first[:, :, None] - second[:, None, :])
    delta = float(dominance.mean())
    if episodes < MIN_EPISODES:
        return Estimate(delta)
    rows, columns = dominance.mean(axis=2), dominance.mean(axis=1)
    spread = (rows + columns).var(axis=1, ddof=1) if paired else rows.var(axis=1, ddof=1) + columns.var(axis=1, ddof=1)
    error = float(np.sqrt(spread.sum() / episodes)) / missions
    if not spread.any() and abs(delta) < 1:
        return Estimate(delta)
    count = missions * episodes
    reach = float(stats.t.ppf((1 + level) / 2, count - missions))
    if abs(delta) == 1:
        inner = delta * max(0.0, (count - reach**2) / (count + reach**2))
        return estimate(delta, sorted((delta, inner)), level)
    width = reach * error / (1 - delta**2)
    return estimate(delta, np.tanh(np.arctanh(delta) + np.array([-width, width])), level)


def probability_of_improvement(delta: Estimate) -> Estimate:
    """P(first > second) + P(tie) / 2, missions averaged (Agarwal et al. 2021): Cliff's delta on the scale 0 to 1."""
    value = (delta.value + 1) / 2
    if delta.interval is None:
        return Estimate(value)
    return Estimate(value, Interval((delta.interval.low + 1) / 2, (delta.interval.high + 1) / 2, delta.interval.level))
