"""What to play and to train, and what happened: plain data that every process, cache and report shares.

Nothing here imports CoGames; `daf.bridge` turns an `EpisodePlan` into an `EpisodeRecord` and a `TrainingPlan` into a
`TrainingOutcome`.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def digest(value: object) -> str:
    """SHA-256 (hex) of the canonical JSON form of a JSON-like value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class MissionSpec:
    """A mission as a recipe, since CoGames' mission files do not survive a round trip.

    Attributes:
        name: full name (``site.mission``) or the path of a mission file.
        variants: mission and reward variants in the order in which they apply.
        cogs: number of agents, or None for the mission's.
        max_steps: length of an episode in steps, or None for the mission's.
        difficulty: ``easy``, ``medium``, ``hard`` or None.
        map_seed: seed of the map in every episode, or None for the episode's seed.
        without_rewards: terms that are taken out of every agent's reward.
    """

    name: str
    variants: tuple[str, ...] = ()
    cogs: int | None = None
    max_steps: int | None = None
    difficulty: str | None = None
    map_seed: int | None = None
    without_rewards: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PolicySpec:
    """A policy as a user names it.

    Attributes:
        name: display name, unique within one evaluation.
        class_path: a short name that CoGames knows (``lstm``) or a dotted class path.
        weights: path of a ``.pt`` file, a checkpoint folder or a bundle, or None.
        init_kwargs: keyword arguments of the class, JSON-like values only.
        trust: whether the code that a bundle brings may run, or the SHA-256 of the bundles whose code may.
    """

    name: str
    class_path: str
    weights: str | None = None
    init_kwargs: Mapping[str, Any] = field(default_factory=dict)
    trust: bool | tuple[str, ...] = False


@dataclass(frozen=True, kw_only=True)
class EpisodePlan:
    """One episode that is still to be played.

    Attributes:
        assignments: for each agent the index into `policies`; its length is the number of agents.
        seed: seeds the simulation, the map (where the mission leaves its seed open) and the policies' generators.
        max_action_time_ms: an action slower than this is replaced by noop and counted as a timeout.
        device: torch device on which network policies act.
        replay_dir: folder for the replay file, or None for no replay.
    """

    mission: MissionSpec
    policies: tuple[PolicySpec, ...]
    assignments: tuple[int, ...]
    seed: int
    max_action_time_ms: int = 10_000
    device: str = "cpu"
    replay_dir: str | None = None


@dataclass(frozen=True, kw_only=True)
class EpisodeRecord:
    """One played episode: the atom from which every summary, test and leaderboard is computed.

    Attributes:
        mission: full label of the mission, variants included.
        mission_name: the name that the user gave (`MissionSpec.name`).
        mission_digest: SHA-256 of the mission's whole configuration.
        policies: display names; `assignments` indexes them.
        policy_digests: SHA-256 of class, weights' content and init arguments, in the order of `policies`.
        rewards: total reward per agent.
        action_timeouts: timed-out actions per agent.
        stats: ``{"game": {name: value}, "agent": [{name: value}, ...]}`` at the end of the episode.
        time_averaged_game_stats: the same game stats, averaged over all steps.
        steps: steps played; `max_steps` is the limit.
        wall_time_s: seconds that the episode took, loading included.
        backend: ``official`` or ``batched``.
        replay_path: the replay file, or None.
    """

    mission: str
    mission_name: str
    mission_digest: str
    policies: tuple[str, ...]
    policy_digests: tuple[str, ...]
    seed: int
    assignments: tuple[int, ...]
    rewards: tuple[float, ...]
    action_timeouts: tuple[int, ...]
    stats: dict[str, Any]
    time_averaged_game_stats: dict[str, float]
    steps: int
    max_steps: int
    wall_time_s: float
    backend: str
    replay_path: str | None = None

    def reward(self, policy_index: int = 0) -> float:
        """Mean reward over the agents that `policy_index` controlled; NaN if it had none."""
        rewards = [r for r, assigned in zip(self.rewards, self.assignments, strict=True) if assigned == policy_index]
        return sum(rewards) / len(rewards) if rewards else float("nan")

    def agent_stats(self, policy_index: int = 0) -> dict[str, float]:
        """Mean of every agent stat over the agents of `policy_index`; a stat that none of them has is absent."""
        agents = self.stats["agent"]
        counted = [s for s, assigned in zip(agents, self.assignments, strict=True) if assigned == policy_index]
        names = sorted({name for stats in counted for name in stats})
        return {name: sum(float(stats.get(name, 0.0)) for stats in counted) / len(counted) for name in names}

    def value(self, metric: str, policy_index: int = 0) -> float:
        """One metric: ``reward``, ``steps``, ``game/<stat>`` or ``agent/<stat>`` (mean over the policy's agents).

        A stat that is absent is 0: CoGames leaves out what nothing happened to.
        """
        if metric == "reward":
            return self.reward(policy_index)
        if metric == "steps":
            return float(self.steps)
        kind, _, name = metric.partition("/")
        stats = self.stats["game"] if kind == "game" else self.agent_stats(policy_index)
        return float(stats.get(name, 0.0))

    def stat_names(self, kind: str) -> set[str]:
        """Names of the stats of a kind, ``game`` or ``agent``, that something happened to."""
        return set(self.stats["game"]) if kind == "game" else {name for stats in self.stats["agent"] for name in stats}

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary; `from_dict` gives an equal record back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "EpisodeRecord":
        """The record that `to_dict` described, also after a trip through JSON."""
        tuples = ("policies", "policy_digests", "assignments", "rewards", "action_timeouts")
        return cls(**{**data, **{name: tuple(data[name]) for name in tuples}})


@dataclass(frozen=True, kw_only=True)
class AdamSettings:
    """Adam's hyper-parameters.

    Attributes:
        lr: learning rate at the start.
        max_grad_norm: norm to which the gradient is clipped.
        anneal_lr: whether the learning rate falls to zero over the training, along a cosine.
    """

    lr: float
    beta1: float
    beta2: float
    eps: float
    max_grad_norm: float
    anneal_lr: bool


@dataclass(frozen=True, kw_only=True)
class PPOSettings:
    """PPO's hyper-parameters, as PufferLib implements it.

    Attributes:
        minibatch_size: agent steps per step of the optimizer; rounded down to a multiple of `bptt_horizon`.
        max_minibatch_size: agent steps that go through the network at once; rounded down likewise.
        bptt_horizon: steps of backpropagation through time, or None for CoGames' choice.
        update_epochs: passes over the data of one epoch.
        precision: ``float32`` or ``bfloat16``.
    """

    minibatch_size: int
    max_minibatch_size: int
    bptt_horizon: int | None
    update_epochs: int
    gamma: float
    gae_lambda: float
    clip_coef: float
    vf_coef: float
    vf_clip_coef: float
    ent_coef: float
    prio_alpha: float
    prio_beta0: float
    vtrace_rho_clip: float
    vtrace_c_clip: float
    precision: str


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """One training that is still to be done.

    Attributes:
        policy: the policy as configured; its weights, if any, are the starting point.
        seed: seeds the generators, the network's first weights and (with `map_seed` None) the maps.
        device: torch device, or ``auto`` for the one that is found where the plan is carried out.
        map_seed: seed of the maps, or None for one that each environment derives from `seed`.
        num_steps: agent steps; whole epochs are played.
        num_envs: parallel environments.
        num_workers: processes that step the environments (on a GPU only), or None for one a core.
        vector_batch_size: environments whose observations go through the network at once, or None for CoGames' choice.
        evaluation_padding: whether empty observation tokens look as they do in evaluation.
        checkpoint_interval: epochs between two checkpoints; the last epoch is always saved.
        max_checkpoints_to_keep: newest weights that stay on disk.
        torch_threads: threads that torch uses.
        checkpoint_dir: where checkpoints are written; created if missing.
        resume_from: checkpoint folder of an earlier training whose weights, optimizer state, step count and learning
            rate schedule are taken over, or None.
        run_id: MLflow run of the training, which its checkpoints name, or None.
    """

    mission: MissionSpec
    policy: PolicySpec
    optimizer: AdamSettings
    ppo: PPOSettings
    seed: int
    device: str
    map_seed: int | None
    num_steps: int
    num_envs: int
    num_workers: int | None
    vector_batch_size: int | None
    evaluation_padding: bool
    checkpoint_interval: int
    max_checkpoints_to_keep: int
    torch_threads: int
    checkpoint_dir: str
    resume_from: str | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class EpochReport:
    """What is known after one epoch of training.

    Attributes:
        agent_steps: agent steps played since the training began, those before a resume included.
        epoch: epochs finished.
        reward: mean reward of an agent over the episodes that ended in this epoch, or None if none ended.
        metrics: every number that PufferLib reports, this epoch's losses included.
    """

    agent_steps: int
    epoch: int
    reward: float | None
    metrics: dict[str, float]


@dataclass(frozen=True)
class TrainingOutcome:
    """A finished (or cleanly interrupted) training.

    Attributes:
        checkpoint_dir: folder with ``model_<epoch>.pt``, ``trainer_state.pt`` and ``policy_spec.json``.
        model: the newest weights in it.
        seconds: that the training took, setting up the environments included.
        interrupted: whether Ctrl-C ended it early.
    """

    checkpoint_dir: Path
    model: Path
    agent_steps: int
    epochs: int
    seconds: float
    interrupted: bool
