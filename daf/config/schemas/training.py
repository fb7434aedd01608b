"""Mission, variants, optimizer, training and evaluation: what every experiment is made of."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from daf.config.schemas.policies import ListedPolicy
from daf.config.schemas.values import (
    AgentSteps,
    Count,
    Episodes,
    EpisodeSteps,
    Fraction,
    MissionName,
    MissionPattern,
    NonNegative,
    Positive,
    Processes,
    Real,
    Schema,
    Seed,
    Text,
    VariantName,
)


class DAFMissionConfig(Schema):
    """The mission that is trained on and, by default, evaluated on."""

    name: MissionName
    cogs: Processes | None
    max_steps: EpisodeSteps | None
    difficulty: Literal["easy", "medium", "hard"] | None


class DAFVariantConfig(Schema):
    """Mission and reward variants, in the order in which they apply, and reward terms that are taken out."""

    names: tuple[VariantName, ...]
    without_rewards: tuple[Text, ...]


class DAFOptimizerConfig(Schema):
    """Adam, the gradient's norm and the annealing of the learning rate."""

    lr: NonNegative
    beta1: Annotated[Real, Field(ge=0, lt=1)]
    beta2: Annotated[Real, Field(ge=0, lt=1)]
    eps: Positive
    max_grad_norm: Positive
    anneal_lr: bool


class DAFTrainingConfig(Schema):
    """Everything else that CoGames' PPO can be told."""

    num_steps: AgentSteps
    num_envs: Count
    num_workers: Processes | None
    vector_batch_size: Count | None
    minibatch_size: Count
    max_minibatch_size: Count
    bptt_horizon: Count | None
    update_epochs: Count
    gamma: Fraction
    gae_lambda: Fraction
    clip_coef: Positive
    vf_coef: NonNegative
    vf_clip_coef: Positive
    ent_coef: NonNegative
    prio_alpha: NonNegative
    prio_beta0: Fraction
    vtrace_rho_clip: Positive
    vtrace_c_clip: Positive
    precision: Literal["float32", "bfloat16"]
    evaluation_padding: bool
    map_seed: Seed | None
    checkpoint_interval: Count
    max_checkpoints_to_keep: Count
    resume: Text | None
    torch_threads: Processes

    @model_validator(mode="after")
    def _minibatch_holds_a_segment(self) -> "DAFTrainingConfig":
        if self.bptt_horizon and self.minibatch_size < self.bptt_horizon:
            raise ValueError(
                f"minibatch_size {self.minibatch_size} is smaller than bptt_horizon {self.bptt_horizon};"
                " a minibatch holds whole segments"
            )
        return self


class DAFEvaluationConfig(Schema):
    """Which episodes are played, and how."""

    episodes: Episodes
    seed: Seed
    missions: tuple[MissionPattern, ...]
    policies: tuple[ListedPolicy, ...]
    baselines: tuple[ListedPolicy, ...]
    backend: Literal["official", "batched", "auto"]
    workers: Processes | None
    max_action_time_ms: Count
    time_limit_s: Positive | None
    start_limit_s: Positive
    replays: bool
    cache: Literal["off", "read", "on"]
