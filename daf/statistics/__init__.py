"""Statistics of policies on shared missions: pure functions on (policies, missions, episodes) arrays.

The unit is the episode, paired by seed; missions are strata of equal weight. No function reads or writes anything,
and the random ones take a numpy Generator.
"""

from daf.statistics.algorithms import (
    AlgorithmComparison,
    AlgorithmPair,
    AlgorithmSummary,
    algorithm_pairs,
    compare_algorithms,
)
from daf.statistics.comparison import compare, compare_two, mean_with_interval
from daf.statistics.crossed import crossed_mean
from daf.statistics.effects import Effect, paired_effects
from daf.statistics.estimates import reliability
from daf.statistics.groups import letter_groups
from daf.statistics.power import (
    EpisodesNeeded,
    Need,
    PowerCurve,
    TrainingsNeeded,
    episodes_needed,
    power_curve,
    score_sd,
    training_sd,
    trainings_needed,
)
from daf.statistics.profiles import performance_profiles, score_profiles
from daf.statistics.results import (
    Comparison,
    Estimate,
    Interval,
    PairResult,
    PerformanceProfiles,
    SequentialComparison,
    SequentialPair,
    Summary,
    TestResult,
)
from daf.statistics.scores import PairedScores
from daf.statistics.sequential import fixed_sample_size, p_value_below, sequential_comparison

__all__ = [
    "AlgorithmComparison",
    "AlgorithmPair",
    "AlgorithmSummary",
    "Comparison",
    "Effect",
    "EpisodesNeeded",
    "Estimate",
    "Interval",
    "Need",
    "PairResult",
    "PairedScores",
    "PerformanceProfiles",
    "PowerCurve",
    "SequentialComparison",
    "SequentialPair",
    "Summary",
    "TestResult",
    "TrainingsNeeded",
    "algorithm_pairs",
    "compare",
    "compare_algorithms",
    "compare_two",
    "crossed_mean",
    "episodes_needed",
    "fixed_sample_size",
    "letter_groups",
    "mean_with_interval",
    "p_value_below",
    "paired_effects",
    "performance_profiles",
    "power_curve",
    "reliability",
    "score_profiles",
    "score_sd",
    "sequential_comparison",
    "training_sd",
    "trainings_needed",
]
