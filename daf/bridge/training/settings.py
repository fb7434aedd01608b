"""PufferLib's settings from a plan."""

from dataclasses import asdict
from typing import Any

from daf.records import PPOSettings, TrainingPlan

#: CoGames' choices of `bptt_horizon`, in agent steps.
RECURRENT_HORIZON, OTHER_HORIZON = 64, 1


def trainer_settings(plan: TrainingPlan, total_agents: int, use_rnn: bool) -> dict[str, Any]:
    """PufferLib's settings from a plan, sizes made to fit each other.

    Args:
        total_agents: agents of all environments together.
        use_rnn: whether the policy is recurrent, which decides CoGames' choice of `bptt_horizon`.
    """
    horizon = plan.ppo.bptt_horizon or (RECURRENT_HORIZON if use_rnn else OTHER_HORIZON)
    batch = total_agents * horizon
    adam = plan.optimizer
    return {
        # Their names are PufferLib's already.
        **asdict(plan.ppo),
        **_minibatches(plan.ppo, horizon, batch),
        "learning_rate": adam.lr,
        "adam_beta1": adam.beta1,
        "adam_beta2": adam.beta2,
        "adam_eps": adam.eps,
        "max_grad_norm": adam.max_grad_norm,
        "anneal_lr": adam.anneal_lr,
        "bptt_horizon": horizon,
        "total_timesteps": max(plan.num_steps, batch),
    }


def _minibatches(ppo: PPOSettings, horizon: int, batch: int) -> dict[str, int]:
    """Sizes in whole segments of `horizon` steps, the larger one a multiple of the smaller one."""
    minibatch = min(ppo.minibatch_size, batch) // horizon * horizon
    largest = max(ppo.max_minibatch_size // horizon, 1) * horizon
    if minibatch > largest:
        minibatch -= minibatch % largest
    return {"minibatch_size": max(minibatch, horizon), "max_minibatch_size": largest}
