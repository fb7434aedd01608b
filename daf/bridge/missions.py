"""Missions: by name, pattern, set or file, built into the configuration that the simulator takes."""

import functools
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from daf.bridge.imports import contained, surviving
from daf.bridge.mission_names import is_mission_file
from daf.errors import missing_requirement
from daf.files import is_there
from daf.records import MissionSpec, digest

if TYPE_CHECKING:
    from cogames.cogs_vs_clips.mission import CvCMission
    from mettagrid import MettaGridConfig


def build_mission(spec: MissionSpec) -> tuple[str, "MettaGridConfig"]:
    """Builds a mission.

    Returns:
        The mission's full label (variants included) and a new configuration, safe to change.

    Raises:
        ValueError: unknown mission, variant, difficulty or reward term, more cogs than the site allows, a mission file
            that cannot be read or that was given options which CoGames would silently drop.
    """
    label, config, _ = _built(spec, _file_time(spec))
    return label, config.model_copy(deep=True)


def mission_digest(spec: MissionSpec) -> str:
    """SHA-256 of everything in the mission's configuration but its label."""
    return _built(spec, _file_time(spec))[2]


def _file_time(spec: MissionSpec) -> int | None:
    """When a mission file was written, so that an edited one is read anew."""
    return Path(spec.name).stat().st_mtime_ns if is_mission_file(spec.name) and is_there(Path(spec.name)) else None


@functools.lru_cache(maxsize=256)
def _built(spec: MissionSpec, file_time: int | None) -> tuple[str, "MettaGridConfig", str]:
    with contained():
        from cogames.cli.mission import get_mission
    if is_mission_file(spec.name):
        name, config = _build_from_file(spec)
    elif (mission := _cogsguard_evals().get(spec.name)) is not None:
        name, config = _build_from_mission(mission, spec)
    else:
        # steps= and not a later change of max_steps: the reward's weight is fixed while the mission is built.
        name, config, _ = get_mission(
            spec.name,
            variants_arg=list(spec.variants) or None,
            cogs=spec.cogs,
            steps=spec.max_steps,
            difficulty=spec.difficulty,
        )
        name = config.label or name
    _fix_map(config, spec)
    _drop_rewards(config, spec)
    return name, config, digest(config.model_dump(mode="json", exclude={"label"}, warnings=False))


def _fix_map(config: "MettaGridConfig", spec: MissionSpec) -> None:
    from mettagrid.map_builder.map_builder import HasSeed

    if spec.map_seed is not None and isinstance(config.game.map_builder, HasSeed):
        config.game.map_builder.seed = spec.map_seed


def _drop_rewards(config: "MettaGridConfig", spec: MissionSpec) -> None:
    agents = [*config.game.agents, config.game.agent]
    known = sorted({term for agent in agents for term in agent.rewards})
    unknown = sorted(set(spec.without_rewards) - set(known))
    if unknown:
        has = f"It has {', '.join(known)}" if known else "It has none"
        raise ValueError(f"{spec.name} has no reward term {', '.join(unknown)}. {has}.")
    for agent in agents:
        agent.rewards = {name: term for name, term in agent.rewards.items() if name not in spec.without_rewards}


def _build_from_file(spec: MissionSpec) -> tuple[str, "MettaGridConfig"]:
    from cogames.cli.mission import get_mission

    ignored = [key for key in ("variants", "cogs", "difficulty") if getattr(spec, key)]
    if ignored:
        raise ValueError(f"{spec.name} is a mission file; CoGames cannot apply {', '.join(ignored)} to it.")
    if Path(spec.name).suffix in {".yaml", ".yml"}:
        raise ValueError(
            f"{spec.name}: CoGames 0.17.1 cannot read YAML mission files. Use a .py file with get_config()."
        )
    with contained(), surviving(f"reading {spec.name}"):
        _, config, _ = get_mission(spec.name)
    if spec.max_steps is not None and spec.max_steps != config.game.max_steps:
        raise ValueError(
            f"{spec.name} fixes max_steps at {config.game.max_steps}, and its rewards with it. It cannot be"
            f" {spec.max_steps}: set mission.max_steps=null, or change it in the file."
        )
    return spec.name, config


def _build_from_mission(mission: "CvCMission", spec: MissionSpec) -> tuple[str, "MettaGridConfig"]:
    """What `get_mission` does by name, for the missions that it cannot find by name."""
    from cogames.cli.mission import parse_difficulty
    from cogames.cogs_vs_clips.cogsguard_curriculum import split_variants
    from cogames.cogs_vs_clips.mission import NumCogsVariant
    from cogames.cogs_vs_clips.reward_variants import apply_reward_variants

    variants, reward_variants = split_variants(list(spec.variants))
    difficulty = parse_difficulty(spec.difficulty)
    mission = mission.model_copy(deep=True)
    if spec.max_steps is not None:
        mission.max_steps = spec.max_steps
    chain = [*([difficulty] if difficulty else []), *variants]
    if spec.cogs is not None:
        chain.append(NumCogsVariant(num_cogs=spec.cogs))
    mission = mission.with_variants(chain)
    config = mission.make_env()
    if reward_variants:
        apply_reward_variants(config, variants=reward_variants)
    return config.label or mission.full_name(), config


@functools.cache
def _cogsguard_evals() -> dict[str, "CvCMission"]:
    from cogames.cli.mission import load_mission_set

    return {mission.full_name(): mission for mission in load_mission_set("cogsguard_evals")}


def mission_names(mission_set: str | None = None) -> list[str]:
    """Full names of all missions, or of those in one of `MISSION_SETS`."""
    with contained():
        from cogames.cli.mission import get_all_eval_missions, get_all_missions, load_mission_set
    if mission_set is None:
        return [*get_all_missions(), *get_all_eval_missions(), *_cogsguard_evals()]
    return list(dict.fromkeys(mission.full_name() for mission in load_mission_set(mission_set)))


def variant_names() -> list[str]:
    """Names of all mission variants and reward variants."""
    with contained():
        from cogames.cogs_vs_clips.cogsguard_curriculum import HIDDEN_VARIANTS, VARIANTS
        from cogames.cogs_vs_clips.reward_variants import AVAILABLE_REWARD_VARIANTS
    return [*(variant.name for variant in [*VARIANTS, *HIDDEN_VARIANTS]), *AVAILABLE_REWARD_VARIANTS]


def why_unplayable(spec: MissionSpec) -> str | None:
    """Builds the mission and one simulation of it; returns what went wrong, or None.

    Only the simulator knows whether the map has room for the agents: `get_mission` accepts numbers that it refuses.
    """
    with contained():
        from mettagrid.runner.rollout import resolve_env_for_seed
        from mettagrid.simulator import Simulator
    simulator_logger = logging.getLogger("mettagrid.simulator.simulator")
    level = simulator_logger.level
    # On failure it logs the whole configuration, some thousands of lines.
    simulator_logger.setLevel(logging.CRITICAL)
    try:
        _, config = build_mission(spec)
        Simulator().new_simulation(resolve_env_for_seed(config, 0), 0).close()
    except AssertionError as error:
        return str(error) or f"the variants {', '.join(spec.variants)} conflict on this map"
    except Exception as error:  # the simulator raises whatever its C++ side throws
        if missing_requirement(error):
            raise
        return f"{error}"
    finally:
        simulator_logger.setLevel(level)
    return None


def agent_count(spec: MissionSpec) -> int:
    """Number of agents in an episode of the mission."""
    return int(_built(spec, _file_time(spec))[1].game.num_agents)


def max_steps(spec: MissionSpec) -> int:
    """Length of an episode of the mission in steps."""
    return int(_built(spec, _file_time(spec))[1].game.max_steps)
