"""Missions and variants as building them shows."""

from dataclasses import replace

import pytest
from mettagrid.simulator import Simulator

from daf.bridge.inspection import mission_facts
from daf.bridge.simulations import prepare_mission
from daf.mission_analysis import daf_find_variant_conflicts, daf_list_missions, daf_list_variants
from daf.records import MissionSpec

ARENA = MissionSpec(name="cogsguard_arena.basic", cogs=2, max_steps=20)


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


def test_a_variant_that_cannot_be_played_is_named() -> None:
    caves, energized = daf_list_variants(replace(ARENA, variants=("multi_team",)), ["caves", "energized"])
    assert caves.problem
    assert caves.changes is None
    assert (energized.problem, energized.changes) == (None, True)
