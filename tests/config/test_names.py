"""Missions by their short names, wherever one may be named."""

import pytest

from daf.config import daf_load_config
from daf.config.missions import mission_specs
from daf.config.names import mission_name, mission_pattern
from daf.config.paths import CONF_DIR


@pytest.mark.parametrize("option", [path.stem for path in (CONF_DIR / "mission").glob("*.yaml")])
def test_an_option_of_the_group_names_the_same_mission_everywhere(option: str) -> None:
    full = daf_load_config(overrides=[f"mission={option}"]).mission.name
    assert mission_name(option) == full
    assert daf_load_config(overrides=[f"mission.name={option}"]).mission.name == full
    config = daf_load_config(overrides=[f"evaluation.missions=[{option},{full}]"])
    assert config.evaluation.missions == (full, full)
    assert [mission.name for mission in mission_specs(config)] == [full]


def test_the_name_behind_the_dot_is_enough_where_one_mission_has_it() -> None:
    assert mission_name("energy_starved") == "hello_world.energy_starved"
    with pytest.raises(ValueError, match=r"2 missions are called 'basic': .*cogsguard_arena.basic"):
        mission_name("basic")
    with pytest.raises(ValueError, match="Did you mean miner_tutorial"):
        mission_name("miner_tutorail")


@pytest.mark.parametrize("pattern", ["arena*", "diagnostic_evals", "all"])
def test_patterns_and_sets_stay_as_they_are_written(pattern: str) -> None:
    assert mission_pattern(pattern) == pattern
