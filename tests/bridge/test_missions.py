"""Missions as CoGames 0.17.1 really builds them."""

import os
from pathlib import Path

import pytest

from daf.bridge.catalogue import catalogue, live_catalogue
from daf.bridge.mission_names import UNPLAYABLE
from daf.bridge.missions import agent_count, build_mission, mission_digest, why_unplayable
from daf.bridge.simulations import prepare_mission
from daf.config.names import expand_missions
from daf.records import MissionSpec

ARENA = "cogsguard_arena.basic"


def test_the_stored_catalogue_is_what_cogames_says() -> None:
    assert live_catalogue() == catalogue()


def test_max_steps_keeps_the_reward_normalised() -> None:
    """Changing max_steps after the mission is built would leave the old weight of a step."""
    for steps in (100, 400):
        config = build_mission(MissionSpec(name=ARENA, max_steps=steps))[1]
        assert config.game.max_steps == steps
        (reward,) = config.game.agents[0].rewards.values()
        assert reward.reward.weights == [1 / steps]


def test_label_options_and_digest() -> None:
    spec = MissionSpec(name=ARENA, variants=("energized", "credit"), cogs=4, max_steps=50, difficulty="easy")
    label, config = build_mission(spec)
    assert label == "cogsguard_arena.basic.easy.energized.num_cogs.credit"
    assert agent_count(spec) == config.game.num_agents == 4
    assert mission_digest(spec) != mission_digest(MissionSpec(name=ARENA, cogs=4, max_steps=50))


def test_a_built_mission_is_the_callers_own() -> None:
    spec = MissionSpec(name=ARENA, cogs=2, max_steps=50)
    before = mission_digest(spec)
    build_mission(spec)[1].game.max_steps = 7
    assert build_mission(spec)[1].game.max_steps == 50
    assert mission_digest(spec) == before


def test_missions_that_cogames_cannot_find_by_name_are_built() -> None:
    label, config = build_mission(
        MissionSpec(name="cogsguard_evals.eval_balanced_spread", variants=("credit",), cogs=8, max_steps=60)
    )
    assert label.startswith("cogsguard_evals.eval_balanced_spread")
    assert (config.game.num_agents, config.game.max_steps) == (8, 60)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (MissionSpec(name="evals.diagnostic_memory"), "exceeds available spawn points 4"),
        (MissionSpec(name=ARENA, cogs=12), "agents in the group"),
        (MissionSpec(name=ARENA, cogs=50), "between 1 and 20"),
        (MissionSpec(name=ARENA, variants=("multi_team", "caves")), "multi_team, caves conflict"),
        (MissionSpec(name=ARENA, variants=("multi_team", "empty_base")), ""),
    ],
)
def test_what_cannot_be_played_is_found_before_it_is(spec: MissionSpec, reason: str) -> None:
    found = why_unplayable(spec)
    assert found is not None
    assert reason in found


@pytest.mark.parametrize("name", UNPLAYABLE)
def test_missions_that_sets_leave_out_cannot_be_played_by_any_number_of_cogs(name: str) -> None:
    assert name in catalogue().missions
    assert all(why_unplayable(MissionSpec(name=name, cogs=cogs)) for cogs in range(1, 9))


def test_what_can_be_played_is_let_through() -> None:
    assert why_unplayable(MissionSpec(name="evals.diagnostic_memory", cogs=4)) is None
    assert why_unplayable(MissionSpec(name=ARENA)) is None


def test_mission_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from cogames.cli.mission import get_mission\n"
        "def get_config():\n    return get_mission('cogsguard_arena.basic', cogs=3, steps=40)[1]\n"
    )
    label, config = build_mission(MissionSpec(name=str(path)))
    assert (label, config.game.num_agents, config.game.max_steps) == (str(path), 3, 40)
    with pytest.raises(ValueError, match="cannot apply variants"):
        build_mission(MissionSpec(name=str(path), variants=("credit",)))
    with pytest.raises(ValueError, match=r"fixes max_steps at 40.*set mission\.max_steps=null"):
        build_mission(MissionSpec(name=str(path), max_steps=50))
    with pytest.raises(ValueError, match="cannot read YAML"):
        build_mission(MissionSpec(name=str(tmp_path / "mine.yaml")))


def test_an_edited_mission_file_is_another_mission(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    steps = []
    for count in (40, 50):
        path.write_text(
            "from cogames.cli.mission import get_mission\n"
            f"def get_config():\n    return get_mission('cogsguard_arena.basic', cogs=3, steps={count})[1]\n"
        )
        # Seconds apart: Python takes a module's cached bytecode for the newest where second and size are the same.
        os.utime(path, (count, count))
        steps.append(prepare_mission(MissionSpec(name=str(path))).config.game.max_steps)
    assert steps == [40, 50]


def test_patterns_and_sets() -> None:
    assert expand_missions(["arena*"]) == [ARENA]
    assert len(expand_missions(["diagnostic_evals"])) == 13
    assert len(expand_missions(["cogsguard_evals"])) == 15
    assert expand_missions([ARENA, "arena*", "integrated_evals"]) == [ARENA, "hello_world.energy_starved"]
