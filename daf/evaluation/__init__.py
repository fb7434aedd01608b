"""`task=evaluate`."""

from daf.evaluation.task import EVALUATE, EvaluationResult, daf_evaluate

__all__ = ["EVALUATE", "EvaluationResult", "daf_evaluate"]
