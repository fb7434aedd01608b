"""What is said about a comparison, above all when nothing can be said."""

import numpy as np

from daf.comparison.early_stopping import with_sequential_decisions
from daf.statistics import Comparison, sequential_comparison
from daf.visualization.verdict import verdict
from tests.made_up import made_up_comparison


def judged(values: np.ndarray) -> tuple[Comparison, str]:
    """A comparison of made-up rewards, (policies, missions, seeds), and the metric's name."""
    return made_up_comparison(values)[0], "reward"


def test_chance_is_named_with_its_size() -> None:
    values = np.random.default_rng(1).normal(size=(2, 1, 30))
    (first, *_) = verdict(*judged(values))
    assert first.startswith("Nothing can be told apart: the largest difference lies within chance. a and b:")
    assert "evaluation.episodes=44" in first  # 90 % power at half a standard deviation (Cohen 1988: 44 pairs)


def test_too_few_episodes_are_named() -> None:
    (first,) = verdict(*judged(np.random.default_rng(1).normal(size=(2, 1, 4))))
    assert first == "Nothing can be told apart: not enough episodes (4 of 5). Play more: evaluation.episodes=20."


def test_a_difference_that_never_varies_asks_for_the_range() -> None:
    values = np.ones((2, 1, 30))
    values[0] += 1.0
    (first,) = verdict(*judged(values))
    assert first.startswith("Nothing can be told apart: cannot tell: the difference is the same in every episode.")
    assert "comparison.range" in first


def test_a_mission_that_says_otherwise_is_not_pooled_away() -> None:
    noise = np.random.default_rng(2).normal(scale=0.1, size=(2, 2, 20))
    values = noise + np.array([[[3.0], [0.0]], [[0.0], [1.0]]])
    sentences = verdict(*judged(values))
    assert sentences[0].startswith("a beats b")
    (exception,) = [sentence for sentence in sentences if sentence.startswith("On m1 alone")]
    assert "b is higher than a" in exception


def test_rounds_that_decide_nothing_say_what_to_raise() -> None:
    values = np.random.default_rng(5).normal(size=(2, 1, 22))
    comparison, scores = made_up_comparison(values)
    state = sequential_comparison(values, scores.policies, margin=0.1)
    (first,) = verdict(with_sequential_decisions(comparison, state), "reward")
    assert first.startswith("Nothing can be told apart: a and b: undecided after 22 episodes per mission (difference")
    assert first.endswith("Raise comparison.max_episodes.")


def test_where_less_is_better_the_lower_one_wins_and_a_stat_alone_says_nobody_is_better() -> None:
    values = np.random.default_rng(2).normal(scale=0.1, size=(3, 1, 20)) + np.array([3.0, 0.0, 1.0])[:, None, None]
    comparison, _ = made_up_comparison(values, "agent/death")
    best, second, said = verdict(comparison, "agent/death", direction="minimize")
    assert best.startswith("b beats a by 2.9893") and " and c by 1.0174" in best
    assert second.startswith("c beats a by 1.97")
    assert said.startswith("Metric: agent/death, of which less is better; 20 episodes")
    assert verdict(comparison, "agent/death", direction=None)[0].startswith("a is higher than b by 2.9893")
    assert verdict(comparison, "agent/death")[0].startswith("a beats b by 2.9893")


def test_a_metric_that_tells_nothing_apart_is_the_reason() -> None:
    (first,) = verdict(*judged(np.ones((2, 1, 20))), "reward is constant.")
    assert first == "Nothing can be told apart: reward is constant."
