"""Pipelines: several tasks, each a stage, one after the other or side by side."""

from daf.orchestrators.api import (
    daf_run_benchmark_pipeline,
    daf_run_comparison_pipeline,
    daf_run_sweep_pipeline,
    daf_run_training_pipeline,
)
from daf.orchestrators.results import PipelineResult, StageResult
from daf.orchestrators.task import PIPELINE, QUICKSTART, daf_quickstart, daf_run_pipeline

__all__ = [
    "PIPELINE",
    "QUICKSTART",
    "PipelineResult",
    "StageResult",
    "daf_quickstart",
    "daf_run_benchmark_pipeline",
    "daf_run_comparison_pipeline",
    "daf_run_pipeline",
    "daf_run_sweep_pipeline",
    "daf_run_training_pipeline",
]
