"""`task=train`."""

from daf.training.task import TRAIN, TrainingResult, daf_train

__all__ = ["TRAIN", "TrainingResult", "daf_train"]
