"""Comparisons of policies that can be believed: the same episodes for each, and statistics that allow for chance."""

from daf.comparison.publish import daf_publish_comparison
from daf.comparison.scores import PairedScores, paired_scores
from daf.comparison.task import ComparisonResult, daf_compare_policies

__all__ = ["ComparisonResult", "PairedScores", "daf_compare_policies", "daf_publish_comparison", "paired_scores"]
