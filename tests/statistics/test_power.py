"""How many are needed: published figures, simulated power, and what a pilot knows."""

import numpy as np
import pytest
from scipy import stats

from daf.statistics import episodes_needed, trainings_needed
from daf.statistics.algorithms import crossed_difference
from daf.statistics.power import (
    CrossedSpread,
    Spread,
    crossed_spread,
    paired_spread,
    smallest_size,
    unpaired_spread,
    variance_factors,
)

PAIRED, UNPAIRED = Spread(variance=1, freedom=1, known=1), Spread(variance=2, freedom=2, known=1)


def _size(spread: Spread, effect: float, power: float, alpha: float = 0.05) -> int | None:
    return smallest_size(lambda sizes: spread.power(effect, sizes, alpha), power, 2, 10**6)


def test_sizes_are_those_of_cohen_and_gpower() -> None:
    """Cohen (1988), table 2.4.1: 393, 64 and 26 a group for 0.2, 0.5 and 0.8 at two-sided 5 % and 80 %.

    G*Power 3 (Faul et al. 2007), which computes what Cohen approximated: 394, 64, 26; matched pairs 199, 34, 15, and
    at 95 % power 327, 54, 23.
    """
    assert [_size(UNPAIRED, effect, 0.8) for effect in (0.2, 0.5, 0.8)] == [394, 64, 26]
    assert [_size(PAIRED, effect, 0.8) for effect in (0.2, 0.5, 0.8)] == [199, 34, 15]
    assert [_size(PAIRED, effect, 0.95) for effect in (0.2, 0.5, 0.8)] == [327, 54, 23]


def test_the_search_ends_at_both_ends() -> None:
    assert _size(PAIRED, 1e6, 0.8) == 2
    assert _size(PAIRED, 1e-9, 0.8) is None


def test_the_power_over_missions_is_the_share_of_tests_that_find_the_difference() -> None:
    """Two missions, the second with four times the spread; 12 episodes each."""
    rng, sd = np.random.default_rng(1), np.array([0.5, 2.0])[:, None]
    pilot = rng.normal(size=(2, 20_000)) * sd
    spread = paired_spread(pilot, np.zeros_like(pilot))
    assert spread is not None
    assert spread.variance == pytest.approx((0.25 + 4) / 4, rel=0.02)
    assert spread.freedom == pytest.approx(4.25**2 / (0.25**2 + 16), rel=0.02)
    played = 0.8 + rng.normal(size=(20_000, 2, 12)) * sd
    value = played.mean(axis=(1, 2))
    cells = played.var(axis=2, ddof=1) / 12 / 4
    variance = cells.sum(axis=1)
    freedom = 11 * variance**2 / (cells**2).sum(axis=1)  # Satterthwaite (1946)
    found = np.mean(2 * stats.t.sf(np.abs(value) / np.sqrt(variance), freedom) <= 0.05)
    assert spread.power(0.8, np.array([12.0]), 0.05)[0] == pytest.approx(found, abs=0.015)


def test_the_power_of_trainings_is_the_share_of_tests_that_find_the_difference() -> None:
    rng, trainings, episodes = np.random.default_rng(2), 6, 16
    spread = CrossedSpread(trainings=(0.09, 0.09), rests=(0.25, 0.25), seeds=0.5, known=1, episodes=episodes)

    def played(mean: float) -> np.ndarray:
        shared = rng.normal(0, 0.5, (1, episodes))  # in each algorithm its own: together the 0.5 of the spread
        return mean + shared + rng.normal(0, 0.3, (trainings, 1)) + rng.normal(0, 0.5, (trainings, episodes))

    p_values = [crossed_difference(played(0.8), played(0.0), 0.95)[1] for _ in range(1500)]
    found = np.mean([p is not None and p <= 0.05 for p in p_values])
    assert spread.power(0.8, np.array([float(trainings)]), 0.05)[0] == pytest.approx(found, abs=0.03)


def test_the_variances_behind_trainings_are_found_again() -> None:
    rng = np.random.default_rng(3)

    def pilot(own: float) -> np.ndarray:
        seeds, trainings = rng.normal(0, 0.6, (1, 200)), rng.normal(0, own, (200, 1))
        return seeds + trainings + rng.normal(0, 0.4, (200, 200))

    found = crossed_spread(pilot(0.3), pilot(0.5))
    assert found is not None
    assert found.trainings == pytest.approx((0.09, 0.25), rel=0.15)
    assert found.rests == pytest.approx((0.16, 0.16), rel=0.05)
    assert found.seeds == pytest.approx(0.72, rel=0.2)


def test_the_gain_of_the_same_seeds() -> None:
    """With a correlation of 0.9, pairing leaves a tenth of the variance, and so a tenth of the episodes."""
    rng = np.random.default_rng(4)
    shared = rng.normal(0, np.sqrt(0.9), (1, 1, 4000))
    scores = shared + rng.normal(0, np.sqrt(0.1), (2, 1, 4000))
    (needed,) = episodes_needed(scores, "ab", [0.1], power=0.8, level=0.95)
    assert needed.correlation == pytest.approx(0.9, abs=0.01)
    assert needed.paired is not None and needed.unpaired is not None
    assert needed.paired.value is not None and needed.unpaired.value is not None
    assert needed.unpaired.value / needed.paired.value == pytest.approx(10, rel=0.1)


def test_pairs_share_the_error_rate() -> None:
    scores = np.random.default_rng(5).normal(size=(3, 1, 20))
    first, *_ = episodes_needed(scores, "abc", [0.5], power=0.8, level=0.95)
    (alone,) = episodes_needed(scores[:2], "ab", [0.5], power=0.8, level=1 - 0.05 / 3)
    assert first.paired is not None and alone.paired is not None
    assert first.paired.value == alone.paired.value
    assert first.paired_spread == paired_spread(*scores[:2])


@pytest.mark.parametrize(("draw", "least"), [("normal", 0.93), ("exponential", 0.85)])
def test_the_bounds_hold_what_the_true_spread_needs(draw: str, least: float) -> None:
    rng = np.random.default_rng(6)
    covered = 0
    for _ in range(400):
        spread = unpaired_spread(*(getattr(rng, draw)(size=(1, 20)) for _ in range(2)))
        assert spread is not None
        low, high = (spread.variance * factor for factor in variance_factors(spread.known, 0.95))
        covered += low <= 2 <= high
    assert covered / 400 >= least


def test_a_pilot_without_spread_says_nothing() -> None:
    scores = np.random.default_rng(7).normal(size=(2, 1, 8))
    scores[1] = scores[0] + 1 / 3
    (needed,) = episodes_needed(scores, "ab", [0.5], power=0.8, level=0.95)
    assert (needed.paired_spread, needed.paired) == (None, None)
    assert needed.unpaired is not None
    (flat,) = trainings_needed({"a": np.ones((3, 1, 8)), "b": np.ones((1, 1, 8))}, [1], [8], power=0.8, level=0.95)
    assert (flat.spread, flat.needs) == (None, {})


def test_no_number_of_trainings_makes_up_for_too_few_seeds() -> None:
    rng = np.random.default_rng(8)
    pilot = {
        name: rng.normal(0, 1, (1, 1, 16)) + rng.normal(0, 0.1, (5, 1, 1)) + rng.normal(0, 0.1, (5, 1, 16))
        for name in "ab"
    }
    (needed,) = trainings_needed(pilot, [0.3], [16, 4096], power=0.8, level=0.95)
    assert needed.needs[16].value is None
    assert needed.needs[4096].value is not None


def test_policies_that_do_not_train_need_no_trainings() -> None:
    scores = {"a": np.ones((1, 1, 8)), "b": np.zeros((1, 1, 8))}
    assert trainings_needed(scores, [1], [8], power=0.8, level=0.95) == ()


@pytest.mark.parametrize("power", [0.05, 1.0])
def test_a_power_that_is_none(power: float) -> None:
    with pytest.raises(ValueError, match="power must lie between"):
        episodes_needed(np.zeros((2, 1, 8)), "ab", [1], power=power, level=0.95)
