"""Comparing in rounds: play, look, and stop as soon as every pair is decided.

Every pair is watched with a confidence sequence: an interval that may be looked at after every episode, and misses the
difference at any time with a chance of at most alpha. It decides alone: a pair differs when its sequence leaves 0 out,
and is equivalent when it lies within the margin. The pairs share alpha equally (Bonferroni).

Where the scores have a range, the sequence comes from bets (`betting`) and holds whatever the distribution. Elsewhere
it is asymptotic, from 20 episodes on (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024): the Bayes factor of normal
data with the right Haar prior on the standard deviation and a standard normal prior on the standardised difference
(Robbins' mixture in its form for an unknown variance: Lai 1976; Wang and Ramdas 2025), of a t from which skewness is
taken out as in `means`. There, what has not been seen yet is allowed for: a pair is not equivalent or identical while
an outcome that is likely enough to move the mean by the margin could still be unseen, at the spread of the scores seen
so far (the rule of three).

The unit is one row of episodes, one per mission: its mean over missions weighs missions equally.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from daf.statistics.betting import Bets
from daf.statistics.comparison import all_pairs, checked_level, checked_range, checked_scores, paired_differences
from daf.statistics.estimates import estimate, not_enough
from daf.statistics.means import reach, weakened
from daf.statistics.resampling import Array
from daf.statistics.results import SequentialComparison, SequentialPair

MIN_SEQUENTIAL_EPISODES = 20  # of an asymptotic sequence
NO_SPREAD = "no score has varied yet, so nothing says how far an unseen one may lie: declare comparison.range"


def sequential_comparison(
    scores: ArrayLike,
    policy_names: Sequence[str],
    *,
    margin: float,
    level: float = 0.95,
    score_range: tuple[float, float] | None = None,
) -> SequentialComparison:
    """Judge all pairs on the episodes played so far, at any time and as often as wanted.

    `scores`: (policies, missions, episodes) in the order played, paired by seed. `margin`: differences smaller than
    this count as equivalent, in the unit of the metric. `score_range`: the lowest and the highest score that there can
    be. The chance of ever calling an equal pair different or a pair equivalent that is not is at most 1 - `level` over
    all pairs; exactly so with a range, else as measured in `docs/statistics.md`. A pair once decided stays decided
    while the others play on. Two policies that are equivalent with equal scores in every row are "identical".

    ValueError as `compare`, and for a margin that is not positive.
    """
    missions = [str(number) for number in range(np.shape(scores)[1])] if np.ndim(scores) == 3 else []
    array = checked_range(checked_scores(scores, policy_names, missions), score_range)
    checked_level(level)
    if not 0 < margin < np.inf:
        raise ValueError(f"margin must be positive, not {margin}")
    episodes = array.shape[2]
    results = _judged_pairs(array, policy_names, margin, level, score_range)
    finished = all(result.decision != "undecided" for result in results)
    return SequentialComparison(results, episodes, margin, level, finished, _note(array, score_range))


def p_value_below(
    scores: ArrayLike, value: float, *, alpha: float, score_range: tuple[float, float] | None = None
) -> float:
    """The smallest p-value so far, in (E,) scores in the order played, of a mean that is at least `value`.

    It may be asked after every episode: the chance that it is ever at most `alpha` is at most that. Nothing is taken
    back: scores that have become lower are held against `value`, not against those before.
    """
    rows = np.asarray(scores, dtype=float)[:, None] - value
    watch: Bets | NormalTheory = NormalTheory(rows)
    if score_range is not None:
        watch = Bets(rows, score_range[0] - value, score_range[1] - value, alpha)
    return float(watch.below(np.zeros(1))[-1, 0])


def _note(scores: Array, score_range: tuple[float, float] | None) -> str:
    episodes = scores.shape[2]
    if score_range is not None:
        return ""
    if episodes < MIN_SEQUENTIAL_EPISODES:
        return not_enough(episodes, MIN_SEQUENTIAL_EPISODES)
    return NO_SPREAD if np.ptp(scores.mean(axis=1)) == 0 else ""


def _judged_pairs(
    scores: Array, names: Sequence[str], margin: float, level: float, score_range: tuple[float, float] | None
) -> tuple[SequentialPair, ...]:
    pairs = all_pairs(len(scores))
    count = pairs.shape[1]
    if not count:
        return ()
    alpha, rows = (1 - level) / count, paired_differences(scores, pairs).mean(axis=0)
    watch: Bets | NormalTheory = NormalTheory(rows)
    unseen = _unseen(scores, margin)
    if score_range is not None:
        width = score_range[1] - score_range[0]
        watch, unseen = Bets(rows, -width, width, alpha), np.zeros(len(rows))
    zero = np.zeros(count)
    higher, lower = watch.above(zero), watch.below(zero)
    alike = np.maximum(watch.above(zero - margin), watch.below(zero + margin))
    identical = ~np.logical_or.accumulate(rows != 0, axis=0)
    if score_range is None:
        alike = np.where(identical, 0, alike)
    alike = np.minimum.accumulate(np.maximum(alike, unseen[:, None]), axis=0)
    decisions = _decisions(higher, lower, alike, identical[-1], alpha)
    low, high = watch.interval(alpha)
    return tuple(
        SequentialPair(
            first=names[i],
            second=names[j],
            difference=estimate(float(rows[:, k].mean()), _ends(low[k], high[k]), level),
            p_difference=float(min(count * min(higher[-1, k], lower[-1, k]), 1)),
            p_equivalence=float(min(count * alike[-1, k], 1)),
            decision=decisions[k],
        )
        for k, (i, j) in enumerate(pairs.T)
    )


def _ends(low: float, high: float) -> tuple[float, float]:
    """An interval, or nan where later episodes contradict all that earlier ones left open."""
    return (low, high) if low <= high else (np.nan, np.nan)


def _decisions(higher: Array, lower: Array, alike: Array, identical: NDArray[np.bool_], alpha: float) -> list[str]:
    """What was decided first, for each column of (E, K) running p-values."""
    firsts = np.stack([_first(p_values, alpha) for p_values in (higher, lower, alike)])
    words = np.array(["first higher", "second higher", "equivalent"])[firsts.argmin(axis=0)]
    words = np.where((words == "equivalent") & identical, "identical", words)
    return [str(word) for word in np.where(firsts.min(axis=0) < len(alike), words, "undecided")]


def _first(p_values: Array, alpha: float) -> NDArray[np.int64]:
    """The first row at which each column is at most alpha; the number of rows where there is none."""
    reached = p_values <= alpha
    return np.where(reached.any(axis=0), reached.argmax(axis=0), len(p_values))


def _unseen(scores: Array, margin: float) -> Array:
    """The chance, after each row, of not having seen an outcome that moves a difference by the margin, (E,).

    It lies as far away as any two scores so far do, so its probability is at least margin / spread. Nothing is said of
    fewer than 20 rows, whose spread says little.
    """
    rows = scores.mean(axis=1)
    spread = np.maximum.accumulate(rows.max(axis=0)) - np.minimum.accumulate(rows.min(axis=0))
    share = np.divide(margin, spread, out=np.zeros_like(spread), where=spread > 0)
    numbers = np.arange(1, len(spread) + 1)
    known = (spread > 0) & (numbers >= MIN_SEQUENTIAL_EPISODES)
    return np.where(known, (1 - np.minimum(share, 1)) ** numbers, 1)


@dataclass(frozen=True)
class NormalTheory:
    """The asymptotic confidence sequences of (E, K) rows; nothing is said before 20 rows or without spread."""

    rows: Array

    def above(self, values: Array) -> Array:
        """Running p-values, (E, K), of means of at most `values`, (K,), for both sides together."""
        return self._p_values(self._looks.means - values, 1)

    def below(self, values: Array) -> Array:
        """Running p-values, (E, K), of means of at least `values`, (K,), for both sides together."""
        return self._p_values(values - self._looks.means, -1)

    def interval(self, alpha: float) -> tuple[Array, Array]:
        """Lower and upper ends, (K,) each, of what is not rejected at `alpha` after any episode; nan without any."""
        looks = self._looks
        critical = critical_mixture(alpha, looks.episodes)
        below, above = reach(critical, looks.asymmetry)
        said = (looks.errors > 0) & np.isfinite(critical)
        with np.errstate(invalid="ignore"):
            low = np.where(said, looks.means - below * looks.errors, -np.inf).max(axis=0, initial=-np.inf)
            high = np.where(said, looks.means + above * looks.errors, np.inf).min(axis=0, initial=np.inf)
        return low, high

    def _p_values(self, distances: Array, side: int) -> Array:
        looks = self._looks
        statistics = np.divide(distances, looks.errors, out=np.zeros_like(distances), where=looks.errors > 0)
        moved = weakened(statistics, side * looks.asymmetry) * looks.errors
        p_values = inverse_bayes_factor(moved, looks.variances, looks.episodes)
        p_values = np.where((distances > 0) & (looks.errors > 0), p_values, 1)
        early = np.ones((len(self.rows) - len(p_values), p_values.shape[1]))
        return np.minimum.accumulate(np.concatenate([early, p_values]), axis=0)

    @cached_property
    def _looks(self) -> "_Looks":
        numbers = np.arange(1, len(self.rows) + 1)[:, None]
        centre = self.rows.mean(axis=0)
        first, second, third = (np.cumsum((self.rows - centre) ** power, axis=0) / numbers for power in (1, 2, 3))
        variances = np.maximum(second - first**2, 0)
        cubes = third - 3 * first * second + 2 * first**3
        looks = slice(MIN_SEQUENTIAL_EPISODES - 1, None)
        first, variances, cubes, numbers = first[looks], variances[looks], cubes[looks], numbers[looks]
        # What rounding leaves of a column without spread is not one.
        variances = np.where(variances > 1e-13 * ((self.rows - centre) ** 2).max(axis=0), variances, 0)
        errors = np.sqrt(variances / np.maximum(numbers - 1, 1))
        unbiased = cubes / ((numbers - 1) * (numbers - 2))
        asymmetry = np.divide(unbiased, errors**3, out=np.zeros_like(errors), where=errors > 0)
        return _Looks(numbers, centre + first, variances, errors, asymmetry)


@dataclass(frozen=True)
class _Looks:
    """The state after each row from the twentieth on: (L, K), and the number of rows, (L, 1)."""

    episodes: NDArray[np.int64]
    means: Array
    variances: Array
    errors: Array
    asymmetry: Array


def inverse_bayes_factor(distance: Array, variance: Array, episodes: NDArray[np.int64]) -> Array:
    """Reciprocal Bayes factor, at most 1, of normal data against a mean at this distance from the observed one.

    `variance` is the biased one (divided by `episodes`).
    """
    spread = 1 + episodes
    numerator, denominator = variance + distance**2, variance + distance**2 / spread
    ratio = np.divide(numerator, denominator, out=np.ones_like(numerator), where=denominator > 0)
    return np.minimum(np.exp(np.log(spread) / 2 - np.log(ratio) * episodes / 2), 1)


def critical_mixture(alpha: float, episodes: NDArray[np.int64]) -> Array:
    """Student's t at which `inverse_bayes_factor` is alpha, infinite where no t is enough."""
    threshold = ((1 + episodes) / alpha**2) ** (1 / episodes)
    room = 1 - threshold / (1 + episodes)
    ratio = np.divide(threshold - 1, room, out=np.full(threshold.shape, np.inf), where=room > 0)
    return np.sqrt(ratio * (episodes - 1))


def fixed_sample_size(effect_size: float, *, power: float = 0.9, level: float = 0.95) -> int:
    """Episodes that a two-sided paired t-test of one look needs (Cohen 1988, with the exact noncentral t).

    `effect_size`: the mean difference in standard deviations of the difference. ValueError unless it is at least 0.01
    in size and `power` lies between 1 - `level` and 1.
    """
    alpha = 1 - checked_level(level)
    if not abs(effect_size) >= 0.01 or not alpha < power < 1:
        raise ValueError(f"no sample size for an effect of {effect_size} and a power of {power}")

    def enough(episodes: int) -> bool:
        critical = stats.t.ppf(1 - alpha / 2, episodes - 1)
        return bool(stats.nct.sf(critical, episodes - 1, abs(effect_size) * np.sqrt(episodes)) >= power)

    sizes = range(2, 1_000_000)
    return sizes[bisect_left(sizes, True, key=enough)]
