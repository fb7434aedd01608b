"""Comparing in rounds: play, look, and stop as soon as every pair is decided.

Each pair is watched with a t-test that may be looked at after every episode: the Bayes factor with the right Haar
prior on the standard deviation and a standard normal prior on the standardised difference. For normal differences it
is a test martingale (Lai 1976; Grunwald, de Heide and Koolen 2024; Wang and Ramdas 2025), so by Ville's inequality
the chance that it ever exceeds 1 / alpha is at most alpha. Its smallest reciprocal so far is a p-value for any stopping
rule, and the differences that it does not reject form a confidence sequence.

The unit is one row of episodes, one per mission: its mean over missions weighs missions equally.
"""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from daf.statistics.comparison import all_pairs, checked_level, checked_scores, paired_differences
from daf.statistics.estimates import RELIABLE_EPISODES, estimate, not_enough
from daf.statistics.resampling import Array, moments
from daf.statistics.results import Estimate, SequentialComparison, SequentialPair
from daf.statistics.significance import holm

MIN_SEQUENTIAL_EPISODES = 10  # with fewer, discrete scores were measured to break the error rate


def sequential_comparison(
    scores: ArrayLike,
    policy_names: Sequence[str],
    *,
    margin: float,
    level: float = 0.95,
) -> SequentialComparison:
    """Judge all pairs on the episodes played so far, at any time and as often as wanted.

    `scores`: (policies, missions, episodes) in the order played, paired by seed. `margin`: differences smaller than
    this count as equivalent, in the unit of the metric. The chance of ever calling an equal pair different, and the
    chance of ever calling a pair equivalent that is not, are each at most 1 - `level` over all pairs (Holm's
    correction; normal or heavier-tailed symmetric differences). A pair once decided stays decided while the
    others play on.

    Two policies with equal scores in each of 20 rows are "identical". ValueError as `compare`, and for a margin that
    is not positive.
    """
    missions = [str(number) for number in range(np.shape(scores)[1])] if np.ndim(scores) == 3 else []
    array = checked_scores(scores, policy_names, missions)
    checked_level(level)
    if not 0 < margin < np.inf:
        raise ValueError(f"margin must be positive, not {margin}")
    episodes = array.shape[2]
    results = _judged_pairs(array, policy_names, margin, level)
    note = not_enough(episodes, MIN_SEQUENTIAL_EPISODES) if episodes < MIN_SEQUENTIAL_EPISODES else ""
    finished = all(result.decision != "undecided" for result in results)
    return SequentialComparison(results, episodes, margin, level, finished, note)


def _judged_pairs(scores: Array, names: Sequence[str], margin: float, level: float) -> tuple[SequentialPair, ...]:
    pairs, alpha = all_pairs(len(scores)), 1 - level
    differences = paired_differences(scores, pairs)
    rows, identical = differences.mean(axis=0), ~differences.any(axis=(0, 1))
    p_difference, p_equivalence, higher = _running_p_values(rows, margin)
    p_difference, p_equivalence = holm(p_difference), holm(np.where(identical, 1, p_equivalence))
    decisions = np.select(
        [identical & (len(rows) >= RELIABLE_EPISODES), p_difference <= alpha, p_equivalence <= alpha],
        ["identical", np.where(higher, "first higher", "second higher"), "equivalent"],
        "undecided",
    )
    return tuple(
        SequentialPair(
            first=names[i],
            second=names[j],
            difference=_confidence_sequence(rows[:, number], level, alpha / len(decisions)),
            p_difference=float(p_difference[number]),
            p_equivalence=float(p_equivalence[number]),
            decision=str(decisions[number]),
        )
        for number, (i, j) in enumerate(pairs.T)
    )


def _running_p_values(rows: Array, margin: float) -> tuple[Array, Array, NDArray[np.bool_]]:
    """For (E, K) rows: p of no difference, p of a difference of `margin` or more, and whether the first is higher."""
    episodes, count = rows.shape
    if episodes < MIN_SEQUENTIAL_EPISODES:
        return np.ones(count), np.ones(count), np.zeros(count, dtype=np.bool_)
    numbers = np.arange(1, episodes + 1)[:, None]
    centre = rows.mean(axis=0)
    shifted = np.cumsum(rows - centre, axis=0) / numbers
    variances = np.maximum(np.cumsum((rows - centre) ** 2, axis=0) / numbers - shifted**2, 0)
    looks = slice(MIN_SEQUENTIAL_EPISODES - 1, None)
    means, variances, numbers = (centre + shifted)[looks], variances[looks], numbers[looks]
    different = inverse_bayes_factor(means, variances, numbers)
    beyond = inverse_bayes_factor(margin - np.abs(means), variances, numbers)
    inside = np.where(np.abs(means) < margin, beyond, 1)
    first_higher = np.take_along_axis(means, different.argmin(axis=0)[None], axis=0)[0] > 0
    return different.min(axis=0), inside.min(axis=0), first_higher


def inverse_bayes_factor(distance: Array, variance: Array, episodes: NDArray[np.int64]) -> Array:
    """Reciprocal Bayes factor, at most 1, of normal data against a mean at this distance from the observed one.

    `variance` is the biased one (divided by `episodes`).
    """
    spread = 1 + episodes
    numerator, denominator = variance + distance**2, variance + distance**2 / spread
    ratio = np.divide(numerator, denominator, out=np.ones_like(numerator), where=denominator > 0)
    return np.minimum(np.exp(np.log(spread) / 2 - np.log(ratio) * episodes / 2), 1)


def _confidence_sequence(row: Array, level: float, alpha: float) -> Estimate:
    """The means that the Bayes factor does not reject at `alpha` after these (E,) episodes; `level` is the label."""
    episodes = len(row)
    mean, variance = moments(row)
    threshold = ((1 + episodes) / alpha**2) ** (1 / episodes)
    if episodes < MIN_SEQUENTIAL_EPISODES or threshold >= 1 + episodes:
        return Estimate(float(mean))
    biased = variance * (episodes - 1) / episodes
    width = np.sqrt(biased * (threshold - 1) / (1 - threshold / (1 + episodes)))
    return estimate(float(mean), (mean - width, mean + width), level)


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
