"""What made-up episodes of a validation mean: each answer from the figures that call for it."""

from dataclasses import replace
from typing import Any

import pytest

from daf.bridge.isolated import Latency, PlayedEpisode
from daf.bridge.jail import FILES, NETWORK, WALLS
from daf.deployment.checks import (
    Check,
    Recorded,
    acts_check,
    conduct_check,
    drop_p_value,
    figures,
    junctions_check,
    latency_check,
    matches_table,
    noop_check,
    play_check,
    recorded_check,
    survival_check,
    trial_checks,
    walls_check,
)
from daf.deployment.metadata import BundleMetric
from daf.deployment.trials import Trial, split_sizes
from daf.records import MissionSpec

MOVES, IDLE = {"action.move.failed": 3.0, "action.noop.success": 1.0, "hp.amount": 40.0}, {"action.noop.success": 4.0}


def episode(label: str = "self-play 1", **facts: Any) -> PlayedEpisode:
    given: dict[str, Any] = {
        "seed": 1,
        "assignments": (0, 0),
        "steps": 4,
        "rewards": (1.0, 2.0),
        "timeouts": (0, 0),
        "stats": {"game": {"cogs/aligned.junction.held": 6.0}, "agent": [MOVES, MOVES]},
        "latency": Latency(actions=8, p50_ms=1.0, p95_ms=2.0, max_ms=9.0, slowest_step=3, slowest_agent=1),
    }
    return PlayedEpisode(label=label, **{**given, **facts})


def trial(*tested: PlayedEpisode, noops: tuple[float, ...] = (), **facts: Any) -> Trial:
    given: dict[str, Any] = {
        "mission": MissionSpec(name="arena"),
        "steps": 4,
        "tested": tested,
        "noops": tuple(episode(f"noop {i}", rewards=(r, r), latency=None) for i, r in enumerate(noops)),
        "pool": {},
        "walls": frozenset(WALLS),
        "peak_bytes": 2**20,
    }
    return Trial(**{**given, **facts})


def metric(mean: float, low: float | None, high: float | None, episodes: int = 8) -> BundleMetric:
    return BundleMetric(
        name="reward", mission="arena", mean=mean, low=low, high=high, level=0.95, seeds=tuple(range(episodes))
    )


def test_walls_that_are_missing_are_a_warning_that_says_what_could_happen() -> None:
    assert walls_check(frozenset(WALLS)).status == "passed"
    found = walls_check(frozenset(WALLS) - {NETWORK})
    assert (found.status, "reach the network" in found.why, "your files" in found.why) == ("warning", True, False)
    assert "your files" in walls_check(frozenset(WALLS) - {FILES}).why


def test_a_failed_episode_names_its_kind_and_reason() -> None:
    broken = episode("2 of 8 with noop", error_kind="policy_error", error="RuntimeError: boom", steps=None)
    found = play_check([episode(), broken])
    assert found.status == "failed"
    assert found.why == "1 of 2 episodes failed; 2 of 8 with noop: policy_error: RuntimeError: boom"
    assert play_check([episode()]).why == "1 episode, 4 steps"


@pytest.mark.parametrize(
    ("limit_ms", "timeouts", "status"), [(10, (0, 0), "passed"), (8.9, (0, 0), "failed"), (100, (0, 2), "failed")]
)
def test_latency_is_held_to_its_limit_and_says_where(limit_ms: float, timeouts: tuple[int, ...], status: str) -> None:
    found = latency_check([episode(timeouts=timeouts)], limit_ms)
    assert found.status == status
    assert "slowest 9.0 ms (step 3 of agent 1 in self-play 1)" in found.why
    assert ("2 timeouts" in found.why) == (timeouts == (0, 2))


def test_timeouts_of_others_are_not_its_own() -> None:
    split = episode(assignments=(0, 1), timeouts=(0, 5))
    assert latency_check([split], 10).status == "passed"


def test_one_that_never_acted_has_no_latency() -> None:
    assert latency_check([episode(latency=None)], 10) == Check(name="latency", status="failed", why="it never acted")


def test_every_agent_must_act_and_not_only_the_first() -> None:
    found = acts_check([episode(stats={"game": {}, "agent": [MOVES, IDLE]})])
    assert (found.status, found.why) == ("failed", "agents 1 never do anything but noop")
    assert acts_check([episode(stats={"game": {}, "agent": [IDLE, IDLE]})]).why == "no agent does anything but noop"
    assert acts_check([episode()]).status == "passed"
    later = episode(stats={"game": {}, "agent": [IDLE, MOVES]})
    first = episode(stats={"game": {}, "agent": [MOVES, IDLE]})
    assert acts_check([first, later]).status == "passed"


def test_conduct_is_told_once() -> None:
    found = conduct_check([episode(noticed=("it tried to reach x",)), episode(noticed=("it tried to reach x",))])
    assert (found.status, found.why) == ("warning", "it tried to reach x")


def test_a_significant_drop_from_the_recorded_score_fails() -> None:
    recorded = Recorded(metric=metric(2.0, 1.9, 2.1))
    assert recorded_check([1.0, 1.1, 0.9, 1.0], recorded, 0.95).status == "failed"
    assert recorded_check([2.0, 2.1, 1.9, 1.8], recorded, 0.95).status == "passed"
    assert recorded_check([3.0, 3.1], recorded, 0.95).status == "passed"


def test_the_drop_is_welchs_test_from_the_recorded_interval() -> None:
    import numpy as np
    from scipy.stats import t, ttest_ind

    rng = np.random.default_rng(3)
    then, now = rng.normal(1.0, 0.3, 12), rng.normal(0.8, 0.2, 7)
    half = float(t.ppf(0.975, 11) * then.std(ddof=1) / np.sqrt(12))
    mean = float(then.mean())
    expected = ttest_ind(now, then, equal_var=False, alternative="less").pvalue
    found = drop_p_value(list(map(float, now)), metric(mean, mean - half, mean + half, 12))
    assert found == pytest.approx(float(expected), rel=1e-6)


def test_constant_rewards_are_compared_without_a_test() -> None:
    same = metric(1.0, 1.0, 1.0)
    assert recorded_check([1.0, 1.0], Recorded(metric=same), 0.95).status == "passed"
    assert recorded_check([0.9, 0.9], Recorded(metric=same), 0.95).status == "failed"


def test_one_episode_proves_no_drop() -> None:
    found = recorded_check([0.5], Recorded(metric=metric(1.0, 0.9, 1.1)), 0.95)
    assert (found.status, "one episode proves nothing" in found.why) == ("warning", True)
    assert "not compared: why" in recorded_check([0.5], Recorded(why_not="why"), 0.95).why


def test_noop_on_the_same_seeds_must_not_be_better() -> None:
    assert noop_check([2.0, 2.1, 2.2], [1.0, 1.2, 1.0], 0.95).status == "passed"
    assert noop_check([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], 0.95).status == "warning"
    assert noop_check([0.1, 0.0, 0.2], [1.0, 1.1, 1.0], 0.95).status == "failed"
    assert noop_check([5.0], [1.0], 0.95).status == "warning"
    assert noop_check([5.0], [], 0.95).status == "warning"


def test_survival_and_junctions_are_held_beside_the_reward() -> None:
    dead = episode(stats={"game": {"cogs/aligned.junction.held": 0.0}, "agent": [{**MOVES, "hp.amount": 0.0}] * 2})
    assert survival_check(trial(dead)).status == junctions_check(trial(dead)).status == "warning"
    assert survival_check(trial(episode())).why == "100% of its agents are alive after 4 steps"
    assert "is 6 on average" in junctions_check(trial(episode())).why


def test_all_checks_of_a_trial() -> None:
    played = trial(episode(), noops=(1.0,))
    smoke = trial_checks(played, latency_ms=10, level=0.95, smoke=True, recorded=Recorded(why_not="none"))
    names = ["isolation", "plays", "latency", "acts", "conduct", "score, recorded", "score, noop"]
    assert [check.name for check in smoke] == names
    whole = trial_checks(played, latency_ms=10, level=0.95, smoke=False, recorded=Recorded(why_not="none"))
    assert [check.name for check in whole] == [*names, "survival", "junctions"]
    broken = trial(replace(episode(), error_kind="time", error="slow", rewards=(), stats={}, timeouts=()), noops=(1.0,))
    found = trial_checks(broken, latency_ms=10, level=0.95, smoke=False, recorded=Recorded(why_not="none"))
    assert [check.name for check in found if check.status == "failed"] == ["plays"]


def test_figures_and_matches() -> None:
    split = episode("1 of 2 with noop", assignments=(0, 1), rewards=(3.0, 5.0))
    played = trial(episode(), split, noops=(1.0,), pool={"1 of 2 with noop": "noop"})
    measured = figures(played)
    assert (measured["validation/reward"], measured["validation/noop_reward"]) == (1.5, 1.0)
    assert (measured["validation/latency_max_ms"], measured["validation/junctions_held"]) == (9.0, 6.0)
    rows = {row[0]: row[1:] for row in matches_table(played).rows}
    assert rows["self-play"][:3] == ("1", "1.5", "-")
    assert rows["1 of 2 with noop"][:3] == ("1", "3", "5")
    assert rows["noop"][1] == "1"


@pytest.mark.parametrize(("agents", "sizes"), [(8, [2, 4, 6]), (4, [1, 2, 3]), (2, [1]), (1, []), (7, [2, 4, 5])])
def test_splits_are_scaled_to_the_team(agents: int, sizes: list[int]) -> None:
    assert split_sizes(agents) == sizes
