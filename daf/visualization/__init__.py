"""Plots, leaderboards and the HTML report."""

from daf.visualization.comparison_plots import (
    daf_plot_pair_differences,
    daf_plot_performance_profiles,
    daf_plot_policy_comparison,
)
from daf.visualization.curves import daf_plot_sweep_results, daf_plot_training_curves, moving_mean
from daf.visualization.findings import ComparisonFindings
from daf.visualization.leaderboard import daf_generate_leaderboard
from daf.visualization.report import daf_export_comparison_html
from daf.visualization.style import COLOURS, DASHES, DPI, MARKERS

__all__ = [
    "COLOURS",
    "DASHES",
    "DPI",
    "MARKERS",
    "ComparisonFindings",
    "daf_export_comparison_html",
    "daf_generate_leaderboard",
    "daf_plot_pair_differences",
    "daf_plot_performance_profiles",
    "daf_plot_policy_comparison",
    "daf_plot_sweep_results",
    "daf_plot_training_curves",
    "moving_mean",
]
