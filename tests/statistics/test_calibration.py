"""Small simulations of what the numbers promise: type-I error, coverage and power. Every one is seeded.

`./scripts/benchmark statistics` runs the same with counts that settle the first decimal.
"""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from daf.statistics import estimates, means, resampling
from daf.statistics.comparison import all_pairs, paired_differences
from daf.statistics.significance import decisive_tests, unpaired_family

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

#: Distributions with their means.
DRAWS: dict[str, tuple[Draw, float]] = {
    "normal": (lambda rng, shape: rng.normal(size=shape), 0),
    "exponential": (lambda rng, shape: rng.exponential(size=shape), 1),
    "lognormal": (lambda rng, shape: rng.lognormal(0, 1, shape), np.exp(0.5)),
    "laplace": (lambda rng, shape: rng.laplace(size=shape), 0),
    "uniform": (lambda rng, shape: rng.uniform(size=shape), 0.5),
    "Bernoulli .1": (lambda rng, shape: (rng.random(shape) < 0.1).astype(float), 0.1),
    "Bernoulli .03": (lambda rng, shape: (rng.random(shape) < 0.03).astype(float), 0.03),
}


@pytest.fixture
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speed: fewer draws."""
    monkeypatch.setattr(resampling, "RESAMPLES", 499)


def _familywise_error(name: str, shape: tuple[int, int, int], rounds: int, *, constant: bool, lead: float = 0) -> float:
    """Share of rounds in which two policies of equal mean are called different.

    The first policy is constant, or leads the others by `lead`.
    """
    rng, pairs = np.random.default_rng(sum(shape)), all_pairs(shape[0])
    draw, mean = DRAWS[name]
    null = pairs[0] > 0 if lead else np.ones(pairs.shape[1], dtype=bool)
    wrong = 0
    for _ in range(rounds):
        scores = draw(rng, shape)
        scores[0] = mean if constant else scores[0] + lead
        tested = decisive_tests(paired_differences(scores, pairs), 0.05, rng, pool_missions=True)
        claimed = tested.p_values <= 0.05
        low, high = tested.bounds
        assert np.array_equal(claimed, (low > 0) | (high < 0))
        wrong += bool(claimed[null].any())
    return wrong / rounds


def _tolerance(rounds: int) -> float:
    """Two and a half standard errors of a simulated 5 %."""
    return float(2.5 * np.sqrt(0.05 * 0.95 / rounds))


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("episodes", [5, 8, 16, 40])
def test_a_mean_is_missed_in_at_most_six_percent(name: str, episodes: int) -> None:
    """Also the error of calling a policy different from a constant of the same mean: test and interval are one."""
    draw, mean = DRAWS[name]
    rounds = 4000
    found = means.estimated_means(draw(np.random.default_rng(21), (rounds, 1, episodes)))
    low, high = means.bounds(found, 0.05)
    assert ((low > mean) | (high < mean)).mean() <= 0.06 + _tolerance(rounds)


@pytest.mark.parametrize(("episodes", "least"), [(5, 0.4), (8, 0.65), (16, 0.9), (40, 0.95)])
def test_the_power_on_normal_differences_is_near_that_of_students_t(episodes: int, least: float) -> None:
    """Where Student's t finds 80 %; fewer episodes pay for what a skewed null would cost (`docs/statistics.md`)."""
    critical, sizes = stats.t.ppf(0.975, episodes - 1), np.linspace(0.1, 3, 1000)
    power = stats.nct.sf(critical, episodes - 1, sizes * np.sqrt(episodes))
    effect = float(np.interp(0.8, power, sizes))
    found = means.estimated_means(np.random.default_rng(22).normal(effect, 1, (4000, 1, episodes)))
    low, _ = means.bounds(found, 0.05)
    assert (low > 0).mean() >= least * 0.8


@pytest.mark.usefixtures("fewer_resamples")
@pytest.mark.parametrize("shape", [(3, 2, 10), (6, 1, 20)], ids=str)
def test_the_error_of_normal_scores_is_near_the_asked_one(shape: tuple[int, int, int]) -> None:
    rounds = 250
    error = _familywise_error("normal", shape, rounds, constant=False)
    assert 0.01 <= error <= 0.05 + _tolerance(rounds)


@pytest.mark.usefixtures("fewer_resamples")
@pytest.mark.parametrize(
    ("name", "shape"),
    [("lognormal", (3, 1, 8)), ("lognormal", (4, 1, 16)), ("exponential", (6, 1, 5)), ("Bernoulli .1", (4, 1, 40))],
    ids=str,
)
def test_the_error_holds_against_a_constant_of_the_same_mean(name: str, shape: tuple[int, int, int]) -> None:
    rounds = 200
    assert _familywise_error(name, shape, rounds, constant=True) <= 0.06 + _tolerance(rounds)


@pytest.mark.usefixtures("fewer_resamples")
def test_the_error_holds_among_policies_that_differ() -> None:
    """One policy is far ahead, which must not be blamed on the three equal ones."""
    rounds = 250
    error = _familywise_error("normal", (4, 1, 15), rounds, constant=False, lead=5.0)
    assert error <= 0.05 + _tolerance(rounds)


@pytest.mark.usefixtures("fewer_resamples")
@pytest.mark.parametrize("episodes", [6, 25])
def test_unpaired_error_holds(episodes: int) -> None:
    rounds, rng, wrong = 200, np.random.default_rng(25), 0
    for _ in range(rounds):
        scores = rng.normal(size=(4, 1, episodes))
        family = unpaired_family(scores, all_pairs(4), 0.05, rng, pool_missions=True)
        wrong += any(p_value is not None and p_value <= 0.05 for p_value in family.p_values)
    assert wrong / rounds <= 0.05 + _tolerance(rounds)


def test_the_interval_of_a_mean_covers_over_missions_of_unequal_spread() -> None:
    scores = np.random.default_rng(22).exponential(size=(2000, 3, 10)) * np.array([1, 2, 5])[None, :, None]
    low, high = means.bounds(means.estimated_means(scores), 0.05)
    assert 0.93 <= ((low <= 8 / 3) & (high >= 8 / 3)).mean() <= 0.99


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
