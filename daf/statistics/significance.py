"""Tests of all pairs at once. Scores are (P, M, E); every test is two-sided and keeps missions as strata.

The p-value that decides, and the interval that goes with it, stand in `means`; where nothing varies and the scores have
a range, in `betting`. The other tests are there to compare with: paired t, Wilcoxon and sign flips (which need
symmetric differences), or Welch's t, with Holm's and Benjamini-Hochberg's corrections.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from daf.statistics import means, resampling
from daf.statistics.betting import Bets
from daf.statistics.estimates import MIN_EPISODES, Indices, not_enough
from daf.statistics.means import TestedMeans, student_t
from daf.statistics.resampling import Array, moments
from daf.statistics.results import TestResult

IDENTICAL = "identical in every episode"
CONSTANT = "the difference is the same in every episode"

#: The lowest and the highest score that there can be; None where nobody said.
Range = tuple[float, float] | None


@dataclass(frozen=True)
class FamilyTests:
    """For each hypothesis of a family, pairs first: its tests, the corrected p-value that decides, its interval."""

    tests: list[dict[str, TestResult]]
    p_values: list[float | None]
    bounds: Array  # (2, H), nan for none

    def part(self, rows: slice) -> "FamilyTests":
        """Some of the hypotheses."""
        return FamilyTests(self.tests[rows], self.p_values[rows], self.bounds[:, rows])


def holm(p_values: Array) -> Array:
    """Holm's (1979) familywise correction of p-values, (H,)."""
    order = np.argsort(p_values)
    stepwise = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(stepwise, 1)
    return adjusted


def benjamini_hochberg(p_values: Array) -> Array:
    """Benjamini and Hochberg's (1995) false discovery rate correction, (H,), by scipy."""
    return np.asarray(stats.false_discovery_control(p_values)) if len(p_values) else p_values


def sign_flips_needed(alpha: float) -> int:
    """Fewest episodes with which a two-sided sign-flip or signed-rank test can reach `alpha`: 2^(1 - n) <= alpha."""
    return max(MIN_EPISODES, int(np.ceil(1 - np.log2(alpha))))


def paired_t(differences: Array) -> TestResult:
    """Paired t-test of (M, E) differences; over missions with Satterthwaite's (1946) degrees of freedom."""
    missions, episodes = differences.shape
    means, variances = moments(differences)
    return _t_result(means.mean(), variances / (episodes * missions**2), episodes)


def welch_t(first: Array, second: Array) -> TestResult:
    """Welch's (1947) t-test of two (M, E) samples; over missions with Satterthwaite's degrees of freedom."""
    missions, episodes = first.shape
    (first_means, first_spread), (second_means, second_spread) = moments(first), moments(second)
    cells = np.concatenate([first_spread, second_spread]) / (episodes * missions**2)
    return _t_result(first_means.mean() - second_means.mean(), cells, episodes)


def _t_result(difference: np.floating, cells: Array, episodes: int) -> TestResult:
    if not cells.any():
        return TestResult(0.0, 1.0, note=IDENTICAL) if difference == 0 else TestResult(note=CONSTANT)
    error, degrees = student_t(np.asarray(difference), cells, episodes - 1)
    statistic = difference / error
    return TestResult(float(statistic), float(2 * stats.t.sf(abs(statistic), degrees)))


def wilcoxon(differences: Array, alpha: float) -> TestResult:
    """Wilcoxon's (1945) signed-rank test of (M, E) differences, zeros dropped.

    One mission: scipy's, with the smaller rank sum as statistic. Several: signed ranks within each mission, summed,
    as a normal deviate (the paired form of van Elteren 1960).
    """
    if not differences.any():
        return TestResult(0.0, 1.0, note=IDENTICAL)
    count, needed = int(np.count_nonzero(differences)), sign_flips_needed(alpha)
    if count < needed:
        return TestResult(note=f"{not_enough(count, needed)} with a difference")
    if len(differences) == 1:
        result = stats.wilcoxon(differences[0])
        return TestResult(float(result.statistic), float(result.pvalue))
    ranks = np.concatenate([_signed_ranks(mission) for mission in differences])
    deviate = float(ranks.sum() / np.sqrt((ranks**2).sum()))
    return TestResult(deviate, float(2 * stats.norm.sf(abs(deviate))))


def _signed_ranks(differences: Array) -> Array:
    kept = differences[differences != 0]
    return np.sign(kept) * stats.rankdata(np.abs(kept))


def _corrected(tests: list[dict[str, TestResult]]) -> list[dict[str, TestResult]]:
    """The tests of one family with Holm's and Benjamini-Hochberg's corrections over every p-value there is."""
    corrected = [dict(row) for row in tests]
    for name in tests[0]:
        known = [row for row in corrected if row[name].p_value is not None]
        raw = np.array([row[name].p_value for row in known], dtype=np.float64)
        for row, by_holm, by_bh in zip(known, holm(raw), benjamini_hochberg(raw), strict=True):
            row[name] = replace(row[name], p_holm=float(by_holm), p_bh=float(by_bh))
    return corrected


def paired_family(
    differences: Array, alpha: float, rng: np.random.Generator, *, pool_missions: bool, widest: float | None = None
) -> FamilyTests:
    """All tests of one family of paired differences, (M, E, K).

    The hypotheses are the K means over all missions, or those of each mission, mission by mission. `widest`: how far a
    difference can lie from 0 at most, where scores have a range.
    """
    samples = hypotheses(differences, pool_missions=pool_missions)
    _, episodes, count = differences.shape
    if episodes < MIN_EPISODES:
        return _too_few(episodes, len(samples), ("paired_t", "wilcoxon", "permutation"))
    decisive = decisive_tests(differences, alpha, rng, pool_missions=pool_missions, widest=widest)
    strata = differences.reshape(1, -1, count) if pool_missions else differences
    tests = [
        {"paired_t": paired_t(sample), "wilcoxon": wilcoxon(sample, alpha), "permutation": permutation}
        for sample, permutation in zip(samples, _permutations(samples, strata, alpha, rng), strict=True)
    ]
    return FamilyTests(_corrected(tests), _p_values(decisive, tests), decisive.bounds)


def hypotheses(differences: Array, *, pool_missions: bool) -> Array:
    """The sample of each hypothesis, (H, M, E), of paired differences, (M, E, K)."""
    if pool_missions:
        return differences.transpose(2, 0, 1)
    return differences.transpose(0, 2, 1).reshape(-1, 1, differences.shape[1])


def decisive_tests(
    differences: Array, alpha: float, rng: np.random.Generator, *, pool_missions: bool, widest: float | None = None
) -> TestedMeans:
    """The p-values and intervals that decide, of a family of at least five episodes. Arguments as `paired_family`."""
    samples = hypotheses(differences, pool_missions=pool_missions)
    smallest = _smallest(differences, pool_missions, rng) if len(samples) > 1 else None
    spread = float(np.ptp(samples.mean(axis=1), axis=-1).max())
    tested = means.tested(means.estimated_means(samples, spread), smallest, alpha)
    return tested if widest is None else with_bets(tested, samples, (-widest, widest), alpha, family=len(samples))


def _smallest(differences: Array, pool_missions: bool, rng: np.random.Generator) -> Array:
    missions, episodes, _ = differences.shape
    drawn, variances = means.paired_draws(differences, rng)
    if pool_missions:
        cells = variances.swapaxes(1, 2) / (episodes * missions**2)
        return means.smallest_p_values(drawn.mean(axis=1), cells, episodes - 1)
    cells = variances.reshape(len(drawn), -1, 1) / episodes
    return means.smallest_p_values(drawn.reshape(len(drawn), -1), cells, episodes - 1)


def with_bets(
    tested: TestedMeans, samples: Array, score_range: tuple[float, float], alpha: float, *, family: int
) -> TestedMeans:
    """Bets on the rows of (H, M, E) samples, in the place of tests that nothing varies for.

    So many hypotheses as `family` says share alpha equally (Bonferroni).
    """
    still = np.ptp(samples, axis=-1).max(axis=-1) == 0
    if not still.any():
        return tested
    bets = Bets(samples[still].mean(axis=1).T, *score_range, alpha / family)
    zero = np.zeros(int(still.sum()))
    p_values, bounds = tested.p_values.copy(), tested.bounds.copy()
    p_values[still] = np.minimum(family * np.minimum(bets.above(zero)[-1], bets.below(zero)[-1]), 1)
    bounds[:, still] = bets.interval(alpha / family)
    return TestedMeans(p_values, bounds)


def _p_values(tested: TestedMeans, tests: Sequence[dict[str, TestResult]]) -> list[float | None]:
    """The p-values that decide; what is identical everywhere has one of 1, and what cannot be tested has none."""
    found: list[float | None] = []
    for p_value, row in zip(tested.p_values.tolist(), tests, strict=True):
        identical = next(iter(row.values())).note == IDENTICAL
        found.append(1.0 if identical else None if np.isnan(p_value) else p_value)
    return found


def _permutations(samples: Array, strata: Array, alpha: float, rng: np.random.Generator) -> list[TestResult]:
    """Sign-flip tests of (H, M, E) samples, from the same differences as strata, (S, N, K), that are flipped alike."""
    needed, flipped = sign_flips_needed(alpha), strata.shape[1]
    if flipped < needed:
        return [TestResult(note=not_enough(flipped, needed))] * len(samples)
    observed, null, complete = resampling.paired_null(strata, rng)
    plain = resampling.plain_p_values(observed, null, complete=complete)
    return [TestResult(float(x.mean()), float(p)) for x, p in zip(samples, plain, strict=True)]


def _too_few(episodes: int, hypotheses: int, names: tuple[str, ...]) -> FamilyTests:
    missing = TestResult(note=not_enough(episodes, MIN_EPISODES))
    return FamilyTests(
        [dict.fromkeys(names, missing)] * hypotheses, [None] * hypotheses, np.full((2, hypotheses), np.nan)
    )


def unpaired_family(
    scores: Array, pairs: Indices, alpha: float, rng: np.random.Generator, *, pool_missions: bool
) -> FamilyTests:
    """All tests of one family of unpaired (P, M, E) scores: of pairs over all missions, or of pairs in each mission."""
    policies, missions, episodes = scores.shape
    first, second = pairs
    if not pool_missions:  # every mission's policies become policies of their own
        scores = scores.swapaxes(0, 1).reshape(-1, 1, episodes)
        first, second = ((np.arange(missions)[:, None] * policies + side).ravel() for side in (first, second))
    if episodes < MIN_EPISODES:
        return _too_few(episodes, len(first), ("welch_t",))
    tests = [{"welch_t": welch_t(scores[i], scores[j])} for i, j in zip(first, second, strict=True)]
    drawn, variances = resampling.normal_moments(moments(scores)[1], episodes, rng)
    smallest = means.smallest_p_values(
        (drawn[:, first] - drawn[:, second]).mean(axis=-1),
        np.concatenate([variances[:, first], variances[:, second]], axis=-1) / (episodes * scores.shape[1] ** 2),
        episodes - 1,
    )
    estimated = means.estimated_differences(scores, first, second)
    tested = means.tested(estimated, smallest if len(first) > 1 else None, alpha)
    return FamilyTests(_corrected(tests), _p_values(tested, tests), tested.bounds)
