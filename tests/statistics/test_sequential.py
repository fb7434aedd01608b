"""Playing in rounds: error rates held at every look, and episodes saved."""

import numpy as np
import pytest

from daf.statistics import Estimate, SequentialComparison, fixed_sample_size, sequential_comparison

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


def _bounds(estimate: Estimate) -> tuple[float, float]:
    assert estimate.interval is not None
    return estimate.interval.low, estimate.interval.high


def test_a_difference_of_one_standard_deviation_takes_at_most_half_of_the_fixed_design() -> None:
    rng = np.random.default_rng(7)
    results = [_play(rng, [1, 0], first=10, step=1, limit=200) for _ in range(150)]
    assert np.mean([result.episodes_per_mission for result in results]) <= fixed_sample_size(0.5) / 2
    assert np.mean([result.pairs[0].decision == "first higher" for result in results]) >= 0.95


def test_six_policies_are_ranked_in_fewer_episodes_than_the_fixed_design() -> None:
    rng = np.random.default_rng(8)
    results = [_play(rng, [5, 4, 3, 2, 1, 0], first=10, step=2, limit=100) for _ in range(40)]
    corrected = fixed_sample_size(0.5, level=1 - 0.05 / 15)
    assert np.mean([result.episodes_per_mission for result in results]) <= 0.55 * corrected
    assert all(pair.decision == "first higher" for result in results for pair in result.pairs)


@pytest.mark.parametrize("policies", [2, 4])
def test_equal_policies_are_called_different_in_at_most_five_percent(policies: int) -> None:
    """Looked at after every episode up to 200, which is what the running p-values of the last look hold."""
    rng = np.random.default_rng(9)
    names = [f"p{number}" for number in range(policies)]
    results = [sequential_comparison(rng.normal(size=(policies, 1, 200)), names, margin=1e-6) for _ in range(300)]
    wrong = [any("higher" in pair.decision for pair in result.pairs) for result in results]
    assert np.mean(wrong) <= 0.05


def test_a_difference_of_the_margin_is_called_equivalent_in_at_most_five_percent() -> None:
    rng = np.random.default_rng(10)
    lead = np.array([MARGIN, 0])[:, None, None]
    results = [sequential_comparison(rng.normal(size=(2, 1, 200)) + lead, "ab", margin=MARGIN) for _ in range(300)]
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
        looks = [sequential_comparison(scores[..., :n], "ab", margin=1).pairs[0].difference for n in range(20, 61, 5)]
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
    """An outcome that moves the mean by a tenth of the spread is missed by 25 episodes in 7 %."""
    scores = np.repeat(np.linspace(0, 1, 40).reshape(8, 5).T.reshape(1, 1, 40), 2, axis=0)
    early = sequential_comparison(scores[..., :25], "ab", margin=0.1)
    assert (early.pairs[0].decision, early.finished) == ("undecided", False)
    late = sequential_comparison(scores, "ab", margin=0.1)
    assert (late.pairs[0].decision, late.finished) == ("identical", True)
    assert late.pairs[0].p_difference == 1
    assert late.pairs[0].p_equivalence == pytest.approx(0.9**40, rel=0.3)


def test_rare_rewards_are_not_called_nothing() -> None:
    """A reward of 1 in 3 % of the episodes against 0, margin 0.01: as long as none is seen, nothing is said."""
    rng, wrong = np.random.default_rng(16), 0
    for _ in range(100):
        scores = np.stack([(rng.random(200) < 0.03).astype(float), np.zeros(200)])[:, None]
        results = [sequential_comparison(scores[..., :n], "ab", margin=0.01) for n in range(20, 201, 20)]
        wrong += any(result.pairs[0].decision in ("identical", "equivalent", "second higher") for result in results)
    assert wrong <= 5


def test_scores_without_spread_ask_for_their_range() -> None:
    scores = np.array([[[0.3] * 40], [[0.1] * 40]])
    result = sequential_comparison(np.repeat(scores[:1], 2, axis=0), "ab", margin=0.1)
    assert result.pairs[0].decision == "undecided"
    assert "comparison.range" in result.note
    apart = sequential_comparison(scores, "ab", margin=0.1)
    assert (apart.pairs[0].decision, apart.pairs[0].difference.interval) == ("undecided", None)
    known = sequential_comparison(scores, "ab", margin=0.1, score_range=(0, 1))
    assert (known.pairs[0].decision, known.note) == ("first higher", "")


def test_not_enough_episodes() -> None:
    scores = np.random.default_rng(0).normal(size=(2, 1, 19)) + np.array([9, 0])[:, None, None]
    result = sequential_comparison(scores, "ab", margin=0.1)
    assert result.note == "not enough episodes (19 of 20)"
    assert (result.finished, result.pairs[0].p_difference, result.pairs[0].difference.interval) == (False, 1, None)


@pytest.mark.parametrize("score_range", [None, (0, 10)], ids=["asymptotic", "bets"])
def test_decision_and_interval_agree_at_every_look(score_range: tuple[float, float] | None) -> None:
    rng, decided = np.random.default_rng(17), 0
    for _ in range(15):
        scores = np.minimum(rng.exponential(size=(3, 1, 120)) + np.array([1.5, 0, 0])[:, None, None], 10)
        for episodes in range(20, 121, 20):
            result = sequential_comparison(scores[..., :episodes], "abc", margin=0.8, score_range=score_range)
            for pair in result.pairs:
                assert pair.difference.interval is not None
                apart, within = 0 not in pair.difference.interval, max(map(abs, _bounds(pair.difference))) < 0.8
                assert ("higher" in pair.decision) <= apart
                assert (pair.decision in ("equivalent", "identical")) <= within
                assert (pair.decision == "undecided") <= (not apart)
                decided += pair.decision != "undecided"
    assert decided > 40


@pytest.mark.parametrize("name", ["exponential", "lognormal", "Bernoulli"])
def test_stopping_holds_its_level_against_a_constant_of_the_same_mean(name: str) -> None:
    rng, wrong, rounds = np.random.default_rng(18), 0, 200
    for _ in range(rounds):
        drawn = {
            "exponential": rng.exponential(size=200) - 1,
            "lognormal": rng.lognormal(size=200) - np.exp(0.5),
            "Bernoulli": (rng.random(200) < 0.1) - 0.1,
        }[name]
        result = sequential_comparison(np.stack([drawn, np.zeros(200)])[:, None], "ab", margin=1e-6)
        wrong += "higher" in result.pairs[0].decision
    assert wrong / rounds <= 0.06 + 2.5 * np.sqrt(0.05 * 0.95 / rounds)


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
