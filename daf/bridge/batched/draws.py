"""The random numbers that the official rollout would draw, one stream per episode."""

import functools
from typing import TYPE_CHECKING

import numpy as np

from daf.bridge.imports import seed_everything
from daf.bridge.policies import load_policy
from daf.records import EpisodePlan

if TYPE_CHECKING:
    import torch
    from mettagrid.policy.policy import MultiAgentPolicy
    from mettagrid.policy.policy_env_interface import PolicyEnvInterface

STEPS_PER_BLOCK = 64


class Draws:
    """The exponential variates with which torch samples an episode's actions.

    `torch.multinomial` picks one of n actions as ``argmax(probabilities / q)`` with n exponential variates q. Policies
    draw them from the global generator, agent after agent; here every episode has a separate generator in the state
    in which the official rollout finds the global one. So an episode does not depend on what is played beside it.
    """

    def __init__(self, generator: "torch.Generator", widths: list[int]) -> None:
        self._generator = generator
        self._widths = widths
        self._block = np.empty((0, sum(widths)), dtype=np.float32)
        self._next = 0

    def step(self) -> np.ndarray:
        """The variates of one step, float32, agent after agent: ``widths[i]`` of them for agent i."""
        if self._next == len(self._block):
            self._block = self._draw()
            self._next = 0
        self._next += 1
        return self._block[self._next - 1]

    def _draw(self) -> np.ndarray:
        import torch

        shape = (STEPS_PER_BLOCK, sum(self._widths))
        if _one_call_equals_many():
            return torch.empty(shape).exponential_(generator=self._generator).numpy()
        calls = [torch.empty(width).exponential_(generator=self._generator) for width in self._widths * shape[0]]
        return torch.cat(calls).reshape(shape).numpy() if calls else np.empty(shape, dtype=np.float32)


@functools.cache
def _one_call_equals_many() -> bool:
    """Whether drawing many variates at once gives the same ones. With Intel's MKL on Intel's processors it does not."""
    import torch

    one, many = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    calls = [torch.empty(5).exponential_(generator=many) for _ in range(500)]
    return torch.equal(torch.empty(2500).exponential_(generator=one), torch.cat(calls))


def load_seeded(
    plan: EpisodePlan, interface: "PolicyEnvInterface"
) -> tuple[list["MultiAgentPolicy"], "torch.Generator"]:
    """Loads a plan's policies as `play_official` does.

    Returns:
        The policies, and a generator in the state in which loading them leaves the global one: building a network
        draws the weights that the saved ones then replace.
    """
    import torch

    seed_everything(plan.seed)
    policies = [load_policy(interface, spec, plan.device) for spec in plan.policies]
    generator = torch.Generator()
    generator.set_state(torch.get_rng_state())
    return policies, generator
