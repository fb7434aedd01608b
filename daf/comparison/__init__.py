"""Comparisons of policies that can be believed: the same episodes for each, and statistics that allow for chance."""

from daf.comparison.ablation import AblationResult, daf_policy_ablation
from daf.comparison.algorithms import AlgorithmComparisonResult
from daf.comparison.benchmark_suite import BenchmarkResult, daf_benchmark_suite
from daf.comparison.checkpoints import weights_notes
from daf.comparison.compare import PolicyComparisonResult, daf_compare_policies
from daf.comparison.paired import incomplete_notes, paired_scores, score_range
from daf.comparison.power import PowerResult, daf_required_episodes
from daf.comparison.publish import daf_publish_comparison
from daf.comparison.tournament import TournamentResult, daf_run_tournament
from daf.comparison.vor import VorResult, daf_compare_with_vor
from daf.visualization.comparison_files import ComparisonReport

__all__ = [
    "AblationResult",
    "AlgorithmComparisonResult",
    "BenchmarkResult",
    "ComparisonReport",
    "PolicyComparisonResult",
    "PowerResult",
    "TournamentResult",
    "VorResult",
    "daf_benchmark_suite",
    "daf_compare_policies",
    "daf_compare_with_vor",
    "daf_policy_ablation",
    "daf_publish_comparison",
    "daf_required_episodes",
    "daf_run_tournament",
    "incomplete_notes",
    "paired_scores",
    "score_range",
    "weights_notes",
]
