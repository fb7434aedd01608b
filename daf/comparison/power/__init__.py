"""`task=power`: how many episodes, or trainings, a difference needs."""

from daf.comparison.power.task import PowerResult, daf_required_episodes

__all__ = ["PowerResult", "daf_required_episodes"]
