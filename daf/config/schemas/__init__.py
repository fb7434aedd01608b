"""What a valid config is: one frozen schema per config group.

Defaults live in `conf/`. Only what a user writes item by item, where no YAML of DAF's stands behind it, has defaults
here: a policy in a list, a swept parameter, a part of an ablation.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import ModelWrapValidatorHandler, StringConstraints, model_validator

from daf.config.references import Stores, looking_in
from daf.config.schemas.comparison import (
    DAFAblationConfig,
    DAFAnalysisConfig,
    DAFBenchmarkConfig,
    DAFComparisonConfig,
    DAFPartConfig,
    DAFPowerConfig,
    DAFTournamentConfig,
    DAFVorConfig,
)
from daf.config.schemas.deployment import DAFDeploymentConfig, DAFSeasonConfig
from daf.config.schemas.policies import DAFPolicyConfig, policy_from_text
from daf.config.schemas.sweep import DAFObjectiveConfig, DAFParameterConfig, DAFSweepConfig
from daf.config.schemas.training import (
    DAFEvaluationConfig,
    DAFMissionConfig,
    DAFOptimizerConfig,
    DAFTrainingConfig,
    DAFVariantConfig,
)
from daf.config.schemas.values import Device, ExperimentName, Level, Schema, Seed, Text
from daf.config.schemas.workflow import (
    DAFCheckConfig,
    DAFCleanConfig,
    DAFNotifyConfig,
    DAFPipelineConfig,
    DAFRunsConfig,
    DAFStageConfig,
    DAFWatchConfig,
)
from daf.records import MissionSpec
from daf.redaction import redactor

__all__ = [
    "DAFAblationConfig",
    "DAFAnalysisConfig",
    "DAFBenchmarkConfig",
    "DAFCheckConfig",
    "DAFCleanConfig",
    "DAFComparisonConfig",
    "DAFConfig",
    "DAFDeploymentConfig",
    "DAFEvaluationConfig",
    "DAFMissionConfig",
    "DAFNotifyConfig",
    "DAFObjectiveConfig",
    "DAFOptimizerConfig",
    "DAFParameterConfig",
    "DAFPartConfig",
    "DAFPipelineConfig",
    "DAFPolicyConfig",
    "DAFPowerConfig",
    "DAFRunsConfig",
    "DAFSeasonConfig",
    "DAFStageConfig",
    "DAFSweepConfig",
    "DAFTaskConfig",
    "DAFTournamentConfig",
    "DAFTrackingConfig",
    "DAFTrainingConfig",
    "DAFVariantConfig",
    "DAFVorConfig",
    "DAFWatchConfig",
    "Schema",
    "policy_from_text",
]


#: Metrics that a training episode has no value for.
UNKNOWN_IN_TRAINING = ("steps", "train/agent_steps", "train/seconds")


class DAFTrackingConfig(Schema):
    """Where MLflow keeps the results."""

    uri: Text | None
    experiment: ExperimentName
    undelivered: Text


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
    power: DAFPowerConfig
    vor: DAFVorConfig
    tournament: DAFTournamentConfig
    benchmark: DAFBenchmarkConfig
    ablation: DAFAblationConfig
    analysis: DAFAnalysisConfig
    deployment: DAFDeploymentConfig
    pipeline: DAFPipelineConfig
    check: DAFCheckConfig
    runs: DAFRunsConfig
    clean: DAFCleanConfig
    notify: DAFNotifyConfig
    watch: DAFWatchConfig
    tracking: DAFTrackingConfig
    objective: DAFObjectiveConfig
    sweep: DAFSweepConfig
    task: DAFTaskConfig
    level: Level
    seed: Seed
    device: Device
    output_dir: Text
    run: Text | None
    result_format: Literal["text", "json"]

    @model_validator(mode="wrap")
    @classmethod
    def _references_lead_to_its_own_stores(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        with looking_in(Stores(_text_at(data, "tracking", "uri"), _text_at(data, "deployment", "url"))):
            return handler(data)

    @model_validator(mode="before")
    @classmethod
    def _secrets_are_known(cls, data: Any) -> Any:
        """Before anything can be wrong, and be said: a message must not show them."""
        redactor().learn(data)
        return data

    @model_validator(mode="after")
    def _trust_counts_for_every_policy(self) -> "DAFConfig":
        if self.policy.trust or self.policy.trusted:
            # It is frozen, but for its own validators, which must return the same object.
            self.__dict__.update({name: _trusting(value, self.policy) for name, value in self})
        return self

    @model_validator(mode="after")
    def _pruning_fits_the_objective(self) -> "DAFConfig":
        if len(self.objective.metric) > 1 and (self.sweep.pruner or self.sweep.patience):
            raise ValueError("sweep.pruner and sweep.patience need a single objective.metric")
        metric, direction = self.objective.metric[0], self.objective.direction[0]
        if self.sweep.pruner == "wilcoxon" and (metric == "vor" or metric.startswith("train/")):
            raise ValueError(
                f"sweep.pruner=wilcoxon compares episodes, and objective.metric={metric} has no value for one"
            )
        if (self.sweep.patience or self.sweep.pruner not in (None, "wilcoxon")) and (
            metric in UNKNOWN_IN_TRAINING or (metric, direction) == ("vor", "minimize")
        ):
            raise ValueError(
                f"a trial cannot be pruned while it trains: nothing is known of objective.metric={metric} by then."
                " sweep.pruner=wilcoxon compares evaluation episodes, null prunes nothing"
            )
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


def _text_at(data: Any, section: str, key: str) -> str | None:
    """A text in a config that is not validated yet."""
    found = data.get(section) if isinstance(data, dict) else None
    value = found.get(key) if isinstance(found, dict) else getattr(found, key, None)
    return value if isinstance(value, str) and value else None


def _trusting(node: Any, policy: DAFPolicyConfig) -> Any:
    """A part of the config in which every policy may do what `policy` may."""
    if isinstance(node, DAFPolicyConfig):
        return node.trusting(policy)
    if isinstance(node, Schema):
        return node.model_copy(update={name: _trusting(value, policy) for name, value in node})
    if isinstance(node, tuple):
        return tuple(_trusting(item, policy) for item in node)
    return {key: _trusting(value, policy) for key, value in node.items()} if isinstance(node, dict) else node
