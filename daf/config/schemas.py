"""What a valid config is: one frozen schema per config group. Defaults live in `conf/`, never here."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from daf.config.expressions import check_expression
from daf.config.names import (
    mission_name,
    mission_pattern,
    policy_class_path,
    pruner_name,
    sampler_name,
    variant_name,
)
from daf.config.override_syntax import sweep_from_text
from daf.records import MissionSpec, PolicySpec


def _not_a_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("true and false are not numbers")
    return value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _one_or_more(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


Text = Annotated[str, StringConstraints(min_length=1)]
Real = Annotated[float, BeforeValidator(_not_a_bool)]
Whole = Annotated[int, BeforeValidator(_not_a_bool)]
Count = Annotated[Whole, Field(gt=0)]
Seed = Annotated[Whole, Field(ge=0, lt=2**31)]
Positive = Annotated[Real, Field(gt=0)]
NonNegative = Annotated[Real, Field(ge=0)]
Fraction = Annotated[Real, Field(ge=0, le=1)]
Metric = Annotated[
    str, StringConstraints(pattern=r"^(reward|steps|vor|(game|agent)/.+|train/(reward|agent_steps|seconds))$")
]
EpisodeMetric = Annotated[str, StringConstraints(pattern=r"^(reward|steps|(game|agent)/.+)$")]
MissionName = Annotated[Text, AfterValidator(mission_name)]
MissionPattern = Annotated[Text, AfterValidator(mission_pattern)]
VariantName = Annotated[Text, AfterValidator(variant_name)]
PolicyClass = Annotated[Text, AfterValidator(policy_class_path)]
Device = Annotated[str, StringConstraints(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")]


class Schema(BaseModel):
    """Frozen, and closed to keys that it does not name."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DAFMissionConfig(Schema):
    """The mission that is trained on and, by default, evaluated on."""

    name: MissionName
    cogs: Count | None
    max_steps: Count | None
    difficulty: Literal["easy", "medium", "hard"] | None


class DAFVariantConfig(Schema):
    """Mission and reward variants, in the order in which they apply, and reward terms that are taken out."""

    names: tuple[VariantName, ...]
    without_rewards: tuple[Text, ...]


class DAFPolicyConfig(Schema):
    """A policy: its class, weights and init arguments."""

    name: Text | None = None
    class_path: PolicyClass
    weights: Text | None = None
    init_kwargs: dict[str, Any] = Field(default_factory=dict)

    def spec(self) -> PolicySpec:
        """The same policy as plain data, with a display name."""
        name = self.name or self.class_path.rpartition(".")[2] + (f"-{Path(self.weights).stem}" if self.weights else "")
        return PolicySpec(
            name=name, class_path=self.class_path, weights=self.weights, init_kwargs=dict(self.init_kwargs)
        )


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

    num_steps: Count
    num_envs: Count
    num_workers: Count | None
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
    torch_threads: Count

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

    episodes: Count
    seed: Seed
    missions: tuple[MissionPattern, ...]
    policies: tuple[DAFPolicyConfig, ...]
    baselines: tuple[DAFPolicyConfig, ...]
    backend: Literal["official", "batched", "auto"]
    workers: Count | None
    max_action_time_ms: Count
    time_limit_s: Positive | None
    replays: bool
    cache: Literal["off", "read", "on"]

    @model_validator(mode="before")
    @classmethod
    def _policies_by_name(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        lists = {key: data[key] for key in ("policies", "baselines") if isinstance(data.get(key), list | tuple)}
        return {**data, **{key: [policy_from_text(item) for item in items] for key, items in lists.items()}}


class DAFComparisonConfig(Schema):
    """Which policies are compared, by what, and when to stop."""

    policies: tuple[DAFPolicyConfig, ...]
    metric: EpisodeMetric
    level: Annotated[Real, Field(gt=0.5, lt=1)]
    stopping: Literal["fixed", "sequential"]
    margin: Positive | None
    round_episodes: Count
    max_episodes: Count

    @model_validator(mode="before")
    @classmethod
    def _policies_by_name(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("policies"), list | tuple):
            return data
        return {**data, "policies": [policy_from_text(item) for item in data["policies"]]}

    @model_validator(mode="after")
    def _sequential_needs_a_margin(self) -> "DAFComparisonConfig":
        if self.stopping == "sequential" and self.margin is None:
            raise ValueError(
                "stopping=sequential needs margin: the smallest difference that matters, in the unit of the metric"
            )
        return self


ListedPolicy = Annotated[DAFPolicyConfig, BeforeValidator(lambda item: policy_from_text(item))]
Level = Annotated[Real, Field(gt=0.5, lt=1)]
#: A name that becomes a part of a key, in the characters that MLflow takes there.
Label = Annotated[str, StringConstraints(pattern=r"^[\w. :/-]+$")]


class DAFVorConfig(Schema):
    """Against whom the configured policy's value over replacement is measured."""

    pool: tuple[ListedPolicy, ...]
    fixed_map: bool
    level: Level


class DAFTournamentConfig(Schema):
    """Who meets in mixed teams, and how often."""

    policies: tuple[ListedPolicy, ...]
    seeds: Count
    level: Level


class DAFBenchmarkConfig(Schema):
    """A suite of missions, and the algorithms that are scored on it."""

    suite: Literal["quick", "diagnostic", "integrated", "spanning", "cogsguard", "all"]
    algorithms: dict[Label, Annotated[tuple[ListedPolicy, ...], BeforeValidator(_one_or_more), Field(min_length=1)]]
    scripted: Annotated[tuple[ListedPolicy, ...], Field(min_length=1)]
    level: Level


class DAFPartConfig(Schema):
    """One part of an ablation: what happens when it is switched off.

    Attributes:
        set: dotted keys of `policy`, `mission` or `variant` (where the ablation trains also `optimizer` and `training`)
            to the values that replace theirs; `policy` itself takes another policy.
        without_variants: variants that are left out.
        without_rewards: terms that are taken out of every agent's reward.
        zero: modules or parameters of the policy's weights that become 0.
    """

    set: dict[str, Any] = Field(default_factory=dict)
    without_variants: tuple[Text, ...] = ()
    without_rewards: tuple[Text, ...] = ()
    zero: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _switches_something_off(self) -> "DAFPartConfig":
        if not (self.set or self.without_variants or self.without_rewards or self.zero):
            raise ValueError("a part needs set, without_variants, without_rewards or zero")
        return self


class DAFAblationConfig(Schema):
    """Parts to switch off, and what is measured."""

    parts: dict[Label, DAFPartConfig]
    pairs: bool
    trainings: Annotated[Whole, Field(ge=0)]
    metric: EpisodeMetric
    level: Level

    @model_validator(mode="after")
    def _parts_have_an_effect(self) -> "DAFAblationConfig":
        groups = {"policy", "mission", "variant"} | ({"optimizer", "training"} if self.trainings else set())
        for name, part in self.parts.items():
            for key in part.set:
                if key in {"mission", "mission.name"}:
                    raise ValueError(
                        f"parts.{name}: {key} cannot be a part, since another mission is another experiment"
                    )
                if key.partition(".")[0] not in groups:
                    raise ValueError(f"parts.{name}: {key} does not change how a trained policy plays; see trainings")
            if part.zero and self.trainings:
                raise ValueError(f"parts.{name}: zero changes trained weights; it needs trainings: 0")
        return self


class DAFAnalysisConfig(Schema):
    """What `task=missions` checks, and what it calls a success."""

    check: Literal["selected", "all"]
    success_metric: EpisodeMetric
    success_threshold: Real | None


class DAFTrackingConfig(Schema):
    """Where MLflow keeps the results."""

    uri: Text | None
    experiment: Text


class DAFParameterConfig(Schema):
    """What one swept key ranges over: `choices`, or numbers from `low` to `high`, both included.

    Attributes:
        log: sampled uniformly in its logarithm.
        step: only every so many from `low` on.
        transform: arithmetic in `x` that turns the sampled number into the config's (``1 - x``).
        when: other keys with their values; the key is varied only in trials where all of them match.
    """

    choices: tuple[Any, ...] | None = None
    low: Real | None = None
    high: Real | None = None
    log: bool = False
    step: Positive | None = None
    type: Literal["int", "float"] = "float"
    transform: Annotated[str, AfterValidator(check_expression)] | None = None
    when: dict[str, tuple[Any, ...]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_short_forms(cls, data: Any) -> Any:
        if isinstance(data, str):
            return sweep_from_text(data)
        if isinstance(data, list | tuple):
            return {"choices": data}
        if isinstance(data, dict) and isinstance(data.get("when"), dict):
            when = {key: v if isinstance(v, list | tuple) else [v] for key, v in data["when"].items()}
            return {**data, "when": when}
        return data

    @model_validator(mode="after")
    def _is_a_range_or_choices(self) -> "DAFParameterConfig":
        if self.choices is not None:
            if self.low is not None or self.high is not None or not self.choices:
                raise ValueError("give either choices (at least one) or low and high")
            return self
        if self.low is None or self.high is None:
            raise ValueError("give either choices or low and high")
        if self.low > self.high or (self.log and self.low <= 0):
            raise ValueError(f"{self.low} to {self.high} is no {'logarithmic ' if self.log else ''}range")
        if self.log and self.step is not None:
            raise ValueError("a logarithmic range has no step")
        if self.type == "int" and any(v % 1 for v in (self.low, self.high, self.step or 1)):
            raise ValueError("low, high and step of a range of whole numbers are whole numbers")
        return self


class DAFSweepConfig(Schema):
    """What `-m` varies, how, and how its best is confirmed."""

    name: Annotated[str, StringConstraints(pattern=r"^[\w.-]+$")] | None
    storage: Text | None
    n_trials: Count | None
    timeout_s: Positive | None
    n_jobs: Count
    space: dict[str, DAFParameterConfig]
    enqueue: tuple[dict[str, Any], ...]
    sampler: Annotated[str, AfterValidator(sampler_name)] | None
    sampler_kwargs: dict[str, Any]
    pruner: Annotated[str, AfterValidator(pruner_name)] | None
    pruner_kwargs: dict[str, Any]
    patience: Count | None
    report_every: Count | None
    seeds_per_trial: Count
    max_retries: Annotated[Whole, Field(ge=0)]
    max_failure_rate: Fraction
    confirm: Literal["off", "reevaluate", "retrain"]
    confirm_top_k: Count
    confirm_seeds: Count
    confirm_episodes: Count
    winner: Text | None
    allow_change: bool
    trial: Annotated[Whole, Field(ge=0)] | None


class DAFObjectiveConfig(Schema):
    """What a trial is judged by; several metrics give a Pareto front."""

    metric: Annotated[tuple[Metric, ...], BeforeValidator(_listed), Field(min_length=1)]
    direction: Annotated[tuple[Literal["maximize", "minimize"], ...], BeforeValidator(_listed)]

    @model_validator(mode="after")
    def _one_direction_each(self) -> "DAFObjectiveConfig":
        if len(self.metric) != len(self.direction):
            raise ValueError(f"{len(self.metric)} metrics need as many directions, not {len(self.direction)}")
        if len(set(self.metric)) != len(self.metric):
            raise ValueError("a metric stands in the list twice")
        return self


class DAFTaskConfig(Schema):
    """What is to be done."""

    name: Text
    function: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]


class DAFConfig(Schema):
    """One experiment. Equal configs mean equal experiments."""

    mission: DAFMissionConfig
    variant: DAFVariantConfig
    policy: DAFPolicyConfig
    optimizer: DAFOptimizerConfig
    training: DAFTrainingConfig
    evaluation: DAFEvaluationConfig
    comparison: DAFComparisonConfig
    vor: DAFVorConfig
    tournament: DAFTournamentConfig
    benchmark: DAFBenchmarkConfig
    ablation: DAFAblationConfig
    analysis: DAFAnalysisConfig
    tracking: DAFTrackingConfig
    objective: DAFObjectiveConfig
    sweep: DAFSweepConfig
    task: DAFTaskConfig
    seed: Seed
    device: Device
    output_dir: Text

    @model_validator(mode="after")
    def _pruning_is_for_one_metric(self) -> "DAFConfig":
        if len(self.objective.metric) > 1 and (self.sweep.pruner or self.sweep.patience):
            raise ValueError("sweep.pruner and sweep.patience need a single objective.metric")
        if "vor" in self.objective.metric and self.sweep.pruner == "wilcoxon":
            raise ValueError("sweep.pruner=wilcoxon compares episodes, and objective.metric=vor has no value for one")
        return self

    def mission_spec(self, name: str | None = None) -> MissionSpec:
        """The configured mission as plain data, or another mission under the same variants and options."""
        return MissionSpec(
            name=name or self.mission.name,
            variants=self.variant.names,
            cogs=self.mission.cogs,
            max_steps=self.mission.max_steps,
            difficulty=self.mission.difficulty,
            without_rewards=self.variant.without_rewards,
        )


def policy_from_text(item: object) -> object:
    """Reads the ways in which a policy may be named in a list; anything but text is returned as it is.

    Accepts a short name or class path (``starter``), a checkpoint folder or bundle (``./run/checkpoints``) and CoGames'
    own ``class=lstm,data=model.pt,kw.hidden=64``. Unlike in CoGames, ``kw.`` values are read as YAML, so that a number
    is a number.

    Raises:
        ValueError: the text has none of these forms.
    """
    if not isinstance(item, str):
        return item
    if "=" in item:
        return _policy_from_pairs(item)
    if "/" in item or item.endswith(".zip"):
        return _policy_from_path(Path(item).expanduser())
    return {"class_path": item}


def _policy_from_pairs(text: str) -> dict[str, Any]:
    policy: dict[str, Any] = {"init_kwargs": {}}
    names = {"class": "class_path", "data": "weights", "name": "name"}
    for pair in text.split(","):
        key, _, value = pair.partition("=")
        if key.startswith("kw."):
            policy["init_kwargs"][key.removeprefix("kw.")] = yaml.safe_load(value)
        elif key in names:
            policy[names[key]] = value
        else:
            raise ValueError(
                f"{pair!r} is not part of a policy; use class=..., data=..., name=... or kw.<argument>=..."
            )
    return policy


def _policy_from_path(path: Path) -> dict[str, Any]:
    spec = path / "policy_spec.json"
    if path.is_dir() and spec.is_file():
        return {"class_path": json.loads(spec.read_text())["class_path"], "weights": str(path)}
    if path.suffix == ".zip" and path.is_file():
        import zipfile

        with zipfile.ZipFile(path) as bundle:
            return {"class_path": json.loads(bundle.read("policy_spec.json"))["class_path"], "weights": str(path)}
    raise ValueError(
        f"{path} is neither a checkpoint folder with policy_spec.json nor a bundle (.zip); for a bare weights file"
        " name its class: class=lstm,data=model.pt"
    )
