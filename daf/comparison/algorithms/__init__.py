"""`task=compare` with `comparison.trainings`: algorithms instead of checkpoints."""

from daf.comparison.algorithms.task import AlgorithmComparisonResult, compare_trained, train_and_play

__all__ = ["AlgorithmComparisonResult", "compare_trained", "train_and_play"]
