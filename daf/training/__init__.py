"""`task=train`."""

from daf.training.checkpoints import CHECKPOINTS
from daf.training.task import TRAIN, TrainingResult, daf_train

__all__ = ["CHECKPOINTS", "TRAIN", "TrainingResult", "daf_train"]
