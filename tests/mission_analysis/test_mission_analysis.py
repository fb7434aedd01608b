"""Missions and variants as building them shows; behaviour, success and correlations against hand-made episodes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from scipy import stats

from daf.bridge.episode import play_official
from daf.bridge.inspection import mission_facts
from daf.bridge.simulations import prepare_mission
from daf.config import DAFConfig
from daf.mission_analysis import (
    daf_analyze_mission,
    daf_find_variant_conflicts,
    daf_list_missions,
    daf_list_variants,
    daf_metric_correlations,
    daf_show_missions,
    episode_behaviour,
)
from daf.records import EpisodePlan, MissionSpec, PolicySpec
from daf.tracking.tracker import Tracker
from tests.made_up import made_up_record

Load = Callable[..., DAFConfig]

ARENA = MissionSpec(name="cogsguard_arena.basic", cogs=2, max_steps=20)
STEPS = 100


def episode(seed: int = 0, *, reward: float = 0.0, agents: Sequence[dict[str, float]] = ({}, {}), **game: float) -> Any:
    """A record with the stats that a test is about."""
    stats = {name.replace("__", "/").replace("_", "."): value for name, value in game.items()}
    seats, rewards = (0,) * len(agents), (reward,) * len(agents)
    return made_up_record(seats, rewards, policies=("p",), seed=seed, game=stats, agents=agents, steps=STEPS)


def test_all_missions_are_listed_with_what_their_configuration_says() -> None:
    found = {mission.name: mission for mission in daf_list_missions()}
    assert len(found) == 51
    arena, large = found["cogsguard_arena.basic"], found["large_hello_world.easy_large_hearts"]
    assert (arena.agents, arena.max_steps, arena.map_size, arena.sets) == (8, 1000, (60, 60), ("all",))
    assert (large.map_size, large.sets) == ((510, 510), ("spanning_evals", "all"))
    assert {mission.agents for mission in found.values()} == {4, 7, 8}


@pytest.mark.parametrize(
    ("name", "cogs"),
    [("cogsguard_arena.basic", 4), ("evals.diagnostic_memory", 4), ("cogsguard_evals.eval_clip_oxygen", None)],
)
def test_the_size_of_a_map_is_that_of_the_simulation(name: str, cogs: int | None) -> None:
    from mettagrid.simulator import Simulator

    spec = MissionSpec(name=name, cogs=cogs)
    simulation = Simulator().new_simulation(prepare_mission(spec).config_for(0), 0)
    assert mission_facts(spec).map_size == (simulation.map_width, simulation.map_height)


def test_missions_with_too_few_places_are_found_with_the_number_that_fits() -> None:
    names = ["evals.diagnostic_chest_navigation2", "training_facility.easy_hearts_training", "cogsguard_arena.basic"]
    diagnostic, facility, arena = daf_list_missions(names, check=True)
    assert "spawn points 4" in str(diagnostic.problem)
    assert diagnostic.playable_cogs == 4
    assert facility.problem
    assert facility.playable_cogs is None
    assert (arena.problem, arena.playable_cogs) == (None, None)


def test_variants_that_change_nothing_are_found() -> None:
    # At its own length: in an episode of few steps some variants come too late to change anything.
    found = {variant.name: variant for variant in daf_list_variants(replace(ARENA, max_steps=None))}
    assert {name for name, variant in found.items() if variant.changes is False} == {
        "small_50", "super_charged", "standard", "hard", "single_use", "energy_crisis", "objective",
    }  # fmt: skip
    assert [variant.problem for variant in found.values() if variant.problem] == []
    assert found["credit"].reward
    assert not found["caves"].reward


def test_conflicts_of_variants_are_found_in_their_order() -> None:
    variants = ["multi_team", "caves", "empty_base", "energized"]
    found = {(one.first, one.second): one.problem for one in daf_find_variant_conflicts(ARENA, variants)}
    assert ("multi_team", "caves") in found
    assert all("multi_team" in pair for pair in found)
    assert all("energized" not in pair for pair in found)
    assert all(found.values())


def test_a_variant_that_cannot_be_played_is_told() -> None:
    caves, energized = daf_list_variants(replace(ARENA, variants=("multi_team",)), ["caves", "energized"])
    assert caves.problem
    assert caves.changes is None
    assert (energized.problem, energized.changes) == (None, True)


def test_behaviour_of_a_made_up_episode() -> None:
    agents: list[dict[str, float]] = [
        {
            "carbon.gained": 3, "silicon.gained": 1, "energy.lost": 80, "energy.amount": 3, "death": 1,
            "action.move.success": 40, "action.move.failed": 60, "status.max_steps_without_motion": 50,
        },
        {"energy.amount": 20, "action.move.success": 60, "status.max_steps_without_motion": 49},
    ]  # fmt: skip
    record = episode(agents=agents, cogs__aligned_junction_held=250.0, clips__aligned_junction_held=999.0)
    told = episode_behaviour(record, move_energy=4)
    assert told["resources gained per agent"] == 2
    assert told["energy spent per step"] == pytest.approx(0.4)
    assert told["moves per step"] == pytest.approx(0.5)
    assert told["share of moves that fail"] == pytest.approx(60 / 160)
    assert told["junctions held by cogs, mean over time"] == pytest.approx(2.5)
    assert told["share of agents stuck"] == 0.5
    assert told["share of agents out of energy at the end"] == 0.5
    assert told["share of agents that died"] == told["deaths per agent"] == 0.5


def test_noop_is_seen_to_stand_still() -> None:
    plan = EpisodePlan(
        mission=ARENA, policies=(PolicySpec(name="noop", class_path="noop"),), assignments=(0, 0), seed=1_000_000
    )
    told = episode_behaviour(play_official(plan), mission_facts(ARENA).move_energy)
    assert (told["share of agents stuck"], told["moves per step"]) == (1.0, 0.0)
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


def test_correlations_are_scipy_s_with_an_interval() -> None:
    rng = np.random.default_rng(1)
    shared = rng.normal(size=30)
    agents = [[{"a": x + e, "b": 1.0, "c": -x}] for x, e in zip(shared, rng.normal(size=30), strict=True)]
    records = [episode(seed, reward=x, agents=own) for seed, (x, own) in enumerate(zip(shared, agents, strict=True))]
    strongest, weaker = daf_metric_correlations(records)
    assert (strongest.metric, strongest.interval) == ("agent/c", None)
    assert strongest.value == pytest.approx(-1)
    expected = stats.spearmanr([own[0]["a"] for own in agents], shared)
    assert weaker.metric == "agent/a"
    assert weaker.value == pytest.approx(expected.statistic)
    # Two metrics were looked at, and the weaker one's p-value is the larger: it stays as it is.
    assert weaker.p_value == pytest.approx(expected.pvalue)
    assert weaker.interval is not None
    assert weaker.interval.low < weaker.value < weaker.interval.high


def test_intervals_stay_where_their_means_can_be() -> None:
    records = [episode(seed, agents=[{"heart.gained": float(seed == 0)}]) for seed in range(8)]
    table = daf_analyze_mission({"p": records}, move_energy=4, success_threshold=0)
    cells = {row[0]: row[1] for row in table.rows}
    assert cells["hearts gained per agent"].startswith("0.125 (0 to ")
    assert cells["share of agents out of energy at the end"] == "1"


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


def test_the_task_tells_and_logs_behaviour(tiny: Load, tracker: Tracker, store: str) -> None:
    config = tiny(
        "task=missions",
        "variant=mining",
        "mission.max_steps=60",
        "evaluation.episodes=10",
        "evaluation.baselines=[noop]",
    )
    result = daf_show_missions(config, tracker)
    missions, variants, told, *_ = result.tables
    assert len(missions.rows) == 51
    assert len(variants.rows) == 41
    assert told.columns == ("behaviour", "starter", "noop")
    rows = {row[0]: row[1:] for row in told.rows}
    assert rows["episodes"] == ("10", "10")
    assert rows["share of agents stuck"][1] == "1"
    success = rows["success: reward > noop's on the same seed"]
    assert success[1].endswith("0 of 10")
    assert "Intervals from fewer than 20 episodes (here 10) may be too narrow." in result.notes
    assert any("noop on cogsguard_arena.basic: reward is the same in all 10 episodes" in note for note in result.notes)
    tracker.close("FINISHED")
    client = MlflowClient(store)
    metrics = client.get_run(tracker.run_id).data.metrics
    assert metrics["behaviour/share of agents stuck/noop/cogsguard_arena.basic"] == 1
    assert "missions/episodes.jsonl" in [file.path for file in client.list_artifacts(tracker.run_id, "missions")]


def test_failures_are_told_with_the_file_that_holds_them(
    tiny: Load, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CoGames' chaos monkey raises at step 10 by design."""
    monkeypatch.setattr("daf.mission_analysis.task._discovery", lambda mission, everything: [])
    result = daf_show_missions(tiny("task=missions", "policy=noop", "evaluation.baselines=[chaos-monkey]"), tracker)
    (note,) = [note for note in result.notes if "2 episodes failed, the first with chaos-monkey" in note]
    assert note.endswith("All tracebacks: missions/failures.txt")
    assert "Chaos monkey" in (tracker.output_dir / "missions" / "failures.txt").read_text()
    rows = {row[0]: row[1] for row in result.tables[0].rows}
    assert rows["success: reward > noop's on the same seed"].endswith("0 of 2")


@pytest.mark.slow
def test_everything_is_checked_on_request(tiny: Load, tracker: Tracker) -> None:
    """As measured of CoGames 0.17.1: 14 missions cannot be played as they are, and pairs fail only with multi_team."""
    config = tiny("task=missions", "analysis.check=all", "evaluation.baselines=[]")
    missions, _, conflicts, *_ = daf_show_missions(config, tracker).tables
    playable = {row[0]: row[-1] for row in missions.rows}
    assert sum(answer == "with mission.cogs=4" for answer in playable.values()) == 13
    assert playable["training_facility.easy_hearts_training"].startswith("no: ")
    assert all("multi_team" in row[:2] for row in conflicts.rows)
    assert {"caves", "city", "desert", "forest"} <= {row[1] for row in conflicts.rows}
