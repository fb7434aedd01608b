"""`task=train`."""

from daf.training.task import CHECKPOINTS, TrainingResult, daf_train

__all__ = ["CHECKPOINTS", "TrainingResult", "daf_train"]
