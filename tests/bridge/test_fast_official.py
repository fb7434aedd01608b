"""The short cuts of `play_official` must not change a single number of CoGames' own rollout."""

import dataclasses
import json
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daf.bridge.episode import play_official, policy_interface
from daf.bridge.imports import contained, seed_everything
from daf.bridge.missions import build_mission
from daf.bridge.observations import quick_observations
from daf.bridge.policies import load_policy, resolve_policy
from daf.bridge.simulations import prepare_mission
from daf.records import EpisodePlan, MissionSpec, PolicySpec

with contained():
    from mettagrid.config import mettagrid_c_config
    from mettagrid.policy.noop import NoopPolicy
    from mettagrid.policy.policy import AgentPolicy
    from mettagrid.runner.rollout import resolve_env_for_seed, run_multi_episode_rollout
    from mettagrid.simulator import Action, AgentObservation, Simulator
    from mettagrid.simulator.interface import ObservationToken
    from mettagrid.simulator.simulator import Simulation, SimulationAgent

ARENA = MissionSpec(name="cogsguard_arena.basic", variants=("objective_mine",), cogs=4, max_steps=150)
SHORT = MissionSpec(name="cogsguard_arena.basic", cogs=2, max_steps=20)


class SlowAgent(AgentPolicy):  # type: ignore[misc]
    def step(self, obs: AgentObservation) -> Action:
        time.sleep(0.02 if obs.agent_id == 1 else 0)
        return Action(name="move_east")


class Slow(NoopPolicy):  # type: ignore[misc]
    """A policy whose second agent takes 20 ms for every action."""

    def agent_policy(self, agent_id: int) -> AgentPolicy:
        return SlowAgent(self.policy_env_info)


@pytest.fixture(scope="module")
def lstm(tmp_path_factory: pytest.TempPathFactory) -> str:
    seed_everything(0)
    path = tmp_path_factory.mktemp("weights") / "lstm.pt"
    load_policy(policy_interface(ARENA), PolicySpec(name="lstm", class_path="lstm")).save_policy_data(str(path))
    return str(path)


def plan_of(mission: MissionSpec, class_path: str, weights: str | None = None, **changes: Any) -> EpisodePlan:
    spec = PolicySpec(name=class_path, class_path=class_path, weights=weights)
    assignments = (0,) * (mission.cogs or 0)
    return dataclasses.replace(
        EpisodePlan(mission=mission, policies=(spec,), assignments=assignments, seed=5), **changes
    )


def unpatched(plan: EpisodePlan, replay_dir: Path | None = None) -> Any:
    seed_everything(plan.seed)
    result, _ = run_multi_episode_rollout(
        policy_specs=[resolve_policy(spec) for spec in plan.policies],
        assignments=plan.assignments,
        env_cfg=build_mission(plan.mission)[1],
        episodes=1,
        seed=plan.seed,
        max_action_time_ms=plan.max_action_time_ms,
        replay_dir=replay_dir,
        shuffle_assignments=False,
    )
    return result.episodes[0]


def assert_same(plan: EpisodePlan) -> None:
    record, official = play_official(plan), unpatched(plan)
    assert record.rewards == tuple(official.rewards)
    assert record.stats["agent"] == official.stats["agent"]
    assert record.stats["game"] == official.stats["game"]
    assert record.time_averaged_game_stats == official.time_averaged_game_stats
    assert record.action_timeouts == tuple(official.action_timeouts)
    assert (record.steps, record.max_steps) == (official.steps, official.max_steps)


@pytest.mark.parametrize("class_path", ["noop", "starter", "random", "miner", "lstm"])
def test_every_number_equals_the_unpatched_rollout(class_path: str, lstm: str) -> None:
    assert_same(plan_of(ARENA, class_path, lstm if class_path == "lstm" else None))


def test_missions_in_turn_do_not_share_a_translation() -> None:
    assert play_official(plan_of(SHORT, "starter")).rewards != (0.0, 0.0)
    for mission in (dataclasses.replace(SHORT, variants=("objective_mine",)), SHORT):
        assert_same(plan_of(mission, "starter"))


def test_a_replay_equals_the_unpatched_one(tmp_path: Path) -> None:
    plan = plan_of(SHORT, "starter", replay_dir=str(tmp_path))
    paths = [play_official(plan).replay_path, unpatched(plan, tmp_path).replay_path]
    ours, theirs = (json.loads(zlib.decompress(Path(str(path)).read_bytes())) for path in paths)
    assert ours == theirs


def test_slow_actions_still_time_out() -> None:
    record = play_official(plan_of(SHORT, f"{__name__}.Slow", max_action_time_ms=10))
    assert record.action_timeouts[1] == 20
    assert record.stats["agent"][1]["action.noop.success"] == 20


def test_quick_observations_are_equal() -> None:
    config = resolve_env_for_seed(build_mission(ARENA)[1], 2)
    simulation = Simulator().new_simulation(config, 2)
    moves = np.random.default_rng(0).integers(0, 5, (60, 4))
    for actions in moves:
        simulation._c_sim.actions()[:] = actions
        simulation.step()
        for agent in simulation.agents():
            slow = [_described(token) for token in agent.observation.tokens]
            with quick_observations():
                quick = [_described(token) for token in agent.observation.tokens]
            assert quick == slow and len(slow) > 10


def _described(token: ObservationToken) -> tuple[Any, ...]:
    return token.feature, token.value, tuple(token.raw_token), token.location, type(token.location), token.is_global


@pytest.mark.parametrize("class_path", ["noop", "chaos-monkey"])
def test_mettagrid_is_left_as_it_was(class_path: str) -> None:
    before = _patched_places()
    plan = plan_of(SHORT, class_path)
    if class_path == "chaos-monkey":
        with pytest.raises(RuntimeError):
            play_official(plan)
    else:
        play_official(plan)
    assert _patched_places() == before


def _patched_places() -> tuple[Any, ...]:
    return SimulationAgent.observation, ObservationToken.location, mettagrid_c_config.convert_to_cpp_game_config


def test_a_prepared_mission_has_the_seeds_own_map() -> None:
    prepared = prepare_mission(ARENA)
    maps = []
    for seed in (1, 2):
        official = resolve_env_for_seed(build_mission(ARENA)[1], seed)
        ours = prepared.config_for(seed)
        assert ours.game.map_builder == official.game.map_builder
        maps.append(_map(ours, seed))
        assert maps[-1] == _map(official, seed)
    assert maps[0] != maps[1]


def _map(config: Any, seed: int) -> list[tuple[int, int, str]]:
    simulation: Simulation = Simulator().new_simulation(config, seed)
    return [(o["r"], o["c"], o["type_name"]) for o in simulation.grid_objects().values()]
