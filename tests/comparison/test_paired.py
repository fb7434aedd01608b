"""From records to scores that are paired by seed."""

from daf.comparison import paired_scores
from daf.episodes.outcomes import EpisodeFailure
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec
from tests.made_up import made_up_record


def record(policy: str, seed: int, reward: float = 1.0) -> EpisodeRecord:
    return made_up_record((0, 0), (reward, reward), policies=(policy,), mission="m0", seed=seed)


def test_seeds_that_somebody_did_not_finish_are_left_out_for_all() -> None:
    spec = PolicySpec(name="b", class_path="b")
    plan = EpisodePlan(mission=MissionSpec(name="m0"), policies=(spec,), assignments=(0,), seed=1)
    records = [record("a", seed, reward=float(seed)) for seed in range(3)] + [record("b", seed) for seed in (0, 2)]
    failures = [EpisodeFailure(plan=plan, traceback="", attempts=1)]
    scores = paired_scores(records, failures, ["a", "b"], ["m0"], "reward")
    assert (scores.seeds, scores.incomplete) == ((0, 2), (1,))
    assert scores.values.tolist() == [[[0.0, 2.0]], [[1.0, 1.0]]]
