"""The comparison as a whole: invariances, degenerate data, too little data, wrong input."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from daf.statistics import Comparison, Estimate, PairResult, compare, compare_two, mean_with_interval

POLICIES, MISSIONS = ("noop", "random", "starter"), ("mine", "arena")


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def _compare(
    scores: np.ndarray, policies: Sequence[str] = POLICIES, missions: Sequence[str] = MISSIONS, *, paired: bool = True
) -> Comparison:
    return compare(scores, policies, missions, rng=np.random.default_rng(3), paired=paired)


def _bounds(estimate: Estimate) -> tuple[float, float]:
    assert estimate.interval is not None
    return estimate.interval.low, estimate.interval.high


def _contains_itself(estimate: Estimate) -> bool:
    low, high = _bounds(estimate)
    return low <= estimate.value <= high


@pytest.fixture(scope="module")
def scores() -> np.ndarray:
    rng = np.random.default_rng(5)
    shared = rng.normal(size=(1, 2, 24))
    return shared + rng.exponential(size=(3, 2, 24)) + np.array([0, 0.1, 1.5])[:, None, None]


@pytest.fixture(scope="module")
def comparison(scores: np.ndarray) -> Comparison:
    return _compare(scores)


def _numbers(pair: PairResult) -> list[float]:
    assert pair.p_value is not None
    estimates = (pair.difference, pair.cohens_d, pair.hedges_g, pair.cliffs_delta)
    return [number for estimate in estimates for number in (estimate.value, *_bounds(estimate))] + [pair.p_value]


def test_everything_is_there(comparison: Comparison) -> None:
    scopes = (None, *MISSIONS)
    assert [(s.policy, s.mission) for s in comparison.summaries] == [(p, m) for m in scopes for p in POLICIES]
    assert [(p.first, p.second, p.mission) for p in comparison.pairs] == [
        (*names, m) for m in scopes for names in combinations(POLICIES, 2)
    ]
    assert comparison.warnings == ()
    for summary in comparison.summaries:
        assert _contains_itself(summary.mean)
        assert _contains_itself(summary.iqm)
        assert summary.episodes == (48 if summary.mission is None else 24)
    for pair in comparison.pairs:
        assert set(pair.tests) == {"paired_t", "wilcoxon", "permutation"}
        assert _contains_itself(pair.difference)
        assert _contains_itself(pair.cohens_d)
        assert pair.p_value is not None
        assert pair.significant == (pair.p_value <= 0.05)
    assert asdict(comparison)


def test_a_true_difference_is_found_and_an_absent_one_is_not(comparison: Comparison) -> None:
    assert comparison.pair("noop", "starter").decision.startswith("starter is higher than noop by 1.")
    assert comparison.pair("random", "starter", "arena").significant
    close = comparison.pair("noop", "random")
    assert not close.significant
    assert close.decision.startswith("no significant difference between noop and random (p = ")


def test_missions_weigh_equally(scores: np.ndarray, comparison: Comparison) -> None:
    for number, policy in enumerate(POLICIES):
        overall = comparison.summary(policy)
        by_mission = [comparison.summary(policy, mission) for mission in MISSIONS]
        assert overall.mean.value == pytest.approx(np.mean([s.mean.value for s in by_mission]))
        assert overall.iqm.value == pytest.approx(stats.trim_mean(scores[number], 0.25, axis=None))
        assert overall.std == pytest.approx(np.sqrt(scores[number].var(axis=1, ddof=1).mean()))


def test_the_difference_between_missions_is_not_noise(scores: np.ndarray, comparison: Comparison) -> None:
    """A mission that pays 1000 more moves the means; it does not widen an interval."""
    moved = _compare(scores + np.array([0, 1000])[None, :, None])
    for before, after in zip(comparison.pairs, moved.pairs, strict=True):
        assert _numbers(after) == pytest.approx(_numbers(before), abs=1e-9)
    width, width_before = (np.diff(_bounds(result.summary("noop").mean)) for result in (moved, comparison))
    assert width == pytest.approx(width_before)


def test_the_order_of_policies_does_not_matter(scores: np.ndarray, comparison: Comparison) -> None:
    turned = _compare(scores[::-1], POLICIES[::-1])
    for first, second in combinations(POLICIES, 2):
        there, back = comparison.pair(first, second), turned.pair(second, first)
        assert back.p_value == pytest.approx(there.p_value, abs=0.03)
        assert back.difference.value == pytest.approx(-there.difference.value)
        for name, near in (("difference", 0.05), ("cohens_d", 1e-6), ("cliffs_delta", 1e-6)):
            assert _bounds(getattr(back, name))[0] == pytest.approx(-_bounds(getattr(there, name))[1], abs=near)
        for name, test in there.tests.items():
            assert back.tests[name].p_value == pytest.approx(test.p_value)


def test_the_order_of_missions_does_not_matter(scores: np.ndarray, comparison: Comparison) -> None:
    turned = _compare(scores[:, ::-1], missions=MISSIONS[::-1])
    for pair in comparison.pairs:
        back = turned.pair(pair.first, pair.second, pair.mission)
        assert back.p_value == pytest.approx(pair.p_value, abs=0.03)
        assert back.tests["paired_t"].p_value == pytest.approx(pair.tests["paired_t"].p_value)
        assert _bounds(back.difference) == pytest.approx(_bounds(pair.difference), abs=0.06)


def test_the_unit_of_the_metric_does_not_matter(scores: np.ndarray, comparison: Comparison) -> None:
    scaled = _compare(scores * 1e-4 - 7)
    for before, after in zip(comparison.pairs, scaled.pairs, strict=True):
        assert after.p_value == pytest.approx(before.p_value, abs=0.03)
        assert after.cohens_d.value == pytest.approx(before.cohens_d.value)
        assert _bounds(after.difference)[0] == pytest.approx(_bounds(before.difference)[0] * 1e-4, abs=5e-6)


def test_pairing_pays(scores: np.ndarray) -> None:
    noisy = scores + 20 * np.random.default_rng(1).normal(size=(1, 2, 24))
    assert _compare(noisy).pair("noop", "starter").significant
    unpaired = _compare(noisy, paired=False).pair("noop", "starter")
    assert not unpaired.significant
    assert _bounds(unpaired.difference)[0] < 0 < _bounds(unpaired.difference)[1]


def test_one_mission_is_the_whole(scores: np.ndarray) -> None:
    result = _compare(scores[:, :1], missions=("mine",))
    for pair in result.pairs[:3]:
        assert _numbers(result.pair(pair.first, pair.second, "mine")) == _numbers(pair)


@pytest.mark.parametrize("paired", [True, False])
def test_equal_constants(paired: bool) -> None:
    result = _compare(np.full((3, 2, 8), 0.1), paired=paired)
    for pair in result.pairs:
        assert pair.decision == "identical in every episode"
        assert (pair.p_value, pair.significant, pair.difference.value, pair.cohens_d.value) == (1, False, 0, 0)
        assert all(test.p_value == 1 for test in pair.tests.values())
        assert pair.probability_of_improvement.value == 0.5
    assert result.summary("noop").std == 0
    assert "the same score in every episode" in result.summary("noop").warnings


def test_identical_policies_among_others(scores: np.ndarray) -> None:
    result = _compare(np.concatenate([scores[:2], scores[:1] + 1e-15]))
    assert result.pair("noop", "starter").decision == "identical in every episode"
    assert result.pair("noop", "starter").p_value == 1
    low, high = _bounds(result.pair("noop", "starter").difference)
    assert -low == pytest.approx(high)
    assert result.pair("noop", "random").decision != "identical in every episode"


def test_a_constant_difference_has_no_interval_and_no_verdict() -> None:
    """Sixteen equal scores of 0 or 1 happen in 19 % where the mean is 0.1: they do not say that it is 0."""
    result = compare_two(np.full(16, 0.3), np.full(16, 0.1), rng=np.random.default_rng(0))
    assert result.tests["paired_t"].note == "the difference is the same in every episode"
    assert result.decision == "cannot tell: the difference is the same in every episode"
    assert (result.p_value, result.significant, result.difference.interval) == (None, False, None)
    assert result.cohens_d == Estimate(np.inf)
    assert result.cliffs_delta.value == 1


def test_a_constant_difference_is_held_against_the_spread_of_the_others() -> None:
    """What was not seen in 16 episodes has a probability of at most 1 - alpha^(1/16), and lies within what was seen."""
    noise = np.random.default_rng(2).uniform(-0.5, 0.5, 16)
    for gap, higher in ((0.5, True), (0.1, False)):
        scores = np.stack([np.full(16, gap), np.zeros(16), noise])[:, None]
        pair = compare(scores, "abc", ["m"], rng=np.random.default_rng(0)).pair("a", "b")
        low, high = _bounds(pair.difference)
        assert (pair.significant, low > 0) == (higher, higher)
        assert (high - low) / 2 == pytest.approx(np.ptp(noise) * (1 - 0.05 ** (1 / 16)), rel=0.5)
        assert "never varied" in pair.warnings[-1]


def test_a_declared_range_speaks_where_nothing_varies() -> None:
    scores = np.broadcast_to(np.array([0.9, 0.1, 0.1])[:, None, None], (3, 1, 40))
    result = compare(scores, "abc", ["m"], rng=np.random.default_rng(0), score_range=(0, 1))
    pair = result.pair("a", "b")
    assert pair.significant
    assert 0 < _bounds(pair.difference)[0] < 0.8 < _bounds(pair.difference)[1] <= 1
    alike = result.pair("b", "c")
    assert (alike.decision, alike.p_value) == ("identical in every episode", 1)
    assert _bounds(alike.difference)[0] < 0 < _bounds(alike.difference)[1]
    assert 0 <= _bounds(result.summary("b").mean)[0] < 0.1 < _bounds(result.summary("b").mean)[1] < 0.4


def test_a_score_outside_the_declared_range_is_refused() -> None:
    for wrong, words in (((0, 1), "a score of 2 lies outside the declared range of 0 to 1"), ((1, 1), "a range of")):
        with pytest.raises(ValueError, match=words):
            compare(np.full((2, 1, 8), 2.0), "ab", ["m"], rng=np.random.default_rng(0), score_range=wrong)


@pytest.mark.parametrize("paired", [True, False])
def test_verdict_and_interval_never_contradict_each_other(paired: bool) -> None:
    """In the p-value's last digit they could; an interval excludes 0 exactly where the pair is significant."""
    rng, significant = np.random.default_rng(8), 0
    for _ in range(12):
        scores = rng.exponential(size=(4, 2, 8)) + np.linspace(0, 2, 4)[:, None, None]
        for pair in compare(scores, "abcd", "mn", rng=rng, paired=paired).pairs:
            low, high = _bounds(pair.difference)
            assert pair.significant == (not low <= 0 <= high)
            significant += pair.significant
    assert 20 < significant < 200


def test_different_constants_unpaired() -> None:
    constants = np.broadcast_to(np.array([0.1, 0.2, 0.2])[:, None, None], (3, 2, 8))
    pair = _compare(constants, paired=False).pair("noop", "random")
    assert (pair.p_value, pair.significant) == (None, False)
    assert pair.decision == "cannot tell: the difference is the same in every episode"


def test_success_rates_get_no_false_interval_for_the_iqm() -> None:
    wins = np.array([1.0] * 18 + [0.0] * 2)
    result = compare(wins[None, None], ["a"], ["m"], rng=np.random.default_rng(0)).summary("a")
    assert result.iqm == Estimate(1.0)
    assert result.warnings == ("no interval for the IQM: its resamples do not vary",)
    assert 0.4 < _bounds(result.mean)[0] < 0.7  # Clopper and Pearson (1934): 0.68


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("episodes", [1, 2, 4])
def test_not_enough_episodes(scores: np.ndarray, episodes: int, paired: bool) -> None:
    result = _compare(scores[..., :episodes], paired=paired)
    message = f"not enough episodes ({episodes} of 5)"
    assert result.warnings == (message,)
    for pair in result.pairs:
        assert (pair.decision, pair.p_value, pair.significant) == (message, None, False)
        assert all((test.p_value, test.p_holm, test.note) == (None, None, message) for test in pair.tests.values())
        assert pair.difference.interval is pair.cohens_d.interval is pair.cliffs_delta.interval is None
    assert result.summary("noop").mean.interval is None


def test_five_episodes_have_a_verdict_but_no_sign_flip_test(scores: np.ndarray) -> None:
    pair = _compare(scores[:, :1, :5], missions=["m"]).pair("noop", "starter")
    assert pair.tests["permutation"].note == "not enough episodes (5 of 6)"
    assert pair.tests["wilcoxon"].note == "not enough episodes (5 of 6) with a difference"
    assert pair.tests["paired_t"].p_value is not None
    assert pair.p_value is not None
    assert pair.warnings == ("5 episodes: intervals are only reliable from 20 on",)


def test_one_symmetric_difference_is_tested_by_students_t() -> None:
    """With one pair, no skewness and enough episodes nothing is added to the paired t-test."""
    half = np.array([0.1, 0.4, 0.5, 0.9, 1.3, 1.4, 2.0, 2.2])
    difference = 0.7 + np.concatenate([half, -half])
    result = compare_two(difference, np.zeros(16), rng=np.random.default_rng(0))
    expected = stats.ttest_1samp(difference, 0)
    assert result.p_value == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval(0.95)
    assert _bounds(result.difference) == pytest.approx((low, high))


def test_few_episodes_need_more_than_students_t() -> None:
    difference = np.array([1.0, 2.5, 0.3, -0.2, 1.9])
    result = compare_two(difference, np.zeros(5), rng=np.random.default_rng(0))
    assert result.p_value is not None
    assert result.p_value > 1.2 * stats.ttest_1samp(difference, 0).pvalue


def test_missions_and_overall_are_two_families(scores: np.ndarray) -> None:
    """More missions make the mission family larger and its intervals wider, whatever the missions say."""
    one, many = scores[:, :1], np.concatenate([scores[:, :1], np.random.default_rng(4).normal(size=(3, 7, 24))], axis=1)
    alone = _compare(one, missions=["m0"]).pair("noop", "random", "m0").difference
    among = _compare(many, missions=[f"m{i}" for i in range(8)]).pair("noop", "random", "m0").difference
    assert _bounds(among)[0] < _bounds(alone)[0] < _bounds(alone)[1] < _bounds(among)[1]


def test_wilcoxon_counts_the_episodes_that_differ() -> None:
    first = np.array([1.0, 2.0, 3.5, 0, 0, 0, 0, 0, 0, 0])
    test = compare_two(first, np.zeros(10), rng=np.random.default_rng(0)).tests["wilcoxon"]
    assert test.note == "not enough episodes (3 of 6) with a difference"


def test_few_episodes_carry_a_warning(scores: np.ndarray) -> None:
    result = _compare(scores[..., :12])
    assert result.summary("noop").warnings == ()
    assert result.summary("noop", "mine").warnings == ("12 episodes: intervals are only reliable from 20 on",)
    assert result.warnings == ("12 episodes: intervals are only reliable from 20 on",)


def test_one_policy_has_summaries_only(scores: np.ndarray) -> None:
    result = _compare(scores[:1], ["noop"])
    assert len(result.summaries) == 3
    assert result.pairs == ()


def test_mean_with_interval(scores: np.ndarray, comparison: Comparison) -> None:
    result = mean_with_interval(scores[0, 0])
    there = comparison.summary("noop", "mine").mean
    assert result.value == pytest.approx(there.value)
    assert _bounds(result) == pytest.approx(_bounds(there))
    assert mean_with_interval([1, 2, 4]).interval is None


def test_the_same_seed_gives_the_same_numbers(scores: np.ndarray, comparison: Comparison) -> None:
    assert _compare(scores) == comparison


def test_wrong_input(scores: np.ndarray) -> None:
    def fails(
        message: str, array: np.ndarray, policies: Sequence[str], missions: Sequence[str], level: float = 0.95
    ) -> None:
        with pytest.raises(ValueError, match=message):
            compare(array, policies, missions, rng=np.random.default_rng(0), level=level)

    hole = scores.copy()
    hole[1, 0, 5] = np.nan
    fails("nan at policy 'random', mission 'mine', episode 5", hole, POLICIES, MISSIONS)
    fails(r"shape \(policies, missions, episodes\), not \(3, 24\)", scores[:, 0], POLICIES, MISSIONS)
    fails(r"not \(3, 2, 0\)", scores[..., :0], POLICIES, MISSIONS)
    fails("2 policy names for 3 rows", scores, POLICIES[:2], MISSIONS)
    fails("1 mission names for 2 rows", scores, POLICIES, MISSIONS[:1])
    fails("policy names must differ: a, b, a", scores, "aba", MISSIONS)
    fails("level must lie between 0.5 and 1, not 95", scores, POLICIES, MISSIONS, level=95)
    with pytest.raises(ValueError, match="two samples of equal length"):
        compare_two([1, 2, 3], [1, 2], rng=np.random.default_rng(0))
    with pytest.raises(KeyError, match="no pair 'starter', 'noop'"):
        _compare(scores).pair("starter", "noop")
    with pytest.raises(KeyError, match="no summary of 'sarter'"):
        _compare(scores).summary("sarter")


def test_scores_of_few_values_keep_finite_intervals() -> None:
    """Scores of a real tournament: most are equal, and a constant has none."""
    low, middle, high = -0.3071536036829154, -0.0922001463671525, -0.0755334657927354
    scores = [[[0.0] * 7], [[middle, low, high, low, low, low, low]], [[-0.2488, high, low, low, low, high, -0.2488]]]
    result = compare(scores, "abc", ["m"], rng=np.random.default_rng(0))
    assert result.summary("a").mean.interval is None
    for estimate in (*(result.summary(name).mean for name in "bc"), *(pair.difference for pair in result.pairs)):
        assert -2 < _bounds(estimate)[0] <= _bounds(estimate)[1] < 2


def test_mean_with_interval_of_several_missions_is_that_of_a_summary() -> None:
    sample = np.random.default_rng(6).normal([[0.0], [10.0]], [[1.0], [3.0]], (2, 12))
    result = mean_with_interval(sample)
    summary = compare(sample[None], ["p"], ["a", "b"], rng=np.random.default_rng(1)).summary("p")
    assert result.interval == summary.mean.interval
    assert result.value == pytest.approx(sample.mean())


def test_many_episodes_are_compared() -> None:
    """More assignments of signs than a float can count."""
    scores = np.random.default_rng(2).normal(size=(2, 1, 1025)) + np.array([1.0, 0.0])[:, None, None]
    assert _compare(scores, ("a", "b"), ("m",)).pair("a", "b").significant
