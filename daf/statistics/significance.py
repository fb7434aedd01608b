"""Tests of all pairs at once. Scores are (P, M, E); every test is two-sided and keeps missions as strata.

The p-value that decides is step-down max-T (Westfall and Young 1993). Paired, its null distribution comes from
flipping signs within missions; where so few episodes leave the attainable levels more than a fifth below the asked
one (up to 6 at 5 %), from rotations, exact for normal differences. A rotation p-value is raised by a tenth, because
uniformly distributed scores were measured to exceed the level by up to that much. Discrete data, on which normal
theory would lie, stay with sign flips and are then never significant. Unpaired, it comes from a parametric bootstrap
of Welch's t, and below 20 episodes a permutation test must agree. Holm's correction of the same tests would lose more
than a point of the level, since pairs that share a policy are correlated.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from daf.statistics import resampling
from daf.statistics.estimates import MIN_EPISODES, RELIABLE_EPISODES, Indices, not_enough, student_t
from daf.statistics.resampling import Array, moments
from daf.statistics.results import TestResult

_ROTATION_FACTOR = 1.1
_WORST_ATTAINABLE = 0.8  # of the asked level
_FLOAT_BITS = 53  # steps of the attainable levels finer than this cannot be told apart

IDENTICAL = "identical in every episode"
CONSTANT = "no variance to test the difference against"


@dataclass(frozen=True)
class FamilyTests:
    """For each hypothesis of a family, pairs first: its tests, and the corrected p-value that decides."""

    tests: list[dict[str, TestResult]]
    p_values: list[float | None]
    by_rotation: bool = False


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


def _attainable(episodes: int, alpha: float) -> float:
    """Largest level up to `alpha` at which a two-sided sign-flip test of so many episodes can reject."""
    half = 2.0 ** min(episodes - 1, _FLOAT_BITS)
    return float(np.floor(alpha * half) / half)


def _continuous(differences: Array) -> bool:
    """Whether no two episodes of a (E, K) mission differ by the same amount, zero apart."""
    sizes = np.sort(np.abs(differences), axis=0)
    return not ((np.diff(sizes, axis=0) == 0) & (sizes[1:] > 0)).any()


def _corrected(tests: list[dict[str, TestResult]]) -> list[dict[str, TestResult]]:
    """The tests of one family with Holm's and Benjamini-Hochberg's corrections over every p-value there is."""
    corrected = [dict(row) for row in tests]
    for name in tests[0]:
        known = [row for row in corrected if row[name].p_value is not None]
        raw = np.array([row[name].p_value for row in known], dtype=np.float64)
        for row, by_holm, by_bh in zip(known, holm(raw), benjamini_hochberg(raw), strict=True):
            row[name] = replace(row[name], p_holm=float(by_holm), p_bh=float(by_bh))
    return corrected


def paired_family(samples: list[Array], strata: Array, alpha: float, rng: np.random.Generator) -> FamilyTests:
    """All tests of one family of paired differences.

    `samples`: each hypothesis' differences, (M, E). `strata`: the same differences as (S, N, K), S strata of N episodes
    that are flipped together over K pairs; S * K hypotheses, in the order of `samples`.
    """
    if samples[0].shape[1] < MIN_EPISODES:
        return _too_few(samples[0].shape[1], len(samples), ("paired_t", "wilcoxon", "permutation"))
    needed, flipped = sign_flips_needed(alpha), strata.shape[1]
    observed, null, complete = resampling.paired_null(strata, rng)
    permutations = [TestResult(note=not_enough(flipped, needed))] * len(samples)
    if flipped >= needed:
        plain = resampling.plain_p_values(observed, null, complete=complete)
        permutations = [TestResult(float(x.mean()), float(p)) for x, p in zip(samples, plain, strict=True)]
    by_rotation = _attainable(flipped, alpha) < _WORST_ATTAINABLE * alpha and all(map(_continuous, strata))
    if by_rotation:
        observed, null, complete = resampling.paired_null(strata, rng, rotate=True)
    p_values = resampling.step_down_p_values(observed, null, complete=complete)
    if by_rotation:
        p_values = np.minimum(p_values * _ROTATION_FACTOR, 1)
    tests = [
        {"paired_t": paired_t(sample), "wilcoxon": wilcoxon(sample, alpha), "permutation": permutation}
        for sample, permutation in zip(samples, permutations, strict=True)
    ]
    return FamilyTests(_corrected(tests), list(p_values.tolist()), by_rotation)


def _too_few(episodes: int, hypotheses: int, names: tuple[str, ...]) -> FamilyTests:
    missing = TestResult(note=not_enough(episodes, MIN_EPISODES))
    return FamilyTests([dict.fromkeys(names, missing)] * hypotheses, [None] * hypotheses)


def unpaired_family(scores: Array, pairs: Indices, rng: np.random.Generator, *, pool_missions: bool) -> FamilyTests:
    """All tests of one family of unpaired (P, M, E) scores: of pairs over all missions, or of pairs in each mission."""
    _, missions, episodes = scores.shape
    samples = [scores] if pool_missions else [scores[:, [mission]] for mission in range(missions)]
    if episodes < MIN_EPISODES:
        return _too_few(episodes, len(samples) * pairs.shape[1], ("welch_t",))
    tests = [{"welch_t": welch_t(sample[i], sample[j])} for sample in samples for i, j in pairs.T]

    def statistics(means: Array, variances: Array) -> Array:
        if pool_missions:
            means, variances = means.mean(axis=-1)[..., None], variances.sum(axis=-1)[..., None] / missions**2
        result = resampling.welch_statistics(means, variances, episodes, pairs)
        return result.reshape(*result.shape[:-2], -1)

    means, variances = moments(scores)
    observed = statistics(means, variances)
    adjusted = resampling.step_down_p_values(
        observed, statistics(*resampling.normal_moments(variances, episodes, rng)), complete=False
    )
    if episodes < RELIABLE_EPISODES:
        shuffled = statistics(*resampling.shuffled_moments(scores, rng))
        adjusted = np.maximum(adjusted, resampling.step_down_p_values(observed, shuffled, complete=False))
    p_values = [
        float(p) if row["welch_t"].p_value is not None else None for p, row in zip(adjusted, tests, strict=True)
    ]
    return FamilyTests(_corrected(tests), p_values)
