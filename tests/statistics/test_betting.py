"""Bets against the means of bounded scores."""

import math

import numpy as np
import pytest

from daf.statistics.betting import Bets


def _wealth_by_hand(scores: list[float], mean: float, alpha: float) -> list[float]:
    """Of bets on scores in 0 to 1 lying above `mean`, step by step (Waudby-Smith and Ramdas 2024, equation 26)."""
    wealth, wealths, seen = 1.0, [], list[float]()
    for number, score in enumerate(scores, start=1):
        means = [(0.5 + sum(seen[: i + 1])) / (i + 2) for i in range(len(seen))]
        variance = (0.25 + sum((x - m) ** 2 for x, m in zip(seen, means, strict=True))) / number
        stake = math.sqrt(2 * math.log(2 / alpha) / (variance * number * math.log(number + 1)))
        wealth *= 1 + min(stake, 0.5 / mean) * (score - mean)
        wealths.append(wealth)
        seen.append(score)
    return wealths


def test_wealth_grows_as_published() -> None:
    scores = [0.9, 0.2, 0.7, 1.0, 0.8, 0.6, 0.95, 0.0, 1.0, 0.85]
    bets = Bets(np.array(scores)[:, None], 0, 1, 0.05)
    expected = np.minimum(2 / np.maximum.accumulate(_wealth_by_hand(scores, 0.3, 0.05)), 1)
    assert bets.above(np.array([0.3]))[:, 0] == pytest.approx(expected)
    assert expected[-1] < 0.2
    mirrored = Bets(1 - np.array(scores)[:, None], 0, 1, 0.05)
    assert mirrored.below(np.array([0.7]))[:, 0] == pytest.approx(expected)


def test_the_unit_does_not_matter() -> None:
    rows = np.random.default_rng(1).beta(2, 5, (60, 2))
    low, high = Bets(rows, 0, 1, 0.05).interval(0.05)
    scaled = Bets(7 - 10 * rows, -3, 7, 0.05).interval(0.05)
    assert scaled[0] == pytest.approx(7 - 10 * high)
    assert scaled[1] == pytest.approx(7 - 10 * low)


def test_an_end_is_where_the_p_value_is_the_level() -> None:
    bets = Bets(np.random.default_rng(2).beta(2, 5, (80, 1)), 0, 1, 0.05)
    low, high = bets.interval(0.05)
    assert bets.above(low)[-1] == pytest.approx(0.05)
    assert bets.below(high)[-1] == pytest.approx(0.05)


@pytest.mark.parametrize("chance", [0.03, 0.1, 0.5])
def test_the_mean_is_never_left_out_in_more_than_five_percent(chance: float) -> None:
    """At any of 400 looks, for scores of 0 and 1."""
    rows = (np.random.default_rng(3).random((400, 2000)) < chance).astype(float)
    bets, mean = Bets(rows, 0, 1, 0.05), np.full(2000, chance)
    left_out = (bets.above(mean)[-1] <= 0.05) | (bets.below(mean)[-1] <= 0.05)
    assert left_out.mean() <= 0.05


def test_bets_are_sharper_than_hoeffding_where_the_variance_is_small() -> None:
    """After 500 episodes at one look Hoeffding's (1963) interval reaches sqrt(log(2 / alpha) / 1000) = 0.061 around."""
    rows = np.random.default_rng(4).normal(0.5, 0.05, (500, 1)).clip(0, 1)
    low, high = Bets(rows, 0, 1, 0.05).interval(0.05)
    assert (high - low)[0] / 2 < 0.061 / 2
    assert low[0] < 0.5 < high[0]
