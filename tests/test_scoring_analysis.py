"""Scores of mixed teams against hand-computed values."""

import dataclasses

import numpy as np
import pytest

from daf.scoring_analysis import (
    daf_allocate_agents,
    daf_compute_vor,
    daf_compute_weighted_score,
    daf_validate_proportions,
)
from tests.made_up import made_up_record as record


def test_agents_are_shared_out_by_largest_remainder() -> None:
    assert daf_allocate_agents(7, [0.5, 0.5]) == [4, 3]
    assert daf_allocate_agents(8, [3, 1, 1]) == [5, 2, 1]
    assert daf_allocate_agents(0, [1, 1]) == [0, 0]
    for total, weights in ((4, []), (4, [0.0]), (-1, [1.0])):
        with pytest.raises(ValueError, match="positive weights"):
            daf_allocate_agents(total, weights)


def test_proportions_must_fit_the_policies() -> None:
    daf_validate_proportions(None, 3)
    daf_validate_proportions([1, 0], 2)
    for proportions in ([1.0], [0.0, 0.0]):
        with pytest.raises(ValueError, match="Proportions"):
            daf_validate_proportions(proportions, 2)


def test_the_weighted_score_weighs_matches_by_the_share_of_agents() -> None:
    """By hand: a has (1 + 3) / 2 = 2 with half a team and 6 with a quarter: (2 / 2 + 6 / 4) / (3 / 4) = 10 / 3."""
    records = [record([0, 1, 0, 1], [1, 5, 3, 7]), record([1, 1, 0, 1], [4, 4, 6, 1])]
    scores = daf_compute_weighted_score(records)
    assert scores == pytest.approx({"a": 10 / 3, "b": (6 * 0.5 + 3 * 0.75) / 1.25})
    renamed = [dataclasses.replace(each, policies=("a", "a")) for each in records]
    assert daf_compute_weighted_score(renamed) == pytest.approx({"a": (4 + 3.75) / 2})


def test_vor_by_hand() -> None:
    """Two agents, two seeds: VOR(2) = 4 - 1.5, VOR(1) = 2.5 - 1.5, overall (2 * 4 + 1 * 2.5) / 3 - 1.5."""
    records = [
        record([0, 0], [3, 5], seed=1),
        record([0, 0], [4, 4], seed=2),
        record([0, 1], [2, 9], seed=1),
        record([1, 0], [9, 3], seed=2),
        record([1, 1], [1, 1], seed=1),
        record([1, 1], [1, 3], seed=2),
        record([1, 1], [100, 100], seed=3),
    ]
    vor = daf_compute_vor(records)
    assert vor.seeds == (1, 2)
    assert vor.replacement.value == pytest.approx(1.5)
    assert [(c.candidate_agents, c.score.value, c.vor.value) for c in vor.counts] == [(2, 4, 2.5), (1, 2.5, 1)]
    assert vor.overall.value == pytest.approx(2.0)
    assert vor.overall.interval is None


def test_intervals_are_of_differences_on_equal_seeds() -> None:
    """A candidate that is better by 0.5 to 0.7 on maps that differ by far more: the maps cancel."""
    rng = np.random.default_rng(5)
    records = []
    for seed in range(30):
        level, gain = rng.normal(0, 100), rng.uniform(0.5, 0.7)
        records += [record([0, 0], [level + gain] * 2, seed=seed), record([1, 1], [level] * 2, seed=seed)]
    (count,) = daf_compute_vor(records, level=0.9).counts
    assert count.vor.interval is not None
    assert count.score.interval is not None
    assert 0.5 < count.vor.interval.low < count.vor.value < count.vor.interval.high < 0.7
    assert count.vor.interval.level == 0.9
    assert count.score.interval.high - count.score.interval.low > 10


def test_vor_needs_episodes_with_and_without_the_candidate() -> None:
    for records in ([], [record([0, 0], [1, 1])], [record([1, 1], [1, 1])]):
        with pytest.raises(ValueError, match="with and without"):
            daf_compute_vor(records)
