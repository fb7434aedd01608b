"""One episode through CoGames' rollout."""

import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from daf.bridge.imports import contained, seed_everything
from daf.bridge.missions import build_mission, mission_digest
from daf.bridge.observations import quick_observations
from daf.bridge.policies import load_policy, policy_digest
from daf.bridge.simulations import prepare_mission, translated_once
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec

if TYPE_CHECKING:
    from mettagrid import MettaGridConfig
    from mettagrid.policy.policy_env_interface import PolicyEnvInterface
    from mettagrid.simulator.replay_log_writer import EpisodeReplay


def policy_interface(mission: MissionSpec) -> "PolicyEnvInterface":
    """What a policy class gets to know of the environment when it is built."""
    with contained():
        from mettagrid.policy.policy_env_interface import PolicyEnvInterface
    return PolicyEnvInterface.from_mg_cfg(build_mission(mission)[1])


def play_official(plan: EpisodePlan) -> EpisodeRecord:
    """Plays one episode exactly as `cogames.evaluate.evaluate` would, after seeding the policies' generators.

    It differs in nothing but that seeding: `evaluate` leaves `random`, numpy and torch as they happen to be.

    Raises:
        ValueError: assignments that do not fit the mission or the policies.
    """
    with contained():
        from mettagrid.policy.policy_env_interface import PolicyEnvInterface
    started = time.perf_counter()
    digests = loaded_digests(plan)
    prepared = prepare_mission(plan.mission)
    config = prepared.config_for(plan.seed)
    check_assignments(plan, config.game.num_agents)
    seed_everything(plan.seed)
    interface = PolicyEnvInterface.from_mg_cfg(config)
    with translated_once(prepared), quick_observations():
        result, replay = _roll_out(plan, config, interface)
    return make_record(
        plan,
        digests,
        label=prepared.label,
        rewards=result.rewards,
        action_timeouts=result.action_timeouts,
        stats=result.stats,
        time_averaged_game_stats=result.time_averaged_game_stats,
        steps=result.steps,
        max_steps=config.game.max_steps,
        wall_time_s=time.perf_counter() - started,
        backend="official",
        replay_path=write_replay(replay, plan.replay_dir) if replay and plan.replay_dir else None,
    )


def _roll_out(
    plan: EpisodePlan, config: "MettaGridConfig", interface: "PolicyEnvInterface"
) -> tuple[Any, "EpisodeReplay | None"]:
    """Loads the plan's policies and plays; returns CoGames' result and the replay, if one was asked for."""
    with contained():
        from mettagrid.runner.rollout import single_episode_rollout
    return single_episode_rollout(
        [load_policy(interface, spec, plan.device) for spec in plan.policies],
        list(plan.assignments),
        config,
        seed=plan.seed,
        max_action_time_ms=plan.max_action_time_ms,
        render_mode="none",
        autostart=False,
        capture_replay=plan.replay_dir is not None,
        policy_names=[spec.name for spec in plan.policies],
    )


def write_replay(replay: "EpisodeReplay", folder: str) -> str:
    """Writes a replay under a new name into `folder`, which is made if need be; returns its absolute path."""
    path = Path(folder, f"{uuid.uuid4()}.json.z").resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    replay.write_replay(path.as_uri())
    return str(path)


def check_assignments(plan: EpisodePlan, num_agents: int) -> None:
    """Raises ValueError unless every agent is assigned to one of the plan's policies."""
    if len(plan.assignments) != num_agents or not all(0 <= i < len(plan.policies) for i in plan.assignments):
        raise ValueError(
            f"assignments {list(plan.assignments)} do not give each of {num_agents} agents"
            f" one of {len(plan.policies)} policies"
        )


class LoadedDigests(TypedDict):
    """What a record says about the files behind it."""

    mission_digest: str
    policy_digests: tuple[str, ...]


def loaded_digests(plan: EpisodePlan) -> LoadedDigests:
    """Digests of a plan's mission and policies: to be taken before they are loaded, since files may be replaced."""
    return LoadedDigests(
        mission_digest=mission_digest(plan.mission),
        policy_digests=tuple(policy_digest(spec) for spec in plan.policies),
    )


def make_record(
    plan: EpisodePlan, digests: LoadedDigests, *, label: str, stats: dict[str, Any], **outcome: Any
) -> EpisodeRecord:
    """The record of a played plan, with numbers turned into plain Python ones."""
    rewards = tuple(float(reward) for reward in outcome.pop("rewards"))
    timeouts = tuple(int(count) for count in outcome.pop("action_timeouts"))
    averages = {name: float(value) for name, value in outcome.pop("time_averaged_game_stats").items()}
    return EpisodeRecord(
        mission=label,
        mission_name=plan.mission.name,
        policies=tuple(spec.name for spec in plan.policies),
        **digests,
        seed=plan.seed,
        assignments=plan.assignments,
        rewards=rewards,
        action_timeouts=timeouts,
        stats={
            "game": {name: float(value) for name, value in stats.get("game", {}).items()},
            "agent": [{name: float(value) for name, value in agent.items()} for agent in stats.get("agent", [])],
        },
        time_averaged_game_stats=averages,
        **outcome,
    )
