"""What a comparison may claim that the data stopped."""

import numpy as np

from daf.comparison.early_stopping import STOPPED_EARLY, with_sequential_decisions
from daf.statistics import sequential_comparison
from tests.made_up import made_up_comparison


def test_a_stopped_comparison_claims_only_what_holds_whenever_it_stops() -> None:
    values = np.random.default_rng(4).normal(size=(3, 2, 24)) + np.array([4.0, 0.0, 0.0])[:, None, None]
    comparison, scores = made_up_comparison(values)
    state = sequential_comparison(values, scores.policies, margin=0.1)
    stopped = with_sequential_decisions(comparison, state)
    first = stopped.pair("a", "b")
    assert (first.significant, first.p_value) == (True, state.pairs[0].p_difference)
    assert first.difference == state.pairs[0].difference
    assert stopped.pair("b", "c").decision == "undecided after 24 episodes per mission"
    assert STOPPED_EARLY in stopped.warnings
    for pair in stopped.pairs:
        assert pair.tests == {}
        if pair.mission:
            assert (pair.p_value, pair.significant) == (None, False)
