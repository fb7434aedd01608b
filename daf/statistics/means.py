"""Means with p-values and intervals that come from one test, so that they cannot contradict each other.

A hypothesis is a mean, or a difference of means, with its standard error and Student's t. Three things are done to t:

- **Skewness.** Student's t claims too much where a long tail has not been seen: against a constant with the same mean,
  exponential differences are called lower in 11 % and lognormal ones in 17 % of samples of 8. Hall's (1992)
  transformation of t takes the skewness of the estimate out. It is applied only where it weakens a claim, and with the
  estimated skewness half as large again, since small samples underestimate it.
- **Few episodes.** Of a skewed distribution most outcomes lie on one side of the mean, 69 % of a lognormal one. A few
  episodes may all lie there, and then look like a difference without any skewness. The critical value grows by the root
  of how many episodes this takes at the level over how many there are (10 at 5 %, 18 at 0.5 %).
- **Families.** All hypotheses share one level for the raw p-value: the quantile of the smallest one in parametric
  bootstrap draws under normal theory with the observed variances and correlations (min-P, Westfall and Young 1993;
  Krishnamoorthy, Lu and Mathew 2007). One hypothesis alone needs no draws.

An interval holds the values that this test does not reject; with several hypotheses all intervals hold together. A mean
of scores that do not vary has no interval. A difference that does not vary is held against what may not have been seen
yet: an outcome of a probability of 1 - alpha^(1 / episodes) (about 3 / episodes, the rule of three), as far away as the
differences of the family spread. Where none of them varies, there is no test and no interval.

`docs/statistics.md` has the measured error rates, coverage and power.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from daf.statistics import resampling
from daf.statistics.resampling import Array

SKEWNESS_FACTOR = 1.5
SHARE_ON_ONE_SIDE = 0.74
_HALVINGS = 45
_LEAST_LOG_P = -650.0  # e to this is about the smallest p-value that scipy's quantiles of t take


@dataclass(frozen=True)
class Means:
    """H estimated means, (H,) each.

    Attributes:
        values: in the unit of the score.
        errors: standard errors; 0 where nothing varies.
        degrees: Satterthwaite's (1946) degrees of freedom.
        asymmetry: skewness of the estimate, 0 for a symmetric one; that of the scores over the root of their number.
        episodes: of each mission.
        spread: how far away an outcome may lie that was not seen, in the unit of the score; 0 for unknown.
    """

    values: Array
    errors: Array
    degrees: Array
    asymmetry: Array
    episodes: int
    spread: float


def central_moments(samples: Array) -> tuple[Array, Array, Array]:
    """Mean, unbiased variance and unbiased third central moment along the last axis, which holds three or more."""
    means, variances = resampling.moments(samples)
    count = samples.shape[-1]
    cubes = ((samples - means[..., None]) ** 3).sum(axis=-1)
    return means, variances, cubes * count / ((count - 1) * (count - 2))


def student_t(value: Array, cells: Array, freedom: int) -> tuple[Array, Array]:
    """Standard error and Satterthwaite degrees of freedom of a sum of independent means.

    `cells`: (..., C), the estimated variance of each mean, each with `freedom` degrees of freedom. With one cell this
    is the paired t-test, with two Welch's (1947). Returns (...) each; degrees of freedom are 1 where nothing varies.
    """
    total, squares = cells.sum(axis=-1), (cells**2).sum(axis=-1)
    degrees = np.divide(freedom * total**2, squares, out=np.ones_like(value), where=squares > 0)
    return np.sqrt(total), degrees


def estimated_means(samples: Array, spread: float = 0.0) -> Means:
    """Means of (H, M, E) scores over M missions of equal weight and E episodes each; `spread` as in `Means`."""
    _, missions, episodes = samples.shape
    means, variances, thirds = central_moments(samples)
    value = means.mean(axis=-1)
    errors, degrees = student_t(value, variances / (episodes * missions**2), episodes - 1)
    asymmetry = _asymmetry(thirds.sum(axis=-1) / (episodes**2 * missions**3), errors)
    return Means(value, errors, degrees, asymmetry, episodes, spread)


def estimated_differences(scores: Array, first: NDArray[np.int64], second: NDArray[np.int64]) -> Means:
    """Differences of unpaired (P, M, E) scores, of which `first` and `second` number the policies, (H,) each."""
    _, missions, episodes = scores.shape
    means, variances, thirds = central_moments(scores)
    value = (means[first] - means[second]).mean(axis=-1)
    cells = np.concatenate([variances[first], variances[second]], axis=-1) / (episodes * missions**2)
    errors, degrees = student_t(value, cells, episodes - 1)
    third = (thirds[first] - thirds[second]).sum(axis=-1) / (episodes**2 * missions**3)
    return Means(value, errors, degrees, _asymmetry(third, errors), episodes, spread=0.0)


def _asymmetry(third: Array, errors: Array) -> Array:
    return np.divide(third, errors**3, out=np.zeros_like(errors), where=errors > 0)


def weakened(statistics: Array, asymmetry: Array) -> Array:
    """|t| after Hall's (1992) transformation where that is smaller, else |t|."""
    skew = SKEWNESS_FACTOR * asymmetry
    transformed = statistics + skew * (statistics**2 / 3 + 1 / 6) + skew**2 * statistics**3 / 27
    return np.minimum(np.abs(statistics), np.maximum(np.sign(statistics) * transformed, 0))


def reach(critical: Array, asymmetry: Array) -> tuple[Array, Array]:
    """Standard errors from the mean to the lower and to the upper end of what `weakened` below `critical` accepts."""
    return _inverse(critical, asymmetry), _inverse(critical, -asymmetry)


def _inverse(critical: Array, asymmetry: Array) -> Array:
    skew = SKEWNESS_FACTOR * asymmetry
    safe = np.where(np.abs(skew) < 1e-9, 1, skew)
    inverse = 3 / safe * (np.cbrt(1 + safe * (critical - safe / 6)) - 1)
    return np.where(np.abs(skew) < 1e-9, critical, np.maximum(critical, inverse))


def critical_value(p_value: Array, degrees: Array) -> Array:
    """Two-sided critical value of Student's t, larger where episodes are few (see above)."""
    needed = np.log(p_value) / np.log(SHARE_ON_ONE_SIDE)
    return stats.t.isf(p_value / 2, degrees) * np.sqrt(np.maximum(needed / (degrees + 1), 1))


def raw_p_values(means: Means) -> Array:
    """Two-sided p-values of each mean being 0, (H,): the inverse of `bounds`; nan where there is none."""
    varies = means.errors > 0
    statistics = np.divide(means.values, means.errors, out=np.zeros_like(means.values), where=varies)
    statistics = weakened(statistics, means.asymmetry)
    low, high = np.full(len(statistics), _LEAST_LOG_P), np.zeros(len(statistics))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        beyond = critical_value(np.exp(middle), means.degrees) > statistics
        low, high = np.where(beyond, middle, low), np.where(beyond, high, middle)
    return np.where(varies, np.exp(high), _unseen_p_values(means))


def _unseen_p_values(means: Means) -> Array:
    """The chance of not having seen an outcome that would bring each mean to 0."""
    if not means.spread:
        return np.full(len(means.values), np.nan)
    unseen = (1 - np.minimum(np.abs(means.values) / means.spread, 1)) ** means.episodes
    return np.maximum(unseen, np.exp(_LEAST_LOG_P))


def bounds(means: Means, alpha: float) -> Array:
    """Intervals of the means at a raw level of `alpha`, (2, H), nan for none."""
    critical = critical_value(np.full(len(means.values), alpha), means.degrees)
    below, above = reach(critical, means.asymmetry)
    both = np.stack([means.values - below * means.errors, means.values + above * means.errors])
    unseen = means.spread * (1 - alpha ** (1 / means.episodes)) or np.nan
    return np.where(means.errors > 0, both, np.stack([means.values - unseen, means.values + unseen]))


@dataclass(frozen=True)
class TestedMeans:
    """What is said of a family: corrected p-values, (H,), and simultaneous intervals, (2, H); nan for none.

    A p-value is at most the family's alpha exactly where its interval excludes 0.
    """

    p_values: Array
    bounds: Array


def tested(means: Means, smallest: Array | None, alpha: float) -> TestedMeans:
    """Tests and intervals of a family.

    `smallest`: the smallest raw p-value of each null draw, (B,); None for one hypothesis.
    """
    raw = raw_p_values(means)
    if smallest is None:
        return TestedMeans(raw, bounds(means, alpha))
    ordered = np.sort(smallest)
    corrected = (np.searchsorted(ordered, raw, side="right") + 1) / (len(ordered) + 1)
    rank = int(np.floor(alpha * (len(ordered) + 1) + 1e-9)) - 1
    shared = min(alpha, float(ordered[max(rank, 0)]))
    return TestedMeans(np.where(np.isnan(raw), np.nan, np.maximum(corrected, raw)), bounds(means, shared))


def paired_draws(strata: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Means and variances of K paired columns under normal theory, (B, M, K) each, centred, as correlated as observed.

    `strata`: (M, E, K). Variances and means are drawn as those of E normal rows (Bartlett's decomposition of a Wishart
    matrix).
    """
    drawn = [_mission_draws(mission, rng) for mission in strata]
    means, variances = (np.stack(parts, axis=1) for parts in zip(*drawn, strict=True))
    return means, variances


def _mission_draws(mission: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    episodes, columns = mission.shape
    _, sizes, directions = np.linalg.svd(mission - mission.mean(axis=0), full_matrices=False)
    kept = sizes > 1e-9 * sizes.max(initial=0.0)
    factor = (sizes[kept, None] * directions[kept]).T / np.sqrt(episodes - 1)
    rank, draws = factor.shape[1], resampling.RESAMPLES
    if rank == 0:
        return np.zeros((draws, columns)), np.zeros((draws, columns))
    means = rng.standard_normal((draws, rank)) @ factor.T / np.sqrt(episodes)
    step = max(1, resampling.CHUNK // (columns * rank))
    sizes_of = [min(step, draws - start) for start in range(0, draws, step)]
    variances = [
        ((factor @ _bartlett(count, rank, episodes - 1, rng)) ** 2).sum(axis=-1) / (episodes - 1) for count in sizes_of
    ]
    return means, np.concatenate(variances)


def _bartlett(draws: int, rank: int, freedom: int, rng: np.random.Generator) -> Array:
    """Lower triangular roots of Wishart matrices of independent columns, (B, rank, rank)."""
    roots = np.tril(rng.standard_normal((draws, rank, rank)), -1)
    diagonal = np.arange(rank)
    roots[:, diagonal, diagonal] = np.sqrt(rng.chisquare(freedom - diagonal, (draws, rank)))
    return roots


def smallest_p_values(means: Array, cells: Array, freedom: int) -> Array:
    """The smallest two-sided p-value of Student's t over H hypotheses: (B, H) means and (B, H, C) cells give (B,)."""
    errors, degrees = student_t(means, cells, freedom)
    statistics = np.abs(np.divide(means, errors, out=np.zeros_like(means), where=errors > 0))
    if cells.shape[-1] == 1:  # the same degrees of freedom everywhere
        return np.asarray(2 * stats.t.sf(statistics.max(axis=-1), freedom))
    return np.asarray(2 * stats.t.sf(statistics, degrees)).min(axis=-1)
