"""Why a metric tells no policies apart, and which other one might."""

import numpy as np

from daf.comparison.metric_advice import flat_metric, separating_metrics
from daf.records import EpisodeRecord
from tests.made_up import made_up_comparison, made_up_record


def record(policy: str, seed: int, **game: float) -> EpisodeRecord:
    return made_up_record((0, 0), (1.0, 1.0), policies=(policy,), mission="m0", seed=seed, game=game)


def test_a_metric_that_depends_on_the_seed_alone_is_named() -> None:
    values = np.tile(np.arange(20.0), (2, 1, 1))
    reason = flat_metric(made_up_comparison(values, "steps")[1], [])
    assert "steps depends on the seed alone" in str(reason)


def test_a_misspelt_stat_is_named() -> None:
    records = [record(policy, seed, score=1.0) for policy in "ab" for seed in range(20)]
    reason = flat_metric(made_up_comparison(np.zeros((2, 1, 20)), "game/scor")[1], records)
    assert "no episode reported 'game/scor', so it counts as 0 everywhere. Did you mean score?" in str(reason)


def test_metrics_that_separate_are_found_in_order() -> None:
    generator = np.random.default_rng(3)
    records = [
        record(policy, seed, near=shift + generator.normal(), far=9 * shift + generator.normal(), same=1.0)
        for policy, shift in (("a", 0.0), ("b", 1.0))
        for seed in range(20)
    ]
    assert separating_metrics(records) == ["game/far", "game/near"]


def test_a_metric_that_varies_between_policies_needs_no_advice() -> None:
    values = np.zeros((2, 1, 20))
    values[0, 0, 3] = 1.0
    assert flat_metric(made_up_comparison(values)[1], []) is None
