"""`task=train`."""

from daf.training.task import TrainingResult, daf_train

__all__ = ["TrainingResult", "daf_train"]
