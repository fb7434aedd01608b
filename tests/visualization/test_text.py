"""The one spelling of numbers and verdicts."""

import numpy as np

from daf.statistics import Estimate, Interval
from daf.visualization.columns import Column, Number
from daf.visualization.text import (
    NO_DIFFERENCE,
    NO_VALUE,
    estimate_cells,
    estimate_text,
    first_verdict_text,
    known_direction,
    level_text,
    metric_label,
    number_text,
    p_text,
    quantity_text,
    rating_text,
    ratio_text,
    verdict_text,
)
from tests.made_up import made_up_comparison


def test_a_level_keeps_its_digits() -> None:
    assert [level_text(level) for level in (0.95, 0.995, 0.9, 0.57)] == ["95%", "99.5%", "90%", "57%"]


def test_numbers_keep_what_says_something() -> None:
    values = (0.54613, 0.0, 0.00012345, 12_345_678.0, None)
    assert [number_text(value) for value in values] == ["0.5461", "0.0000", "0.0001234", "1.235e+07", NO_VALUE]
    assert (number_text(0.5, "+"), ratio_text(-0.1234, "+"), ratio_text(None)) == ("+0.5000", "-0.12", NO_VALUE)


def test_what_is_better_is_known_of_the_reward_alone() -> None:
    assert known_direction("reward", "auto") == "maximize"
    assert known_direction("agent/death", "auto") is None
    assert known_direction("agent/death", "minimize") == "minimize"
    assert metric_label("agent/death", "minimize") == "agent/death (lower is better)"


def test_what_has_no_value_is_a_dash_in_every_table() -> None:
    nan = float("nan")
    assert {number_text(nan), number_text(nan, "+"), ratio_text(nan), p_text(nan), quantity_text(nan)} == {NO_VALUE}
    assert estimate_cells(Estimate(nan, Interval(nan, nan, 0.95)))[0] == NO_VALUE
    assert Column[float]("std", "sd", lambda value: value, number_text).cell(nan) == Number(None, NO_VALUE)


def test_p_values_do_not_pretend_to_be_exact() -> None:
    assert [p_text(value) for value in (0.01234, 0.00009, None)] == ["0.012", "< 0.0001", NO_VALUE]


def test_an_estimate_in_cells_and_in_a_sentence() -> None:
    assert estimate_cells(Estimate(0.5, Interval(0.25, 0.75, 0.95)), "+") == ("+0.5000", "+0.2500 to +0.7500")
    assert estimate_cells(Estimate(0.5)) == ("0.5000", NO_VALUE)
    assert (estimate_text(0.5, (0.25, 0.75)), estimate_text(0.5, ())) == ("0.5000 [0.2500, 0.7500]", "0.5000")


def test_the_verdict_names_who_is_higher_or_why_nobody_is() -> None:
    noise = np.random.default_rng(0).normal(size=(3, 1, 20))
    comparison, _ = made_up_comparison(noise + np.array([0.0, 5.0, 0.0])[:, None, None])
    apart, alike = comparison.pair("a", "b"), comparison.pair("a", "c")
    assert (verdict_text(apart), first_verdict_text(apart)) == ("b is higher", "lower")
    assert verdict_text(alike) == first_verdict_text(alike) == NO_DIFFERENCE
    few, _ = made_up_comparison(noise[..., :4])
    assert first_verdict_text(few.pairs[0]) == "not enough episodes (4 of 5)"


def test_quantities_and_ratings_are_short() -> None:
    assert [quantity_text(value) for value in (7.2, 0.0, 1.78684, 1234.5)] == ["7.2", "0", "1.79", "1,234"]
    assert rating_text(25.0, 7.9573) == "25.0 ± 8.0"
