"""`task=evaluate`."""

from daf.evaluation.task import LEVEL, EvaluationResult, daf_evaluate

__all__ = ["LEVEL", "EvaluationResult", "daf_evaluate"]
