"""Which policies the batched backend can play: those that are shown to act as in the official rollout."""

import dataclasses
import functools
import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from daf.bridge.batched.actors import EMPTY, FORMS, KNOWN_FORMS, Actor, NetworkActor, NetworkForm, StepBatchActor
from daf.bridge.batched.draws import Draws, load_seeded
from daf.bridge.imports import contained
from daf.bridge.simulations import PreparedMission, prepare_mission, translated_once
from daf.records import EpisodePlan, MissionSpec, PolicySpec

if TYPE_CHECKING:
    from mettagrid.policy.policy import MultiAgentPolicy
    from mettagrid.policy.policy_env_interface import PolicyEnvInterface

TRIAL_STEPS = 20
# A trial with the weights as they are, and some with random ones: a trained network that is sure of its first steps
# would act the same even if it were shown something else.
TRIAL_WEIGHTS = (None, 0, 1, 2)
# Their `step_batch` does the same for every agent, so that they can act for a part of the team.
KNOWN_STEP_BATCH = (
    "mettagrid.policy.noop.NoopPolicy",
    "cogames.policy.tutorial_overlay_policy.TutorialOverlayPolicy",
)


@dataclass(frozen=True)
class Manner:
    """How a policy class acts in batches.

    Attributes:
        form: how it uses its network, or None for a class that acts through its `step_batch`.
        shares_team: whether other policies may act for the rest of the team.
    """

    form: NetworkForm | None
    shares_team: bool = True

    def actor(self, policy: "MultiAgentPolicy", interface: "PolicyEnvInterface", agents: int, episodes: int) -> Actor:
        """An actor for `agents` agents in each of up to `episodes` episodes."""
        if self.form is None:
            return StepBatchActor(interface, agents=agents, episodes=episodes)
        return NetworkActor(policy, interface, self.form, agents=agents, episodes=episodes)


def manner_of(mission: MissionSpec, spec: PolicySpec) -> Manner | str:
    """How a policy acts in batches, or the reason why it cannot."""
    return _manner_of(mission, json.dumps(dataclasses.asdict(spec), sort_keys=True))


@functools.lru_cache(maxsize=1024)
def _manner_of(mission: MissionSpec, spec_json: str) -> Manner | str:
    with contained():
        from mettagrid.policy.policy_env_interface import PolicyEnvInterface
    spec = PolicySpec(**json.loads(spec_json))
    prepared = prepare_mission(mission)
    interface = PolicyEnvInterface.from_mg_cfg(prepared.config)
    plans = [
        EpisodePlan(mission=mission, policies=(spec,), assignments=(0,) * interface.num_agents, seed=seed)
        for seed in (0, 1)
    ]
    try:
        first, second = (load_seeded(plan, interface)[0][0] for plan in plans)
        has_weights = first.network() is None or _same_weights(first, second)
    except Exception as error:  # whatever a policy's constructor or its weights may raise
        return f"it cannot be loaded ({error})"
    if not has_weights:
        return "it has no weights of its own: CoGames gives it new random ones for every episode"
    candidates = _candidates(first)
    if not candidates:
        return "it is scripted: it has neither a network nor step_batch"
    path = f"{type(first).__module__}.{type(first).__qualname__}"
    if path in KNOWN_STEP_BATCH or path in KNOWN_FORMS:
        return Manner(KNOWN_FORMS.get(path))
    alike = (m for m in candidates if all(_acts_alike(m, plans[0], prepared, interface, w) for w in TRIAL_WEIGHTS))
    return next(alike, "its agents do not act on observations as its network or its step_batch does")


def _same_weights(first: "MultiAgentPolicy", second: "MultiAgentPolicy") -> bool:
    import torch

    networks: Any = (first.network(), second.network())
    one, other = (network.state_dict() for network in networks)
    return one.keys() == other.keys() and all(
        torch.allclose(one[name], other[name], rtol=0, atol=0, equal_nan=True) for name in one
    )


def _candidates(policy: "MultiAgentPolicy") -> list[Manner]:
    from mettagrid.policy.policy import MultiAgentPolicy

    manners = []
    if hasattr(policy.network(), "forward_eval"):
        manners += [Manner(form) for form in FORMS]
    if type(policy).step_batch is not MultiAgentPolicy.step_batch:
        manners.append(Manner(None, shares_team=False))
    return manners


def _acts_alike(
    manner: Manner, plan: EpisodePlan, prepared: PreparedMission, interface: "PolicyEnvInterface", weights: int | None
) -> bool:
    """Whether a policy chooses the same actions in batches as its agents do one by one, on the first steps.

    Args:
        weights: seeds the random weights that its network gets for the trial; None leaves them as they are.
    """
    from mettagrid.simulator import Simulator

    (policy,), generator = load_seeded(plan, interface)
    (official,), _ = load_seeded(plan, interface)
    if weights is not None:
        for network in (policy.network(), official.network()):
            _randomise(network, weights)
    try:
        actor = manner.actor(policy, interface, interface.num_agents, 1)
        actor.start_episode(0, policy)
    except Exception:  # the network does not take this form
        return False
    draws = Draws(generator, [actor.width] * interface.num_agents)
    with translated_once(prepared):
        simulation = Simulator().new_simulation(prepared.config_for(plan.seed), plan.seed)
    agents = [official.agent_policy(agent) for agent in range(interface.num_agents)]
    for agent in agents:
        agent.reset()
    trial = _Trial(simulation, simulation._c_sim.observations(), agents, actor, draws, interface.all_action_names)
    return all(trial.step_alike(step) for step in range(TRIAL_STEPS))


@dataclass(frozen=True)
class _Trial:
    """A simulation in which the agents of a policy act one by one, and its actor beside them.

    Attributes:
        observations: the engine's buffer (agents, tokens, 3).
        names: of the actions, in the order in which the actor numbers them.
    """

    simulation: Any
    observations: np.ndarray
    agents: list[Any]
    actor: Actor
    draws: Draws
    names: list[str]

    def step_alike(self, step: int) -> bool:
        """Takes a step, unless the episode is over; whether the agents and the actor chose the same actions for it."""
        if self.simulation.is_done():
            return True
        if step % 2:
            # Mostly empty, since maps are crowded and the way in which empty tokens are filled would hardly show.
            self.observations[:, step:] = EMPTY
        try:
            expected = [agent.step(self.simulation.agent(i).observation) for i, agent in enumerate(self.agents)]
            before = _generator_states()
            chosen = self._actors_choice()
        except Exception:  # a policy that fails does so in the official rollout, where the failure is reported
            return False
        # One that draws from the global generators would let the episodes in flight influence each other.
        if [action.name for action in expected] != chosen or _generator_states() != before:
            return False
        for i, action in enumerate(expected):
            self.simulation.agent(i).set_action(action)
        self.simulation.step()
        return True

    def _actors_choice(self) -> list[str]:
        self.actor.observations[0] = self.observations
        self.actor.draws[0] = self.draws.step().reshape(len(self.agents), self.actor.width)
        return [self.names[index] for index in self.actor.act([0])[0]]


def _randomise(network: Any, seed: int) -> None:
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters() if network is not None else ():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)


def _generator_states() -> tuple[Any, ...]:
    import torch

    return random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()
