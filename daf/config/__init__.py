"""The config of an experiment: its schemas, how it is composed, and how its problems are explained.

Schemas and Hydra are imported with the first name that is asked for: `--help` and `--cfg` need neither.
"""

import importlib
from typing import TYPE_CHECKING, Any

from daf.config.paths import CONF_DIR

if TYPE_CHECKING:
    from daf.config.compose import daf_load_config, daf_save_config
    from daf.config.schemas import (
        DAFAblationConfig,
        DAFAnalysisConfig,
        DAFBenchmarkConfig,
        DAFCheckConfig,
        DAFCleanConfig,
        DAFComparisonConfig,
        DAFConfig,
        DAFDeploymentConfig,
        DAFEvaluationConfig,
        DAFMissionConfig,
        DAFNotifyConfig,
        DAFObjectiveConfig,
        DAFOptimizerConfig,
        DAFParameterConfig,
        DAFPartConfig,
        DAFPipelineConfig,
        DAFPolicyConfig,
        DAFPowerConfig,
        DAFRunsConfig,
        DAFSeasonConfig,
        DAFStageConfig,
        DAFSweepConfig,
        DAFTaskConfig,
        DAFTournamentConfig,
        DAFTrackingConfig,
        DAFTrainingConfig,
        DAFVariantConfig,
        DAFVorConfig,
        DAFWatchConfig,
    )

__all__ = [
    "CONF_DIR",
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
    "daf_load_config",
    "daf_save_config",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "compose" if name.startswith("daf_") else "schemas"
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
