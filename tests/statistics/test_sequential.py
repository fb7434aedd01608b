"""Playing in rounds: error rates held at every look, and episodes saved."""

import numpy as np
import pytest

from daf.statistics import SequentialComparison, fixed_sample_size, sequential_comparison

MARGIN = 0.5


def _play(rng: np.random.Generator, means: list[float], *, first: int, step: int, limit: int) -> SequentialComparison:
    """Play round after round until nothing is undecided; paired differences have a standard deviation of one."""
    seeds = rng.normal(size=limit)
    scores = rng.normal(size=(len(means), limit)) / np.sqrt(2) + seeds + np.array(means)[:, None]
    names = [f"p{number}" for number in range(len(means))]
    for episodes in range(first, limit + 1, step):
        result = sequential_comparison(scores[:, None, :episodes], names, margin=MARGIN)
        if result.finished:
            break
    return result


def test_a_difference_of_one_standard_deviation_takes_at_most_half_of_the_fixed_design() -> None:
    rng = np.random.default_rng(7)
    results = [_play(rng, [1, 0], first=10, step=1, limit=200) for _ in range(150)]
    assert np.mean([result.episodes_per_mission for result in results]) <= fixed_sample_size(0.5) / 2
    assert np.mean([result.pairs[0].decision == "first higher" for result in results]) >= 0.95


def test_six_policies_are_ranked_in_fewer_episodes_than_the_fixed_design() -> None:
    rng = np.random.default_rng(8)
    results = [_play(rng, [5, 4, 3, 2, 1, 0], first=10, step=2, limit=100) for _ in range(40)]
    corrected = fixed_sample_size(0.5, level=1 - 0.05 / 15)
    assert np.mean([result.episodes_per_mission for result in results]) <= corrected / 2
    assert all(pair.decision == "first higher" for result in results for pair in result.pairs)


@pytest.mark.parametrize("policies", [2, 4])
def test_equal_policies_are_called_different_in_at_most_five_percent(policies: int) -> None:
    """Looked at after every second episode up to 60; deciding early must not cost error rate."""
    rng = np.random.default_rng(9)
    results = [_play(rng, [0] * policies, first=10, step=2, limit=60) for _ in range(300)]
    wrong = [any("higher" in pair.decision for pair in result.pairs) for result in results]
    assert np.mean(wrong) <= 0.05


def test_a_difference_of_the_margin_is_called_equivalent_in_at_most_five_percent() -> None:
    rng = np.random.default_rng(10)
    results = [_play(rng, [MARGIN, 0], first=10, step=2, limit=100) for _ in range(300)]
    assert np.mean([result.pairs[0].decision == "equivalent" for result in results]) <= 0.05


def test_equal_policies_are_found_equivalent() -> None:
    result = _play(np.random.default_rng(11), [0, 0, 0], first=10, step=10, limit=400)
    assert [pair.decision for pair in result.pairs] == ["equivalent"] * 3
    assert result.finished
    assert all(abs(pair.difference.value) < MARGIN for pair in result.pairs)


def test_the_confidence_sequence_covers_the_difference_at_all_times() -> None:
    rng = np.random.default_rng(12)
    missed = 0
    for _ in range(200):
        scores = rng.normal(size=(2, 1, 60)) + np.array([0.3, 0])[:, None, None]
        looks = [sequential_comparison(scores[..., :n], "ab", margin=1).pairs[0].difference for n in range(10, 61, 5)]
        missed += any(look.interval is None or 0.3 not in look.interval for look in looks)
    assert missed / 200 <= 0.05


def test_a_decision_stands_while_the_others_play_on() -> None:
    rng = np.random.default_rng(13)
    scores = rng.normal(size=(3, 1, 120)) + np.array([2, 0, 0])[:, None, None]
    decisions = [
        [pair.decision for pair in sequential_comparison(scores[..., :n], "abc", margin=0.9).pairs]
        for n in range(10, 121, 5)
    ]
    for history in zip(*decisions, strict=True):
        decided = [decision for decision in history if decision != "undecided"]
        assert len(set(decided)) == 1
        assert list(history[-len(decided) :]) == decided


def test_missions_weigh_equally() -> None:
    """Better by 1 in one mission and worse by 1 in the other is no difference overall."""
    rng = np.random.default_rng(14)
    scores = rng.normal(size=(2, 2, 150)) / 4
    scores[0] += np.array([[1], [-1]])
    result = sequential_comparison(scores, "ab", margin=0.2)
    assert result.pairs[0].decision == "equivalent"
    assert result.pairs[0].difference.value == pytest.approx((scores[0] - scores[1]).mean())


def test_identical_policies_are_not_proven_equal_by_a_few_episodes() -> None:
    scores = np.repeat(np.random.default_rng(15).normal(size=(1, 1, 20)), 2, axis=0)
    early = sequential_comparison(scores[..., :19], "ab", margin=0.1)
    assert (early.pairs[0].decision, early.finished) == ("undecided", False)
    late = sequential_comparison(scores, "ab", margin=0.1)
    assert (late.pairs[0].decision, late.finished) == ("identical", True)
    assert (late.pairs[0].p_difference, late.pairs[0].p_equivalence) == (1, 1)


def test_a_constant_difference_is_a_difference() -> None:
    result = sequential_comparison([[[0.3] * 10], [[0.1] * 10]], "ab", margin=0.1)
    assert result.pairs[0].decision == "first higher"


def test_not_enough_episodes() -> None:
    scores = np.random.default_rng(0).normal(size=(2, 1, 9)) + np.array([9, 0])[:, None, None]
    result = sequential_comparison(scores, "ab", margin=0.1)
    assert result.note == "not enough episodes (9 of 10)"
    assert (result.finished, result.pairs[0].p_difference, result.pairs[0].difference.interval) == (False, 1, None)


def test_wrong_input() -> None:
    scores = np.zeros((2, 1, 12))
    for margin in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="margin must be positive"):
            sequential_comparison(scores, "ab", margin=margin)
    with pytest.raises(ValueError, match="shape"):
        sequential_comparison(scores[0], "ab", margin=1)
    with pytest.raises(ValueError, match="no sample size for an effect of 0"):
        fixed_sample_size(0)
    with pytest.raises(ValueError, match="a power of 1"):
        fixed_sample_size(0.5, power=1)
