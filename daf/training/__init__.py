"""`task=train`."""

from daf.training.task import CHECKPOINTS, TRAIN, TrainingResult, daf_train

__all__ = ["CHECKPOINTS", "TRAIN", "TrainingResult", "daf_train"]
