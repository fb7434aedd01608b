"""What goes with a metric, against scipy and against data whose correlation is known."""

import numpy as np
import pytest
from scipy import stats

from daf.mission_analysis import daf_metric_correlations
from tests.made_up import made_up_episode as episode


def test_correlations_are_scipy_s_with_an_interval() -> None:
    rng = np.random.default_rng(1)
    shared = rng.normal(size=30)
    agents = [[{"a": x + e, "b": 1.0, "c": -x}] for x, e in zip(shared, rng.normal(size=30), strict=True)]
    records = [episode(seed, reward=x, agents=row) for seed, (x, row) in enumerate(zip(shared, agents, strict=True))]
    strongest, weaker = daf_metric_correlations(records)
    assert (strongest.metric, strongest.interval) == ("agent/c", None)
    assert strongest.value == pytest.approx(-1)
    expected = stats.spearmanr([row[0]["a"] for row in agents], shared)
    assert weaker.metric == "agent/a"
    assert weaker.value == pytest.approx(expected.statistic)
    # Two metrics were looked at, and the weaker one's p-value is the larger: it stays as it is.
    assert weaker.p_value == pytest.approx(expected.pvalue)
    assert weaker.interval is not None
    assert weaker.interval.low < weaker.value < weaker.interval.high


def test_few_or_equal_episodes_have_no_correlations() -> None:
    with pytest.raises(ValueError, match=r"not enough episodes for correlations \(9 of 10\)"):
        daf_metric_correlations([episode(seed) for seed in range(9)])
    assert daf_metric_correlations([episode(seed, reward=1.0) for seed in range(10)]) == ()


@pytest.mark.slow
def test_intervals_of_correlations_cover() -> None:
    """Nominal 95 %, normal data with a correlation of 0.5 (Spearman's is 6 / pi * asin(0.25)), 20 episodes."""
    rng = np.random.default_rng(0)
    truth, covered, rounds = 6 / np.pi * np.arcsin(0.25), 0, 1000
    for _ in range(rounds):
        x = rng.normal(size=20)
        y = 0.5 * x + np.sqrt(0.75) * rng.normal(size=20)
        records = [episode(reward=a, agents=[{"m": b}]) for a, b in zip(x, y, strict=True)]
        interval = daf_metric_correlations(records)[0].interval
        covered += interval is not None and interval.low <= truth <= interval.high
    assert 0.93 <= covered / rounds <= 0.97
