"""Trainings that share their evaluation seeds: an interval that counts both."""

import numpy as np
import pytest

from daf.statistics import crossed_mean
from daf.statistics.resampling import Array

#: Standard deviations of a real confirmation: of a training, of a shared evaluation seed, of the rest.
TRAINING, SEED, REST = 0.055, 0.365, 0.077


def _scores(rng: np.random.Generator, trainings: int, episodes: int, seed: float = SEED) -> Array:
    of_training = TRAINING * rng.standard_normal((trainings, 1))
    of_seed = seed * rng.standard_normal((1, episodes))
    return of_training + of_seed + REST * rng.standard_normal((trainings, episodes))


@pytest.mark.parametrize(("trainings", "episodes", "seed"), [(5, 32, SEED), (8, 16, SEED), (5, 8, SEED), (5, 32, 0.0)])
def test_the_interval_covers_the_mean_of_all_trainings_and_seeds(trainings: int, episodes: int, seed: float) -> None:
    rng = np.random.default_rng(11)
    intervals = [crossed_mean(_scores(rng, trainings, episodes, seed), 0.95).interval for _ in range(2_000)]
    covered = np.mean([interval is not None and 0.0 in interval for interval in intervals])
    assert 0.93 <= covered <= 0.985


def test_an_interval_over_trainings_alone_would_leave_the_seeds_out() -> None:
    """With the trainings' own spread only, four of ten intervals of a real confirmation miss."""
    scores = _scores(np.random.default_rng(3), 5, 32)
    interval = crossed_mean(scores, 0.95).interval
    assert interval is not None
    of_trainings = 2.776 * scores.mean(axis=1).std(ddof=1) / np.sqrt(5)
    assert interval.high - interval.low > 2.5 * of_trainings


def test_the_variance_is_that_of_a_worked_table() -> None:
    """Mean squares by hand: rows 25, columns 6.25 and rest 0.25, so 31 / 25 with 5.79 degrees of freedom."""
    rows = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]) * np.sqrt(2)
    columns = np.array([-1.0, -0.5, 0.0, 0.5, 1.0]) * np.sqrt(2)
    contrast = np.array([1.0, -1.0, 0.0, -1.0, 1.0])
    values = rows[:, None] + columns[None, :] + 0.5 * np.outer(contrast, contrast)
    found = crossed_mean(values, 0.95)
    assert found.value == pytest.approx(0)
    assert found.interval is not None
    freedom = 31**2 / (25**2 / 4 + 6.25**2 / 4 + 0.25**2 / 16)
    assert freedom == pytest.approx(5.788, abs=0.001)
    assert found.interval.high == pytest.approx(2.4686 * np.sqrt(31 / 25), abs=0.01)


@pytest.mark.parametrize("values", [np.zeros((4, 32)), np.ones((5, 32)), np.eye(5)[:, :4]])
def test_too_little_or_nothing_that_varies_has_no_interval(values: Array) -> None:
    assert crossed_mean(values, 0.95).interval is None
