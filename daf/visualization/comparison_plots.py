"""Policies side by side: their episodes, their differences, their performance profiles."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from daf.visualization.findings import ComparisonFindings
from daf.visualization.groups import policy_groups
from daf.visualization.style import COLOURS, DASHES, MARKERS, legend_outside, styled_figure
from daf.visualization.text import (
    Direction,
    interval_heading,
    level_text,
    metric_label,
    pair_name,
    picture_text,
    scope_name,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from daf.statistics import Comparison, Estimate, PairedScores, PairResult, PerformanceProfiles


class _About(TypedDict):
    """What all plots of a comparison say."""

    metric: str
    title: str


_LETTER = re.compile(r"\w|\[\d+\]")


def plot_findings(findings: ComparisonFindings) -> dict[str, Callable[[Path], Path]]:
    """All plots of a comparison, and the policies on each of several missions under a name that others share.

    Returns:
        File name to what draws it at a path.
    """
    comparison, scores = findings.comparison, findings.scores
    title, metric = scope_name(scores.missions), metric_label(scores.metric, findings.direction)
    overall = [pair for pair in comparison.pairs if pair.mission is None]
    episodes = scores.values[0].size
    scores_at = partial(plot_scores, comparison, scores, direction=findings.direction)
    about: _About = {"metric": metric, "title": title}
    plots: dict[str, Callable[[Path], Path]] = {
        "policies.png": scores_at,
        "differences.png": partial(daf_plot_pair_differences, overall, level=comparison.level, **about),
        "profiles.png": partial(daf_plot_performance_profiles, findings.profiles, episodes=episodes, **about),
    }
    if groups := policy_groups(comparison, findings.direction).get(None):
        means = {policy: comparison.summary(policy).mean for policy in groups}
        plots["groups.png"] = partial(daf_plot_groups, means, groups, level=comparison.level, **about)
    for number, mission in enumerate(scores.missions if len(scores.missions) > 1 else ()):
        plots[f"policies_{re.sub(r'[^\w.-]', '_', mission)}.png"] = partial(scores_at, mission=number)
    return plots


def plot_scores(
    comparison: "Comparison",
    scores: "PairedScores",
    path: Path,
    *,
    mission: int | None = None,
    direction: Direction = None,
) -> Path:
    """The episodes of all policies with their means, over all missions or on the one of this number."""
    name = None if mission is None else scores.missions[mission]
    means = {policy: comparison.summary(policy, name).mean for policy in scores.policies}
    return daf_plot_policy_comparison(
        {policy: scores.sample(number, mission).tolist() for number, policy in enumerate(scores.policies)},
        path,
        intervals={policy: bounds for policy, mean in means.items() if (bounds := _bounds(mean))},
        level=comparison.level,
        metric=metric_label(scores.metric, direction),
        title=name or scope_name(scores.missions),
    )


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
            offsets = row + 0.18 + jitter.uniform(-0.07, 0.07, len(values))
            axes.scatter(values, offsets, s=14, color=COLOURS[row % len(COLOURS)], alpha=0.45, linewidths=0)
            _draw_mean(axes, row, float(values.mean()), intervals.get(name))
        _label_rows(axes, [f"{name}\n(n = {len(samples[name])})" for name in names], title)
        axes.set_xlabel(f"{metric}; line: {interval_heading(level)} of the mean, dots: {units}")
    return path


def _draw_mean(axes: "Axes", row: int, mean: float, interval: tuple[float, float] | None) -> None:
    colour = COLOURS[row % len(COLOURS)]
    if interval:
        axes.hlines(row - 0.08, *interval, color=colour, linewidth=2.2)
    axes.plot(mean, row - 0.08, MARKERS[row % len(MARKERS)], color=colour, markersize=7)
    place = (mean, row - 0.12)
    axes.annotate(picture_text(mean), place, (0, 7), textcoords="offset points", ha="center", va="bottom", fontsize=8)


def _label_rows(axes: "Axes", labels: Sequence[str], title: str) -> None:
    """One row a label, the first on top."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(axis="y", visible=False)


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
        _label_rows(axes, [f"{pair_name(pair)}\n(n = {pair.episodes})" for pair in pairs], title)
        axes.set_xlabel(
            f"difference in {metric}\nline: {interval_heading(level)}, filled: significant after correction"
        )
    return path


def daf_plot_groups(
    means: "Mapping[str, Estimate]",
    groups: Mapping[str, str],
    path: Path,
    *,
    level: float,
    metric: str,
    title: str = "",
) -> Path:
    """One row a policy, and a bar beside those that cannot be told apart, as in Demsar's (2006) critical differences.

    The bars are those of the test that decided the pairs; there is no one critical difference for all of them.

    Args:
        means: policy to its mean, the order of the rows.
        groups: policy to its letters, of which each is a bar.
    """
    names = list(means)
    letters = sorted({letter for name in names for letter in _LETTER.findall(groups[name])}, key=lambda x: (len(x), x))
    with styled_figure(path, height=1.4 + 0.4 * len(names)) as (_, axes):
        for row, name in enumerate(names):
            _draw_mean(axes, row, means[name].value, _bounds(means[name]))
        for column, letter in enumerate(letters):
            rows = [row for row, name in enumerate(names) if letter in _LETTER.findall(groups[name])]
            place, beside = [1.03 + 0.04 * column] * len(rows), axes.get_yaxis_transform()
            axes.plot(place, rows, color="0.35", linewidth=3, marker="o", transform=beside, clip_on=False)
            axes.text(place[0], -0.5, letter, transform=beside, ha="center", va="bottom", fontsize=9)
        _label_rows(axes, names, title)
        axes.set_xlabel(
            f"{metric}; line: {interval_heading(level)} of the mean\nbars: policies that cannot be told apart"
        )
    return path


def _bounds(estimate: "Estimate") -> tuple[float, float] | None:
    return (estimate.interval.low, estimate.interval.high) if estimate.interval else None


def daf_plot_performance_profiles(
    profiles: "PerformanceProfiles", path: Path, *, metric: str, episodes: int | None = None, title: str = ""
) -> Path:
    """For each policy the share of its episodes or trainings above each score, with its pointwise band.

    Args:
        episodes: episodes behind each curve, for the axis label; None where the curves are of trainings.
    """
    with styled_figure(path, width=9.5) as (_, axes):
        curves = zip(profiles.policies, profiles.fractions, profiles.low, profiles.high, strict=True)
        for index, (policy, fractions, low, high) in enumerate(curves):
            colour, dashes = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
            axes.plot(profiles.thresholds, fractions, color=colour, linestyle=dashes, linewidth=1.8, label=policy)
            axes.fill_between(profiles.thresholds, low, high, color=colour, alpha=0.13, linewidth=0)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel(f"{metric} (threshold)")
        units, count = ("trainings", "") if episodes is None else ("episodes", f"n = {episodes} a policy, ")
        axes.set_ylabel(f"share of {units} above it\n({count}band: {level_text(profiles.level)})")
        axes.set_title(title, loc="left", fontsize=10)
        legend_outside(axes)
    return path
