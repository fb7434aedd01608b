"""Policies side by side: their episodes, their differences, their performance profiles."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from daf.visualization.style import COLOURS, DASHES, MARKERS, styled_figure
from daf.visualization.text import level_text

if TYPE_CHECKING:
    from daf.statistics import PairResult, PerformanceProfiles


def daf_plot_policy_comparison(
    samples: Mapping[str, Sequence[float]],
    path: Path,
    *,
    intervals: Mapping[str, tuple[float, float]],
    level: float,
    metric: str = "mean reward per agent",
    units: str = "episodes",
    title: str = "",
) -> Path:
    """One row a policy: every value as a dot, the mean with its interval beside them.

    Args:
        samples: policy to one value for each unit.
        units: what the values stand for, in the plural: episodes, seeds, trainings.
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
        axes.set_xlabel(f"{metric}; line: {level_text(level)} interval of the mean, dots: {units}")
        axes.set_title(title, loc="left", fontsize=10)
        axes.grid(axis="y", visible=False)
    return path


def daf_plot_pair_differences(
    pairs: Sequence["PairResult"], path: Path, *, level: float, metric: str, title: str = ""
) -> Path:
    """One row a pair: the difference of the means with its interval, filled where the corrected test decided.

    Args:
        pairs: results of one scope, as `daf.statistics.compare` gives them.
        level: confidence level of the intervals, for the axis label.
    """
    with styled_figure(path, height=1.2 + 0.45 * len(pairs)) as (_, axes):
        axes.axvline(0, color="0.35", linewidth=1)
        for row, pair in enumerate(pairs):
            colour = COLOURS[0] if pair.significant else "0.45"
            interval = pair.difference.interval
            if interval is not None:
                axes.hlines(row, interval.low, interval.high, color=colour, linewidth=2.2)
            axes.plot(
                pair.difference.value,
                row,
                MARKERS[0],
                markersize=7,
                markeredgecolor=colour,
                markeredgewidth=1.5,
                markerfacecolor=colour if pair.significant else "white",
            )
        labels = [f"{pair.first} - {pair.second}\n(n = {pair.episodes})" for pair in pairs]
        axes.set_yticks(range(len(pairs)), labels)
        axes.set_ylim(len(pairs) - 0.4, -0.6)
        axes.set_xlabel(
            f"difference in {metric}\nline: {level_text(level)} interval, filled: significant after correction"
        )
        axes.set_title(title, loc="left", fontsize=10)
        axes.grid(axis="y", visible=False)
    return path


def daf_plot_performance_profiles(
    profiles: "PerformanceProfiles", path: Path, *, metric: str, episodes: int, title: str = ""
) -> Path:
    """For each policy the share of its episodes above each score, with its pointwise band.

    Args:
        episodes: episodes behind each curve, for the axis label.
    """
    with styled_figure(path) as (_, axes):
        curves = zip(profiles.policies, profiles.fractions, profiles.low, profiles.high, strict=True)
        for index, (policy, fractions, low, high) in enumerate(curves):
            colour, dashes = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
            axes.plot(profiles.thresholds, fractions, color=colour, linestyle=dashes, linewidth=1.8, label=policy)
            axes.fill_between(profiles.thresholds, low, high, color=colour, alpha=0.13, linewidth=0)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel(f"{metric} (threshold)")
        axes.set_ylabel(f"share of episodes above it\n(n = {episodes} a policy, band: {level_text(profiles.level)})")
        axes.set_title(title, loc="left", fontsize=10)
        axes.legend(facecolor="white", edgecolor="none", framealpha=0.9)
    return path
