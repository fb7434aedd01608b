"""`task=evaluate`."""

from daf.evaluation.task import EvaluationResult, daf_evaluate

__all__ = ["EvaluationResult", "daf_evaluate"]
