"""Actors: policies that act for many agents at once, from raw observations."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch
    from mettagrid.policy.policy import MultiAgentPolicy
    from mettagrid.policy.policy_env_interface import PolicyEnvInterface

STATE_NAMES = ("lstm_h", "lstm_c")
EMPTY = 255  # the byte with which the engine fills the tokens that it does not need
# Episodes per forward pass. Always the same number, idle ones included, since a matrix product can round differently
# when its shape changes, and an episode must not depend on how many others are in flight.
EPISODES_PER_PASS = 8


@dataclass(frozen=True)
class NetworkForm:
    """How the agents of a policy class use its network.

    Attributes:
        zero_padding: empty tokens become (255, 0, 0) for the network; the engine's are (255, 255, 255).
        scaled: the network takes floats between 0 and 1 instead of bytes.
        greedy: they take the most probable action instead of drawing one.
    """

    zero_padding: bool
    scaled: bool = False
    greedy: bool = False


FORMS = tuple(
    NetworkForm(padding, scaled, greedy)
    for greedy in (False, True)
    for scaled in (False, True)
    for padding in (False, True)
)
# Read from the source of each class. Anything else is tried out, see `support.py`.
KNOWN_FORMS = {
    "mettagrid.policy.lstm.LSTMPolicy": NetworkForm(zero_padding=True),
    "mettagrid.policy.puffer_default.PufferDefaultPolicy": NetworkForm(zero_padding=True),
    "mettagrid.policy.stateless.StatelessPolicy": NetworkForm(zero_padding=False),
    "cogames.policy.pufferlib_policy.PufferlibCogsPolicy": NetworkForm(zero_padding=False, scaled=True),
}


def fill_empty_tokens(observations: np.ndarray) -> None:
    """Turns the engine's empty tokens into those that some classes show their network, (255, 0, 0), in place.

    Args:
        observations: uint8 array (..., tokens, 3).
    """
    observations[observations[..., 1] == EMPTY] = (EMPTY, 0, 0)


def is_recurrent(policy: "MultiAgentPolicy") -> bool:
    """Whether a policy says that its network keeps a state from step to step."""
    return bool(getattr(policy, "is_recurrent", lambda: False)())


class Actor(Protocol):
    """One policy that acts for the same number of agents in each of several episodes.

    Attributes:
        width: variates that the choice of one action takes, 0 if none.
        observations: uint8 array (episodes, agents, tokens, 3), to be filled before `act`.
        draws: float32 array (episodes, agents, width), to be filled before `act`.
    """

    width: int
    observations: np.ndarray
    draws: np.ndarray

    def start_episode(self, slot: int, policy: "MultiAgentPolicy") -> None:
        """Prepares `slot` for a new episode, for which `policy` was loaded."""

    def act(self, slots: list[int]) -> np.ndarray:
        """Chooses actions for the episodes in `slots`.

        Returns:
            Indices into `PolicyEnvInterface.all_action_names` (episodes, agents); those of other episodes mean nothing.
        """


class NetworkActor:
    """An `Actor` whose actions come from the logits of a network.

    Raises:
        ValueError: on `act`, if the network gives NaN.
    """

    def __init__(
        self,
        policy: "MultiAgentPolicy",
        interface: "PolicyEnvInterface",
        form: NetworkForm,
        *,
        agents: int,
        episodes: int,
    ) -> None:
        network: Any = policy.network()
        self._network = network.eval()
        self._device = next(network.parameters()).device
        self._form = form
        self._recurrent = is_recurrent(policy)
        self._agents = agents
        self._rows = agents * EPISODES_PER_PASS
        passes = -(-episodes // EPISODES_PER_PASS)
        slots = passes * EPISODES_PER_PASS
        self.observations = np.full((slots, agents, *interface.observation_shape), EMPTY, dtype=np.uint8)
        self._states = [self._zero_state() for _ in range(passes)]
        self._choices = self._logits(0).shape[1]
        self._states[0] = self._zero_state()
        self.width = 0 if form.greedy else self._choices
        self.draws = np.ones((slots, agents, self.width), dtype=np.float32)

    def _zero_state(self) -> "dict[str, torch.Tensor] | None":
        import torch

        if not self._recurrent:
            return None
        shape = (self._rows, self._network.hidden_size)
        return {name: torch.zeros(shape, device=self._device) for name in STATE_NAMES}

    def start_episode(self, slot: int, policy: "MultiAgentPolicy") -> None:
        index, place = divmod(slot, EPISODES_PER_PASS)
        for tensor in (self._states[index] or {}).values():
            tensor[place * self._agents : (place + 1) * self._agents] = 0

    def act(self, slots: list[int]) -> np.ndarray:
        import torch

        chosen = np.zeros(self.draws.shape[:2], dtype=np.intp)
        for index in sorted({slot // EPISODES_PER_PASS for slot in slots}):
            part = _part(index)
            probabilities = torch.softmax(self._logits(index), dim=-1).cpu().numpy()
            if np.isnan(probabilities).any():
                raise ValueError("the network gives NaN: its weights have diverged")
            probabilities = probabilities.reshape(EPISODES_PER_PASS, self._agents, self._choices)
            # The way of `torch.multinomial`, see `Draws`.
            races = probabilities if self._form.greedy else probabilities / self.draws[part]
            chosen[part] = races.argmax(axis=-1)
        return chosen

    def _logits(self, index: int) -> "torch.Tensor":
        import torch

        observations = self.observations[_part(index)]
        if self._form.zero_padding:
            fill_empty_tokens(observations)
        batch = torch.from_numpy(observations.reshape(self._rows, *observations.shape[2:])).to(self._device)
        state = self._states[index]
        with torch.no_grad():
            logits: torch.Tensor
            logits, _ = self._network.forward_eval(batch * (1.0 / 255.0) if self._form.scaled else batch, state)
        if state is not None:
            # Some networks return (agents, 1, hidden), and some add other entries.
            shape = (self._rows, self._network.hidden_size)
            self._states[index] = {name: state[name].reshape(shape) for name in STATE_NAMES}
        return logits


def _part(index: int) -> slice:
    return slice(index * EPISODES_PER_PASS, (index + 1) * EPISODES_PER_PASS)


class StepBatchActor:
    """An `Actor` for a policy class with a `step_batch`, which acts for one whole team."""

    width = 0

    def __init__(self, interface: "PolicyEnvInterface", *, agents: int, episodes: int) -> None:
        self._policies: list[MultiAgentPolicy | None] = [None] * episodes
        self.observations = np.full((episodes, agents, *interface.observation_shape), EMPTY, dtype=np.uint8)
        self.draws = np.empty((episodes, agents, 0), dtype=np.float32)

    def start_episode(self, slot: int, policy: "MultiAgentPolicy") -> None:
        self._policies[slot] = policy

    def act(self, slots: list[int]) -> np.ndarray:
        chosen = np.zeros(self.draws.shape[:2], dtype=np.int32)
        for slot in slots:
            policy = self._policies[slot]
            assert policy is not None
            policy.step_batch(self.observations[slot], chosen[slot])
        return chosen
