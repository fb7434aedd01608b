"""`task=train`."""

from daf.training.checkpoints import CHECKPOINTS
from daf.training.task import TrainingResult, daf_train

__all__ = ["CHECKPOINTS", "TrainingResult", "daf_train"]
