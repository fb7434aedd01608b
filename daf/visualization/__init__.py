"""Plots, leaderboards and the HTML report."""

from daf.visualization.comparison import daf_plot_policy_comparison
from daf.visualization.curves import daf_plot_training_curves, moving_mean
from daf.visualization.style import COLOURS, DPI, MARKERS

__all__ = ["COLOURS", "DPI", "MARKERS", "daf_plot_policy_comparison", "daf_plot_training_curves", "moving_mean"]
