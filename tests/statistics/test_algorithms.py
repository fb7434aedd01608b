"""Algorithms that were trained several times: rliable's figures, and intervals that allow for shared seeds."""

import numpy as np
import pytest
from scipy import stats

from daf.statistics import algorithm_pairs, algorithms, compare_algorithms, letter_groups


def test_figures_are_those_of_rliable() -> None:
    """By its definitions: `stats.trim_mean` over all runs and tasks; U / (n m) averaged over tasks; shares of runs."""
    rng = np.random.default_rng(3)
    first, second = rng.lognormal(size=(6, 3, 7)), rng.normal(1, 2, (8, 3, 7)).round(1)
    found = compare_algorithms({"a": first, "b": second}, level=0.95)
    runs = {"a": first.mean(axis=2), "b": second.mean(axis=2)}
    for name, scores in runs.items():
        assert found.summary(name).iqm.value == pytest.approx(stats.trim_mean(scores, 0.25, axis=None))
    per_task = [stats.mannwhitneyu(x, y).statistic / (6 * 8) for x, y in zip(runs["a"].T, runs["b"].T, strict=True)]
    (pair,) = found.pairs
    assert pair.probability_of_improvement.value == pytest.approx(np.mean(per_task))
    for name, shares in zip(found.profiles.policies, found.profiles.fractions, strict=True):
        above = [(runs[name] > threshold).mean(axis=0).mean() for threshold in found.profiles.thresholds]
        assert shares == pytest.approx(above)


def test_the_mission_with_the_largest_scale_does_not_hide_in_an_iqm_of_iqms() -> None:
    scores = np.arange(16.0).reshape(8, 2, 1) * [[[1.0], [100.0]]]
    summary = compare_algorithms({"a": scores, "b": scores + 1}, level=0.95).summary("a")
    assert summary.iqm.value == stats.trim_mean(scores, 0.25, axis=None) != scores.mean()


def _equal(rng: np.random.Generator, trainings: int) -> np.ndarray:
    return rng.normal(0, 0.3, (trainings, 1, 1)) + rng.normal(0, 0.2, (trainings, 1, 16))


def test_equal_algorithms_are_told_apart_no_more_often_than_the_level_says() -> None:
    """Seeds on which the two algorithms differ are shared by all trainings."""
    rng = np.random.default_rng(4)
    found = covered = 0
    for _ in range(400):
        own = rng.normal(0, 0.5, (2, 1, 1, 16))
        (pair,) = algorithm_pairs({"a": _equal(rng, 6) + own[0], "b": _equal(rng, 6) + own[1]}, level=0.9, drawn=DRAWN)
        found += pair.significant
        assert pair.difference.interval is not None
        covered += 0 in pair.difference.interval
    assert found == 400 - covered
    assert 0.05 < found / 400 < 0.14


def test_the_bootstrap_of_few_trainings_covers_other_trainings_and_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five trainings on two missions; without the seeds the IQM's interval would cover the truth in 6 of 10 cases."""
    monkeypatch.setattr(algorithms, "BOOTSTRAPS", 300)
    rng = np.random.default_rng(9)
    covered = np.zeros(2)
    for _ in range(150):
        pilot = {
            name: rng.normal(0, 0.2, (5, 2, 1)) + rng.normal(0, 0.5, (1, 2, 8)) + rng.normal(0, 0.1, (5, 2, 8))
            for name in "ab"
        }
        found = compare_algorithms(pilot, level=0.9)
        for index, (estimate, truth) in enumerate(
            [(found.summary("a").iqm, 0), (found.pairs[0].probability_of_improvement, 0.5)]
        ):
            assert estimate.interval is not None
            covered[index] += truth in estimate.interval
    assert (covered / 150 >= 0.88).all()


DRAWN = {"a": np.zeros((1, 6, 1)), "b": np.zeros((1, 6, 1))}


def test_too_few_trainings_are_not_tested() -> None:
    rng = np.random.default_rng(5)
    (pair,) = algorithm_pairs({"a": _equal(rng, 4), "b": _equal(rng, 6) + 9}, level=0.95)
    assert (pair.p_value, pair.difference.interval, pair.significant) == (None, None, False)


def test_an_algorithm_against_a_policy_that_is_not_trained() -> None:
    rng = np.random.default_rng(6)
    scripted = rng.normal(0, 0.1, (1, 2, 16))
    found = compare_algorithms({"a": rng.normal(1, 0.1, (5, 2, 16)), "s": scripted}, level=0.95)
    (pair,) = found.pairs
    assert pair.significant
    assert pair.difference.value == pytest.approx(1, abs=0.1)
    assert found.summary("s").mean.interval is not None


@pytest.mark.parametrize(
    ("different", "letters"),
    [
        ([], {"a": "a", "b": "a", "c": "a", "d": "a"}),
        ([("a", "d")], {"a": "a", "b": "ab", "c": "ab", "d": "b"}),
        ([("a", "c"), ("a", "d"), ("b", "d")], {"a": "a", "b": "ab", "c": "bc", "d": "c"}),
        ([("a", b) for b in "bcd"], {"a": "a", "b": "b", "c": "b", "d": "b"}),
    ],
)
def test_letters_are_shared_where_a_pair_is_not_told_apart(
    different: list[tuple[str, str]], letters: dict[str, str]
) -> None:
    assert letter_groups("abcd", different) == letters
