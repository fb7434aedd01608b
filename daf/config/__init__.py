"""The config of an experiment: its schemas, how it is composed, and how its problems are told."""

from daf.config.compose import CONF_DIR, daf_load_config, daf_save_config
from daf.config.schemas import (
    DAFConfig,
    DAFEvaluationConfig,
    DAFMissionConfig,
    DAFObjectiveConfig,
    DAFOptimizerConfig,
    DAFParameterConfig,
    DAFPolicyConfig,
    DAFSweepConfig,
    DAFTaskConfig,
    DAFTrackingConfig,
    DAFTrainingConfig,
    DAFVariantConfig,
)

__all__ = [
    "CONF_DIR",
    "DAFConfig",
    "DAFEvaluationConfig",
    "DAFMissionConfig",
    "DAFObjectiveConfig",
    "DAFOptimizerConfig",
    "DAFParameterConfig",
    "DAFPolicyConfig",
    "DAFSweepConfig",
    "DAFTaskConfig",
    "DAFTrackingConfig",
    "DAFTrainingConfig",
    "DAFVariantConfig",
    "daf_load_config",
    "daf_save_config",
]
