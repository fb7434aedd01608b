"""Policies side by side: their episodes, their differences, their performance profiles."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from daf.visualization.style import COLOURS, MARKERS, styled_figure

if TYPE_CHECKING:
    from daf.statistics import PairResult, PerformanceProfiles


def daf_plot_policy_comparison(
    samples: Mapping[str, Sequence[float]],
    path: Path,
    *,
    intervals: Mapping[str, tuple[float, float]],
    level: float,
    metric: str = "mean reward per agent",
    title: str = "",
) -> Path:
    """One row a policy: every episode as a dot, the mean with its interval beside them.

    Args:
        samples: policy to one value an episode.
        intervals: policy to the interval of its mean.
        level: confidence level of the intervals, for the axis label.
    """
    names = list(samples)
    with styled_figure(path, height=1.4 + 0.6 * len(names)) as (_, axes):
        jitter = np.random.default_rng(0)
        for row, name in enumerate(names):
            values = np.asarray(samples[name], dtype=float)
            colour = COLOURS[row % len(COLOURS)]
            offsets = row + 0.18 + jitter.uniform(-0.07, 0.07, len(values))
            axes.scatter(values, offsets, s=14, color=colour, alpha=0.45, linewidths=0)
            mean = float(values.mean())
            if name in intervals:
                low, high = intervals[name]
                axes.hlines(row - 0.08, low, high, color=colour, linewidth=2.2)
            axes.plot(mean, row - 0.08, MARKERS[row % len(MARKERS)], color=colour, markersize=7)
            axes.annotate(
                f"{mean:.3f}",
                (mean, row - 0.12),
                (0, 7),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=8,
            )
        axes.set_yticks(range(len(names)), [f"{name}\n(n = {len(samples[name])})" for name in names])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlabel(f"{metric}; line: {level:.0%} interval of the mean, dots: episodes")
        axes.set_title(title, loc="left", fontsize=10)
        axes.grid(axis="y", visible=False)
    return path
