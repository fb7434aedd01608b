"""How many episodes, or trainings, a difference needs: the power of Student's t, with variances from a pilot.

The power of a two-sided test at another size of the sample follows from the noncentral t distribution (Cohen 1988,
chapter 2; the numbers are those of G*Power, Faul et al. 2007). Over missions, which are strata of equal weight, the
degrees of freedom are Satterthwaite's (1946).

Paired by seed, a difference varies by var(a) + var(b) - 2 cov(a, b), unpaired by var(a) + var(b): what the seed does to
both cancels out. With algorithms, trainings and evaluation seeds are two crossed samples (`algorithms`), and of each
there may be too few: no number of trainings makes up for too few seeds.

The error rate is divided by the number of pairs (Bonferroni). `compare` corrects a little less than that, so what is
said here is enough there. The pilot's own difference has no part in it: power "observed" in this way is the p-value
once more (Hoenig and Heisey 2001).
"""

import warnings
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Protocol

import numpy as np
from scipy import stats

from daf.statistics.algorithms import Scores
from daf.statistics.comparison import checked_level
from daf.statistics.estimates import MIN_EPISODES
from daf.statistics.resampling import Array, moments

#: Cohen's (1988) small, medium and large effect, in standard deviations.
EFFECTS = (0.2, 0.5, 0.8)
#: Episodes and trainings beyond which nothing is searched: what the config takes.
MOST_EPISODES, MOST_TRAININGS = 10**6, 1024
#: A pilot of fewer trainings has no spread at all.
LEAST_TRAININGS = 2

_ROUNDING = 1e-12  # of the largest score: a smaller standard deviation is rounding


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How much a difference of means varies.

    Attributes:
        variance: of the difference, for one episode on each mission; n of them leave variance / n.
        freedom: degrees of freedom that each episode after the first adds.
        known: degrees of freedom with which the pilot knows the variance.
    """

    variance: float
    freedom: float
    known: float

    def power(self, difference: float, episodes: Array, alpha: float) -> Array:
        """The chance that so many episodes, (N,), show such a difference."""
        return t_power(difference, self.variance / episodes, self.freedom * (episodes - 1), alpha)

    def times(self, factor: float) -> "Spread":
        """The same with so many times the variance."""
        return replace(self, variance=factor * self.variance)


@dataclass(frozen=True, kw_only=True)
class CrossedSpread:
    """How much a difference of two algorithms varies, in variances of one training on one evaluation seed.

    Attributes:
        trainings: what the training adds, one for each algorithm that trains.
        rests: what neither the training nor the seed explains, one for each algorithm that trains.
        seeds: what a seed does to one algorithm and not to the other.
        known: degrees of freedom with which the pilot knows them together.
        episodes: evaluation seeds that every training plays.
    """

    trainings: tuple[float, ...]
    rests: tuple[float, ...]
    seeds: float
    known: float
    episodes: int

    def power(self, difference: float, trainings: Array, alpha: float) -> Array:
        """The chance that so many trainings of each algorithm, (N,), show such a difference.

        Mean squares as `algorithms.crossed_difference` will find them, on average.
        """
        episodes = self.episodes
        columns = (self.seeds + sum(self.rests) / trainings) / episodes
        rows = [(own + rest / episodes) / trainings for own, rest in zip(self.trainings, self.rests, strict=True)]
        rests = [rest / (trainings * episodes) for rest in self.rests]
        variance = columns + sum(rows) - sum(rests)
        within = (trainings - 1) * (episodes - 1)
        uncertainty = columns**2 / (episodes - 1)
        uncertainty += sum(row**2 / (trainings - 1) + rest**2 / within for row, rest in zip(rows, rests, strict=True))
        freedom = np.maximum(variance**2 / uncertainty, np.minimum(trainings, episodes) - 1)
        return t_power(difference, variance, freedom, alpha)

    def times(self, factor: float) -> "CrossedSpread":
        """The same with so many times each variance."""
        trainings, rests = (tuple(factor * part for part in parts) for parts in (self.trainings, self.rests))
        return replace(self, trainings=trainings, rests=rests, seeds=factor * self.seeds)


@dataclass(frozen=True, kw_only=True)
class Need:
    """How many are needed, and the bounds of that for the variances that the pilot leaves open.

    Each is None where more are needed than are ever played or trained.
    """

    value: int | None
    low: int | None
    high: int | None


@dataclass(frozen=True, kw_only=True)
class EpisodesNeeded:
    """What one difference of two policies needs, in episodes per policy and mission.

    Attributes:
        difference: in the unit of the score.
        correlation: between the two policies' scores over the seeds of a mission; None where one of them is constant.
        alpha: error rate of this pair.
        paired_spread: None where the difference is the same in every episode of the pilot.
        unpaired_spread: None where neither policy's score varies.
        paired, unpaired: what is needed on the same seeds, and on seeds of their own; None without a spread.
    """

    first: str
    second: str
    difference: float
    correlation: float | None
    alpha: float
    paired_spread: Spread | None
    unpaired_spread: Spread | None
    paired: Need | None
    unpaired: Need | None


@dataclass(frozen=True, kw_only=True)
class TrainingsNeeded:
    """What one difference of two algorithms needs, in trainings of each.

    Attributes:
        alpha: error rate of this pair.
        spread: None where nothing varied in the pilot.
        needs: evaluation episodes to the trainings that are needed with so many.
    """

    first: str
    second: str
    difference: float
    alpha: float
    spread: CrossedSpread | None
    needs: dict[int, Need]


class Varying(Protocol):
    """How much a difference varies, and what sizes of the sample make of it."""

    @property
    def known(self) -> float: ...
    def power(self, difference: float, sizes: Array, alpha: float, /) -> Array: ...
    def times(self, factor: float) -> "Varying": ...


@dataclass(frozen=True, kw_only=True)
class _Question:
    """A difference, and how sure one wants to be: `alpha` is the error rate of one pair."""

    difference: float
    power: float
    alpha: float
    level: float

    def answer(self, spread: Varying | None, most: int) -> Need | None:
        """For the estimated variance, and for the least and the largest that the pilot leaves open."""
        if spread is None:
            return None
        sizes = [
            self._size(spread.times(factor), most) for factor in (1.0, *variance_factors(spread.known, self.level))
        ]
        return Need(value=sizes[0], low=sizes[1], high=sizes[2])

    def _size(self, spread: Varying, most: int) -> int | None:
        return smallest_size(
            lambda sizes: spread.power(self.difference, sizes, self.alpha), self.power, MIN_EPISODES, most
        )


@dataclass(frozen=True, kw_only=True)
class PowerCurve:
    """The power at several sizes of the sample, (N,) each, and for the variances that the pilot leaves open."""

    sizes: Array
    power: Array
    low: Array
    high: Array


def power_curve(spread: Varying, difference: float, sizes: Array, *, alpha: float, level: float) -> PowerCurve:
    """The curve behind a need: `alpha` is the error rate, `level` the confidence of the band."""
    factors = (1.0, *variance_factors(spread.known, level))
    power, high, low = (spread.times(factor).power(difference, sizes, alpha) for factor in factors)
    return PowerCurve(sizes=sizes, power=power, low=low, high=high)


def score_sd(scores: Array) -> float:
    """Standard deviation of a policy's episodes within a mission, over all policies of (P, M, E) scores."""
    return float(np.sqrt(moments(scores)[1].mean()))


def training_sd(scores: Scores) -> float:
    """Standard deviation of an algorithm's trainings, over all that trained; 0 where none did."""
    means = [values.mean(axis=(1, 2)) for values in scores.values() if len(values) >= LEAST_TRAININGS]
    return float(np.sqrt(np.mean([moments(each)[1] for each in means]))) if means else 0.0


def t_power(difference: float, variance: Array, freedom: Array, alpha: float) -> Array:
    """Power of a two-sided t-test at `alpha` against a true difference, whose estimate has this variance."""
    critical = stats.t.ppf(1 - alpha / 2, freedom)
    shift = abs(difference) / np.sqrt(variance)
    # Of the far tail scipy knows nothing where there is next to nothing in it.
    return np.asarray(stats.nct.sf(critical, freedom, shift) + np.nan_to_num(stats.nct.cdf(-critical, freedom, shift)))


def smallest_size(power_of: Callable[[Array], Array], power: float, least: int, most: int) -> int | None:
    """The fewest with which the power is reached, from `least` on; None where `most` are too few."""

    def enough(size: int) -> bool:
        return bool(power_of(np.array([float(size)]))[0] >= power)

    upper = least
    while not enough(upper):
        if upper == most:
            return None
        upper = min(2 * upper, most)
    lower = max(least, upper // 2)
    return lower + bisect_left(range(lower, upper), True, key=enough)


def paired_spread(first: Array, second: Array) -> Spread | None:
    """The spread of a paired difference: (M, E) each, column j the same seed; None where nothing varies."""
    return _spread([first - second], max(np.abs(first).max(), np.abs(second).max()))


def unpaired_spread(first: Array, second: Array) -> Spread | None:
    """The same for seeds of their own (Welch 1947)."""
    return _spread([first, second], max(np.abs(first).max(), np.abs(second).max()))


def _spread(samples: Sequence[Array], scale: float) -> Spread | None:
    """Of a sum of means of (M, E) samples; missions weigh equally.

    The variance of a sample variance is var^2 (2 / (E - 1) + excess kurtosis / E); normal scores would have no excess,
    and a light tail, which a small sample can only pretend, is not believed.
    """
    missions, episodes = samples[0].shape
    cells = np.concatenate([moments(sample)[1] for sample in samples]) / missions**2
    variance = float(cells.sum())
    if variance <= (_ROUNDING * scale) ** 2:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a constant sample, whose kurtosis has no part in anything
        excess = np.concatenate([stats.kurtosis(sample, axis=1, bias=False) for sample in samples])
    excess = np.maximum(np.nan_to_num(excess), 0)
    uncertainty = float((cells**2 * (2 / (episodes - 1) + excess / episodes)).sum())
    return Spread(variance=variance, freedom=variance**2 / float((cells**2).sum()), known=2 * variance**2 / uncertainty)


def crossed_spread(first: Array, second: Array) -> CrossedSpread | None:
    """The variances behind a difference of two algorithms, (trainings, E) each; one row is a policy without trainings.

    From the mean squares of each algorithm's table (Searle, Casella and McCulloch 1992, chapter 4), none below 0. None
    where nothing varies.
    """
    episodes = first.shape[1]
    contrast = float((first.mean(axis=0) - second.mean(axis=0)).var(ddof=1))
    own, rests, parts = [], [], [(contrast / episodes, episodes - 1)]
    for rows in (first, second):
        if (count := len(rows)) < LEAST_TRAININGS:
            continue
        rest = rows - rows.mean(axis=1, keepdims=True) - rows.mean(axis=0, keepdims=True) + rows.mean()
        freedom = (count - 1) * (episodes - 1)
        of_rest, of_rows = float((rest**2).sum()) / freedom, float(rows.mean(axis=1).var(ddof=1))
        own.append(max(of_rows - of_rest / episodes, 0.0))
        rests.append(of_rest)
        contrast -= of_rest / count
        parts += [(of_rows / count, count - 1), (of_rest / rows.size, freedom)]
    scale = max(np.abs(first).max(), np.abs(second).max())
    if sum(part for part, _ in parts) <= (_ROUNDING * scale) ** 2:
        return None
    total = sum(part for part, _ in parts)
    known = total**2 / sum(part**2 / freedom for part, freedom in parts)
    return CrossedSpread(
        trainings=tuple(own), rests=tuple(rests), seeds=max(contrast, 0.0), known=known, episodes=episodes
    )


def variance_factors(known: float, level: float) -> tuple[float, float]:
    """What a variance that is known with so many degrees of freedom may be, in estimated ones (the chi-square's)."""
    outside = (1 - level) / 2
    return known / float(stats.chi2.ppf(1 - outside, known)), known / float(stats.chi2.ppf(outside, known))


def episodes_needed(
    scores: Array, names: Sequence[str], differences: Sequence[float], *, power: float, level: float
) -> tuple[EpisodesNeeded, ...]:
    """What each difference of each pair of policies needs; all pairs share the error rate 1 - `level`.

    Args:
        scores: of the pilot, (policies, missions, episodes), paired by seed.
        differences: true differences of the means, in the unit of the scores.
        power: the chance with which each is to be found.
        level: confidence of the tests, and of the bounds.

    Raises:
        ValueError: `level` is outside 0.5 to 1, or `power` outside 1 - `level` to 1.
    """
    asked = _questions(differences, len(names), power, level)
    found = []
    for first, second in combinations(range(len(names)), 2):
        one, other = scores[first], scores[second]
        paired, unpaired = paired_spread(one, other), unpaired_spread(one, other)
        found += [
            EpisodesNeeded(
                first=names[first],
                second=names[second],
                difference=question.difference,
                correlation=_correlation(one, other),
                alpha=question.alpha,
                paired_spread=paired,
                unpaired_spread=unpaired,
                paired=question.answer(paired, MOST_EPISODES),
                unpaired=question.answer(unpaired, MOST_EPISODES),
            )
            for question in asked
        ]
    return tuple(found)


def _correlation(first: Array, second: Array) -> float | None:
    """Pearson's within missions, their covariances and variances averaged."""
    centred = [sample - sample.mean(axis=1, keepdims=True) for sample in (first, second)]
    scale = np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum())
    largest = max(np.abs(first).max(), np.abs(second).max())
    return None if scale <= (_ROUNDING * largest) ** 2 else float((centred[0] * centred[1]).sum() / scale)


def trainings_needed(
    scores: Scores, differences: Sequence[float], episodes: Sequence[int], *, power: float, level: float
) -> tuple[TrainingsNeeded, ...]:
    """What each difference of each pair of algorithms needs, where at least one of the two trains.

    Args:
        scores: algorithm to the pilot's (trainings, missions, E).
        episodes: numbers of evaluation episodes, for each of which the trainings are computed.

    The rest as `episodes_needed`.
    """
    asked = _questions(differences, len(scores), power, level)
    by_seed = {name: values.mean(axis=1) for name, values in scores.items()}
    found = []
    for first, second in combinations(scores, 2):
        if max(len(by_seed[first]), len(by_seed[second])) < LEAST_TRAININGS:
            continue
        spread = crossed_spread(by_seed[first], by_seed[second])
        spreads = {count: replace(spread, episodes=count) for count in episodes} if spread else {}
        for question in asked:
            answers = {count: question.answer(each, MOST_TRAININGS) for count, each in spreads.items()}
            found.append(
                TrainingsNeeded(
                    first=first,
                    second=second,
                    difference=question.difference,
                    alpha=question.alpha,
                    spread=spread,
                    needs={count: answer for count, answer in answers.items() if answer},
                )
            )
    return tuple(found)


def _questions(differences: Sequence[float], count: int, power: float, level: float) -> list[_Question]:
    """About each difference, for so many policies, all pairs of which share the error rate."""
    alpha = 1 - checked_level(level)
    if not alpha < power < 1:
        raise ValueError(f"power must lie between {alpha:g} and 1, not {power}")
    of_pair = alpha / max(1, count * (count - 1) // 2)
    return [_Question(difference=each, power=power, alpha=of_pair, level=level) for each in differences]
