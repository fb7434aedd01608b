"""Single methods against published tables, hand-computed values and scipy."""

import numpy as np
import pytest
from scipy import integrate, stats

from daf.statistics import compare, compare_two, fixed_sample_size, performance_profiles
from daf.statistics.estimates import hedges_correction
from daf.statistics.sequential import inverse_bayes_factor
from daf.statistics.significance import benjamini_hochberg, holm, sign_flips_needed

# Student (1908), extra hours of sleep of ten patients under two drugs; the t-tests are those of R's ?sleep.
SLEEP_1 = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
SLEEP_2 = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
# Darwin's maize, differences in height of 15 pairs (Fisher 1935, The Design of Experiments, chapter III).
MAIZE = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48], dtype=float)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


def test_sleep_paired(rng: np.random.Generator) -> None:
    result = compare_two(SLEEP_1, SLEEP_2, rng=rng)
    test = result.tests["paired_t"]
    assert test.statistic == pytest.approx(-4.0621, abs=1e-4)
    assert test.p_value == pytest.approx(0.002833, abs=1e-6)
    assert result.difference.value == pytest.approx(-1.58)
    assert result.difference.interval is not None
    assert result.difference.interval.low < -2.459886 + 1e-6 < -0.7001142 - 1e-6 < result.difference.interval.high
    assert result.cohens_d.value == pytest.approx(-1.58 / np.sqrt((1.78901**2 + 2.00225**2) / 2), abs=1e-4)
    assert result.hedges_g.value == pytest.approx(result.cohens_d.value * (1 - 3 / (4 * 18 - 1)), abs=1e-3)
    assert result.decision == "second is higher than first by 1.58 (p = 0.010 after correction)"


def test_sleep_unpaired(rng: np.random.Generator) -> None:
    scores = np.stack([SLEEP_1, SLEEP_2])[:, None]
    result = compare(scores, ["a", "b"], ["sleep"], rng=rng, paired=False).pair("a", "b")
    assert set(result.tests) == {"welch_t"}
    assert result.tests["welch_t"].statistic == pytest.approx(-1.8608, abs=1e-4)
    assert result.tests["welch_t"].p_value == pytest.approx(0.07939, abs=1e-5)
    assert result.p_value == pytest.approx(0.079, abs=0.012)
    assert not result.significant


def test_sleep_against_scipy(rng: np.random.Generator) -> None:
    tests = compare_two(SLEEP_1, SLEEP_2, rng=rng).tests
    assert tests["wilcoxon"].p_value == pytest.approx(stats.wilcoxon(SLEEP_1, SLEEP_2).pvalue)
    flips = stats.permutation_test(
        (SLEEP_1, SLEEP_2), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=10_000
    )
    assert tests["permutation"].p_value == pytest.approx(flips.pvalue)
    assert tests["permutation"].statistic == pytest.approx(flips.statistic)


def test_fishers_permutation_of_darwins_maize(rng: np.random.Generator) -> None:
    """Fisher counted 863 of 32768 sign assignments as extreme in one direction; t = 2.148."""
    result = compare_two(MAIZE, np.zeros(15), rng=rng)
    assert result.tests["paired_t"].statistic == pytest.approx(2.148, abs=1e-3)
    assert result.tests["permutation"].p_value == pytest.approx(2 * 863 / 32768, abs=0.008)


def test_holm_and_benjamini_hochberg_by_hand() -> None:
    p_values = np.array([0.01, 0.04, 0.03, 0.005])
    assert holm(p_values) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert benjamini_hochberg(p_values) == pytest.approx([0.02, 0.04, 0.04, 0.02])


def test_corrections_span_all_pairs(rng: np.random.Generator) -> None:
    scores = rng.normal(size=(4, 1, 12)) + np.arange(4)[:, None, None] / 2
    pairs = [pair for pair in compare(scores, "abcd", ["m"], rng=rng).pairs if pair.mission is None]
    for name in ("paired_t", "wilcoxon", "permutation"):
        raw = np.array([pair.tests[name].p_value for pair in pairs])
        assert [pair.tests[name].p_holm for pair in pairs] == pytest.approx(holm(raw))
        assert [pair.tests[name].p_bh for pair in pairs] == pytest.approx(stats.false_discovery_control(raw))
    for pair in pairs:
        assert pair.p_value is not None and pair.tests["permutation"].p_value is not None
        assert pair.p_value >= pair.tests["permutation"].p_value


def test_cliffs_delta_by_hand(rng: np.random.Generator) -> None:
    """2 beats 1; 4 and 4 beat 1 and 3 and tie with 4; 6 beats four and ties with 6; 7 beats all: 14 wins, 3 ties."""
    result = compare_two([2, 4, 4, 6, 7], [1, 3, 4, 5, 6], rng=rng)
    assert result.cliffs_delta.value == pytest.approx((14 - 8) / 25)
    assert result.probability_of_improvement.value == pytest.approx((14 + 3 / 2) / 25)


def test_probability_of_improvement_is_mann_whitney(rng: np.random.Generator) -> None:
    scores = rng.poisson(3, (2, 3, 15)).astype(float)
    expected = np.mean([stats.mannwhitneyu(*scores[:, mission]).statistic / 15**2 for mission in range(3)])
    result = compare(scores, "ab", "xyz", rng=rng).pair("a", "b")
    assert result.probability_of_improvement.value == pytest.approx(expected)


def test_complete_dominance_keeps_an_interval(rng: np.random.Generator) -> None:
    """Feng and Cliff (2004): the inner bound is (n - t^2) / (n + t^2)."""
    result = compare_two(rng.uniform(2, 3, 20), rng.uniform(0, 1, 20), rng=rng).cliffs_delta
    reach = stats.t.ppf(0.975, 19) ** 2
    assert result.value == 1
    assert result.interval is not None
    assert (result.interval.low, result.interval.high) == pytest.approx(((20 - reach) / (20 + reach), 1))


def test_hedges_correction_against_his_table() -> None:
    """Hedges (1981), table 1: c(2) = 0.5642, c(10) = 0.9228, c(20) = 0.9619."""
    assert [hedges_correction(m) for m in (2, 10, 20)] == pytest.approx([0.5642, 0.9228, 0.9619], abs=1e-4)


def test_iqm_drops_a_quarter_at_each_end(rng: np.random.Generator) -> None:
    scores = np.array([[[-100, 1, 2, 3, 4, 5, 6, 900], [0, 0, 1, 1, 3, 3, 50, 50]]], dtype=float)
    summary = compare(scores, ["a"], ["x", "y"], rng=rng)
    assert summary.summary("a", "x").iqm.value == 3.5
    assert summary.summary("a").iqm.value == np.mean([1, 1, 2, 3, 3, 3, 4, 5])  # pooled, as rliable does


def test_missions_are_blocks_in_every_test(rng: np.random.Generator) -> None:
    """Satterthwaite's t and the stratified signed ranks, written out; a mission's level cancels."""
    scores = rng.normal(size=(2, 2, 9)) + np.array([0, 50])[None, :, None]
    result = compare(scores, "ab", "xy", rng=rng).pair("a", "b")
    difference = scores[0] - scores[1]
    cells = difference.var(axis=1, ddof=1) / 9 / 4
    statistic = difference.mean() / np.sqrt(cells.sum())
    p_value = 2 * stats.t.sf(abs(statistic), 8 * cells.sum() ** 2 / (cells**2).sum())
    assert result.tests["paired_t"].p_value == pytest.approx(p_value)
    ranks = np.sign(difference) * stats.rankdata(np.abs(difference), axis=1)
    deviate = ranks.sum() / np.sqrt((ranks**2).sum())
    assert result.tests["wilcoxon"].p_value == pytest.approx(2 * stats.norm.sf(abs(deviate)))


def test_performance_profile_by_hand() -> None:
    profile = performance_profiles([[[0, 1, 2, 3], [2, 2, 2, 2]]], ["a"], [-1, 1, 2, 3])
    assert profile.fractions == ((1.0, 0.75, 0.125, 0.0),)
    wilson = stats.binomtest(6, 8).proportion_ci(method="wilson")
    assert (profile.low[0][1], profile.high[0][1]) == pytest.approx((wilson.low, wilson.high))


def test_sample_size_is_that_of_gpower() -> None:
    """G*Power 3 (Faul et al. 2007), matched pairs, dz = 0.5, two-sided 5 %: 34, 44 and 54 for 80, 90 and 95 % power."""
    assert [fixed_sample_size(0.5, power=power) for power in (0.8, 0.9, 0.95)] == [34, 44, 54]


def test_bayes_factor_is_the_mixture_of_noncentral_t() -> None:
    """Gonen et al. (2005): the t density averaged over a standard normal effect size, over the central density."""
    mean, variance, count = 0.7, 1.3, 12
    t = mean / np.sqrt(variance / (count - 1))
    mixed, _ = integrate.quad(
        lambda d: stats.nct.pdf(t, count - 1, d * np.sqrt(count)) * stats.norm.pdf(d), -6, 6, epsabs=1e-12
    )
    found = inverse_bayes_factor(np.array(mean), np.array(variance), np.array(count))
    assert float(found) == pytest.approx(stats.t.pdf(t, count - 1) / mixed, rel=1e-6)


def test_sign_flips_needed() -> None:
    assert [sign_flips_needed(alpha) for alpha in (0.1, 0.05, 0.01, 0.001)] == [5, 6, 8, 11]
