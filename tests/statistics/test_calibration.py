"""Small simulations of what the numbers promise: type-I error and coverage. Every one is seeded."""

from collections.abc import Callable

import numpy as np
import pytest

from daf.statistics import TestResult, estimates, resampling, significance
from daf.statistics.comparison import Scope, all_pairs

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

DRAWS: dict[str, tuple[Draw, float]] = {
    "normal": (lambda rng, shape: rng.normal(size=shape), 0),
    "exponential": (lambda rng, shape: rng.exponential(size=shape), 1),
    "lognormal": (lambda rng, shape: rng.lognormal(0, 0.5, shape), np.exp(0.125)),
    "heavy lognormal": (lambda rng, shape: rng.lognormal(0, 1, shape), np.exp(0.5)),
    "laplace": (lambda rng, shape: rng.laplace(size=shape), 0),
    "uniform": (lambda rng, shape: rng.uniform(size=shape), 0.5),
}


def _familywise_error(
    draw: Draw, shape: tuple[int, int, int], rounds: int, *, paired: bool = True, lead: float = 0
) -> float:
    """Share of rounds in which two equal policies are called different; the first leads the others by `lead`."""
    rng = np.random.default_rng(sum(shape))
    pairs = all_pairs(shape[0])
    scope = Scope(tuple("abcdef"[: shape[0]]), pairs, 0.95, paired, rng)
    null = pairs[0] > 0 if lead else np.ones(pairs.shape[1], dtype=bool)
    wrong = 0
    for _ in range(rounds):
        scores = draw(rng, shape) + paired * rng.normal(size=(1, *shape[1:]))
        scores[0] += lead
        p_values = np.array(scope.family(scores, pool_missions=True).p_values)
        wrong += bool((p_values[null] <= 0.05).any())
    return wrong / rounds


@pytest.fixture
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speed: fewer resamples, and no Wilcoxon test, which decides nothing."""
    monkeypatch.setattr(resampling, "RESAMPLES", 499)
    monkeypatch.setattr(significance, "wilcoxon", lambda differences, alpha: TestResult())


def _tolerance(rounds: int) -> float:
    """Two and a half standard errors of a simulated 5 %."""
    return 2.5 * np.sqrt(0.05 * 0.95 / rounds)


@pytest.mark.usefixtures("fewer_resamples")
@pytest.mark.parametrize("shape", [(2, 1, 5), (2, 1, 12), (3, 2, 10), (6, 1, 20)], ids=str)
def test_paired_error_is_the_asked_one(shape: tuple[int, int, int]) -> None:
    rounds = 800 if shape[0] < 6 else 400
    assert abs(_familywise_error(DRAWS["normal"][0], shape, rounds) - 0.05) <= 0.01 + _tolerance(rounds)


@pytest.mark.usefixtures("fewer_resamples")
@pytest.mark.parametrize("name", ["uniform", "exponential", "heavy lognormal"])
def test_paired_error_is_never_above_the_asked_one_for_few_episodes(name: str) -> None:
    rounds = 600
    for episodes in (5, 8):
        assert _familywise_error(DRAWS[name][0], (4, 1, episodes), rounds) <= 0.05 + _tolerance(rounds)


@pytest.mark.usefixtures("fewer_resamples")
def test_the_error_holds_among_policies_that_differ() -> None:
    """One policy is far ahead; the three others are equal, and step-down must not blame them for it."""
    rounds = 800
    error = _familywise_error(DRAWS["normal"][0], (4, 1, 15), rounds, lead=5.0)
    assert abs(error - 0.05) <= 0.01 + _tolerance(rounds)


@pytest.mark.usefixtures("fewer_resamples")
@pytest.mark.parametrize("episodes", [6, 25])
def test_unpaired_error_holds(episodes: int) -> None:
    rounds = 400
    error = _familywise_error(DRAWS["normal"][0], (4, 1, episodes), rounds, paired=False)
    assert error <= 0.05 + _tolerance(rounds)


@pytest.mark.parametrize("name", DRAWS)
def test_the_interval_of_a_mean_covers(name: str) -> None:
    draw, mean = DRAWS[name]
    rng = np.random.default_rng(21)
    low, high = estimates.mean_bounds(draw(rng, (800, 1, 20)), all_pairs(1), paired=True, level=0.95, rng=rng)
    assert 0.93 - 0.02 <= ((low <= mean) & (mean <= high)).mean() <= 0.97 + 0.02


def test_the_interval_of_a_mean_covers_over_missions_of_unequal_spread() -> None:
    rng = np.random.default_rng(22)
    scores = rng.exponential(size=(800, 3, 10)) * np.array([1, 2, 5])[None, :, None]
    low, high = estimates.mean_bounds(scores, all_pairs(1), paired=True, level=0.95, rng=rng)
    assert 0.91 <= ((low <= 8 / 3) & (high >= 8 / 3)).mean() <= 0.99


def test_the_interval_of_the_iqm_covers() -> None:
    rng = np.random.default_rng(23)
    scores = rng.exponential(size=(200, 1, 20))
    quarter = -np.log([0.75, 0.25])
    mean = 2 * np.diff(-np.exp(-quarter) * (quarter + 1))[0]
    low, high = estimates.bca_intervals(scores, all_pairs(1), paired=True, level=0.95, rng=rng)
    assert 0.90 <= ((low[:200] <= mean) & (mean <= high[:200])).mean() <= 0.99


@pytest.mark.usefixtures("fewer_resamples")
def test_the_intervals_of_the_effect_sizes_cover() -> None:
    """Normal scores one standard deviation apart: d = 1, and Cliff's delta = 2 Phi(1 / sqrt(2)) - 1."""
    rng = np.random.default_rng(24)
    rounds, hits = 300, np.zeros(2)
    for _ in range(rounds):
        scores = rng.normal(size=(2, 1, 20)) + np.array([1, 0])[:, None, None]
        low, high = estimates.bca_intervals(scores, all_pairs(2), paired=True, level=0.95, rng=rng)[:, 2]
        delta = estimates.cliffs_delta(scores[0], scores[1], paired=True, level=0.95)
        hits += [low <= 1 <= high, delta.interval is not None and 0.5204999 in delta.interval]
    assert (hits / rounds >= 0.91).all()
    assert (hits / rounds <= 0.99).all()
