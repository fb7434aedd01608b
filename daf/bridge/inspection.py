"""Looking at policies and missions without playing an episode: what they are made of, and how fast they act."""

import functools
import itertools
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daf.bridge.batched import why_not_batched
from daf.bridge.episode import policy_interface
from daf.bridge.imports import contained, seed_everything
from daf.bridge.missions import build_mission
from daf.bridge.policies import full_class_path, load_policy
from daf.bridge.simulations import prepare_mission
from daf.records import EpisodePlan, MissionSpec, PolicySpec

if TYPE_CHECKING:
    from mettagrid.policy.policy import MultiAgentPolicy


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of a network that holds parameters.

    Attributes:
        name: dotted path within the network.
        kind: class name, such as ``Linear``.
        shapes: shapes of its parameters.
        parameters: number of its parameters, less those that an earlier layer has already (shared weights).
    """

    name: str
    kind: str
    shapes: tuple[tuple[int, ...], ...]
    parameters: int


@dataclass(frozen=True, kw_only=True)
class PolicyParts:
    """What a policy is made of.

    Attributes:
        class_path: dotted path of the class.
        layers: of its network; empty for a scripted policy.
        parameters: number of trainable parameters, each counted once; 0 for a scripted policy.
        recurrent: whether the network carries a state from step to step; None without a network.
        step_batch: whether the class has a `step_batch`, which acts for all agents in one call.
    """

    class_path: str
    layers: tuple[Layer, ...]
    parameters: int
    recurrent: bool | None
    step_batch: bool


def policy_parts(mission: MissionSpec, spec: PolicySpec) -> PolicyParts:
    """Loads a policy and takes it apart.

    Raises:
        Exception: whatever the policy's constructor or its weights raise.
    """
    with contained():
        from mettagrid.policy.policy import MultiAgentPolicy
    policy = load_policy(policy_interface(mission), spec)
    network = policy.network()
    return PolicyParts(
        class_path=full_class_path(spec.class_path),
        layers=_layers(network),
        parameters=sum(p.numel() for p in network.parameters() if p.requires_grad) if network is not None else 0,
        recurrent=_is_recurrent(policy, network),
        step_batch=type(policy).step_batch is not MultiAgentPolicy.step_batch,
    )


def _layers(network: Any) -> tuple[Layer, ...]:
    layers = []
    counted: set[int] = set()
    for name, module in network.named_modules() if network is not None else ():
        if parameters := list(module.parameters(recurse=False)):
            new = sum(p.numel() for p in parameters if id(p) not in counted)
            counted.update(map(id, parameters))
            shapes = tuple(tuple(p.shape) for p in parameters)
            layers.append(Layer(name=name, kind=type(module).__name__, shapes=shapes, parameters=new))
    return tuple(layers)


def _is_recurrent(policy: "MultiAgentPolicy", network: Any) -> bool | None:
    import torch

    if network is None:
        return None
    if hasattr(policy, "is_recurrent"):
        return bool(policy.is_recurrent())
    return any(isinstance(module, torch.nn.RNNBase | torch.nn.RNNCellBase) for module in network.modules())


def why_class_not_batched(mission: MissionSpec, spec: PolicySpec) -> str | None:
    """Why the batched backend cannot play a policy once it has weights, or None.

    A network without weights is never played in batches, since CoGames gives it new ones for every episode. That says
    nothing about its class, so here it gets weights that stay.
    """
    agents = int(prepare_mission(mission).config.game.num_agents)
    with tempfile.TemporaryDirectory() as folder:
        policy = load_policy(policy_interface(mission), spec)
        if spec.weights is None and policy.network() is not None:
            weights = Path(folder) / "weights.pt"
            policy.save_policy_data(str(weights))
            spec = replace(spec, weights=str(weights))
        plan = EpisodePlan(mission=mission, policies=(spec,), assignments=(0,) * agents, seed=0)
        return why_not_batched(plan)


def time_policy(mission: MissionSpec, spec: PolicySpec, steps: int) -> list[float]:
    """Plays the first steps of an episode and returns the seconds of every action of every agent, in order.

    One torch thread, seed 0. Only the policy's `step` is timed: neither the simulation nor building observations.

    Raises:
        Exception: whatever the policy raises.
    """
    import torch
    from mettagrid.simulator import Simulator

    seed_everything(0)
    policy = load_policy(policy_interface(mission), spec)
    simulation = Simulator().new_simulation(prepare_mission(mission).config_for(0), 0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        agents = [policy.agent_policy(number) for number in range(simulation.num_agents)]
        for agent in agents:
            agent.reset()
        return list(itertools.chain.from_iterable(_timed_step(simulation, agents) for _ in range(steps)))
    finally:
        torch.set_num_threads(threads)
        simulation.close()


def _timed_step(simulation: Any, agents: list[Any]) -> list[float]:
    if simulation.is_done():
        return []
    seconds = []
    for number, agent in enumerate(agents):
        observation = simulation.agent(number).observation
        started = time.perf_counter()
        action = agent.step(observation)
        seconds.append(time.perf_counter() - started)
        simulation.agent(number).set_action(action)
    simulation.step()
    return seconds


@dataclass(frozen=True, kw_only=True)
class MissionFacts:
    """What a mission's configuration says.

    Attributes:
        map_size: columns and rows with the border, or None where only building the map shows it.
        move_energy: energy that a step costs.
    """

    agents: int
    max_steps: int
    map_size: tuple[int, int] | None
    move_energy: float


def mission_facts(spec: MissionSpec) -> MissionFacts:
    """Reads a mission's configuration, without building a simulation.

    Raises:
        ValueError: as `build_mission` does.
    """
    game = build_mission(spec)[1].game
    return MissionFacts(
        agents=game.num_agents,
        max_steps=game.max_steps,
        map_size=_map_size(game.map_builder),
        move_energy=float(game.actions.move.consumed_resources.get("energy", 0)),
    )


def _map_size(builder: Any) -> tuple[int, int] | None:
    """A generated map says its size; one drawn as text is as large as the text. A border runs around both."""
    drawn = getattr(getattr(builder, "instance", None), "map_data", None)
    width, height = getattr(builder, "width", None), getattr(builder, "height", None)
    if width is None or height is None:
        if not drawn:
            return None
        width, height = len(drawn[0]), len(drawn)
    border = 2 * getattr(builder, "border_width", 0)
    return width + border, height + border


@functools.cache
def reward_variant_names() -> tuple[str, ...]:
    """Names of the variants that only change rewards; CoGames applies them after all others."""
    with contained():
        from cogames.cogs_vs_clips.reward_variants import AVAILABLE_REWARD_VARIANTS
    return tuple(AVAILABLE_REWARD_VARIANTS)
