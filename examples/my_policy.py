r"""A policy of your own: a CoGames `MultiAgentPolicy`, here with a small network that can be trained.

    python -m daf.run task=train policy.class_path=examples.my_policy.MyPolicy +policy.init_kwargs.hidden_size=64 \
        training.num_steps=20000

DAF, CoGames' trainer and CoGames' own evaluation all use it through the methods below. A scripted policy needs only
`agent_policy`.
"""

from typing import Any

import numpy as np
import torch
from mettagrid.policy.policy import AgentPolicy, MultiAgentPolicy
from mettagrid.policy.policy_env_interface import PolicyEnvInterface
from mettagrid.simulator import Action, AgentObservation
from torch import Tensor, nn

PADDING = 255


class MyNetwork(nn.Module):  # type: ignore[misc]
    """Two layers from all tokens of an observation to the actions' logits and the state's value."""

    def __init__(self, observation_shape: tuple[int, ...], num_actions: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.body = nn.Sequential(
            nn.Linear(int(np.prod(observation_shape)), hidden_size), nn.ReLU(), nn.Linear(hidden_size, hidden_size)
        )
        self.actor = nn.Linear(hidden_size, num_actions)
        self.critic = nn.Linear(hidden_size, 1)

    def forward_eval(self, observations: Tensor, state: Any = None) -> tuple[Tensor, Tensor]:
        """Observations (batch, tokens, 3) as bytes to logits (batch, actions) and values (batch, 1)."""
        hidden = self.body(observations.reshape(len(observations), -1).float() / PADDING)
        return self.actor(hidden), self.critic(hidden)

    def forward(self, observations: Tensor, state: Any = None) -> tuple[Tensor, Tensor]:
        """What the trainer calls."""
        return self.forward_eval(observations, state)


class MyAgent(AgentPolicy):  # type: ignore[misc]
    """One agent: draws its action from the shared network's distribution."""

    def __init__(self, policy_env_info: PolicyEnvInterface, network: MyNetwork) -> None:
        super().__init__(policy_env_info)
        self._network = network

    def step(self, obs: AgentObservation) -> Action:
        """The action for one observation."""
        tokens = np.full(self.policy_env_info.observation_space.shape, PADDING, dtype=np.uint8)
        for row, token in zip(tokens, obs.tokens, strict=False):
            row[:] = token.raw_token
        device = next(self._network.parameters()).device
        with torch.no_grad():
            logits, _ = self._network.forward_eval(torch.from_numpy(tokens).unsqueeze(0).to(device))
        action = torch.distributions.Categorical(logits=logits).sample()
        return Action(name=self.policy_env_info.action_names[int(action)])


class MyPolicy(MultiAgentPolicy):  # type: ignore[misc]
    """All agents of a team share one network.

    Args:
        hidden_size: width of the network; `policy.init_kwargs.hidden_size` sets it.
    """

    def __init__(self, policy_env_info: PolicyEnvInterface, device: str = "cpu", hidden_size: int = 32) -> None:
        super().__init__(policy_env_info, device=device)
        shape = policy_env_info.observation_space.shape
        self._network = MyNetwork(shape, len(policy_env_info.action_names), hidden_size).to(device)

    def agent_policy(self, agent_id: int) -> AgentPolicy:
        """What plays for one agent."""
        return MyAgent(self.policy_env_info, self._network)

    def network(self) -> nn.Module:
        """What is trained. Without this method the policy can be evaluated, but not trained."""
        return self._network

    def is_recurrent(self) -> bool:
        """Whether the network has a memory that the trainer must carry along."""
        return False

    def save_policy_data(self, policy_data_path: str) -> None:
        """Writes the weights; every checkpoint is written so."""
        torch.save(self._network.state_dict(), policy_data_path)

    def load_policy_data(self, policy_data_path: str) -> None:
        """Reads the weights that `policy.weights` names."""
        device = next(self._network.parameters()).device
        self._network.load_state_dict(torch.load(policy_data_path, map_location=device, weights_only=True))
