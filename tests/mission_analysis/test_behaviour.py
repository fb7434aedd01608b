"""Behaviour and success against hand-made episodes."""

import pytest

from daf.bridge.episode import play_official
from daf.bridge.inspection import mission_facts
from daf.mission_analysis import daf_analyze_mission, episode_behaviour
from daf.mission_analysis.behaviour import SuccessCriterion, mission_behaviour
from daf.records import EpisodePlan, MissionSpec, PolicySpec
from tests.made_up import made_up_episode as episode

ARENA = MissionSpec(name="cogsguard_arena.basic", cogs=2, max_steps=20)


def test_behaviour_of_a_made_up_episode() -> None:
    agents: list[dict[str, float]] = [
        {
            "carbon.gained": 3, "silicon.gained": 1, "energy.lost": 80, "energy.amount": 3, "death": 1,
            "action.move.success": 40, "action.move.failed": 60, "status.max_steps_without_motion": 50,
        },
        {"energy.amount": 20, "action.move.success": 60, "status.max_steps_without_motion": 49},
    ]  # fmt: skip
    record = episode(agents=agents, game={"cogs/aligned.junction.held": 250.0, "clips/aligned.junction.held": 999.0})
    behaviour = episode_behaviour(record, move_energy=4)
    assert behaviour["resources gained per agent"] == 2
    assert behaviour["energy spent per step"] == pytest.approx(0.4)
    assert behaviour["moves per step"] == pytest.approx(0.5)
    assert behaviour["share of moves that fail"] == pytest.approx(60 / 160)
    assert behaviour["junctions held by cogs, mean over time"] == pytest.approx(2.5)
    assert behaviour["share of agents stuck"] == 0.5
    assert behaviour["share of agents out of energy at the end"] == 0.5
    assert behaviour["share of agents that died"] == behaviour["deaths per agent"] == 0.5


def test_noop_is_seen_to_stand_still() -> None:
    plan = EpisodePlan(
        mission=ARENA, policies=(PolicySpec(name="noop", class_path="noop"),), assignments=(0, 0), seed=1_000_000
    )
    behaviour = episode_behaviour(play_official(plan), mission_facts(ARENA).move_energy)
    assert (behaviour["share of agents stuck"], behaviour["moves per step"]) == (1.0, 0.0)
    assert mission_facts(ARENA).move_energy == 4


def test_success_is_counted_against_a_threshold_or_a_reference() -> None:
    records = [episode(seed, reward=reward) for seed, reward in enumerate((0.1, 0.5, 0.5, 0.9))]
    table = daf_analyze_mission({"p": records}, move_energy=4, success_threshold=0.5)
    label, cell = table.rows[-1]
    assert label == "success: reward > 0.5"
    # Wilson's interval of 1 in 4: Agresti and Coull (1998), equation 2.
    assert cell == "25% (5% to 70%), 1 of 4"
    reference = {0: 0.2, 1: 0.4, 2: 0.4}
    table = daf_analyze_mission({"p": records}, move_energy=4, reference=reference)
    assert table.rows[-1][0] == "success: reward > noop's on the same seed"
    assert table.rows[-1][1].endswith("2 of 3")
    with pytest.raises(ValueError, match="threshold or a reference"):
        daf_analyze_mission({"p": records}, move_energy=4)


def test_intervals_stay_where_their_means_can_be() -> None:
    records = [episode(seed, agents=[{"heart.gained": float(seed == 0)}]) for seed in range(8)]
    table = daf_analyze_mission({"p": records}, move_energy=4, success_threshold=0)
    cells = {row[0]: row[1] for row in table.rows}
    assert cells["hearts gained per agent"].startswith("0.125 (0 to ")
    assert cells["share of agents out of energy at the end"] == "1"


def test_intervals_have_the_level_that_was_asked_for() -> None:
    records = [episode(seed, reward=float(seed)) for seed in range(8)]
    criterion = SuccessCriterion(threshold=3.5)
    wide, narrow = (
        mission_behaviour({"p": records}, criterion, move_energy=4, level=level).policies["p"] for level in (0.99, 0.8)
    )
    for low, high in ((wide.metric, narrow.metric), (wide.success_share, narrow.success_share)):
        assert low is not None
        assert high is not None
        assert low.interval is not None
        assert high.interval is not None
        assert low.value == high.value
        assert low.interval.low < high.interval.low < high.interval.high < low.interval.high
        assert (low.interval.level, high.interval.level) == (0.99, 0.8)
