"""A comparison as files and MLflow entries, under names that are the same for every comparison."""

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from daf.comparison.scores import PairedScores
from daf.comparison.tables import full_tables, pairs_table, summary_table
from daf.results import json_ready
from daf.tracking.tracker import Tracker, metric_name
from daf.visualization import (
    daf_export_comparison_html,
    daf_generate_leaderboard,
    daf_plot_pair_differences,
    daf_plot_performance_profiles,
    daf_plot_policy_comparison,
)
from daf.visualization.text import ALL_MISSIONS

if TYPE_CHECKING:
    from daf.statistics import Comparison, PerformanceProfiles, SequentialComparison

THRESHOLDS = 101


def score_profiles(scores: PairedScores, level: float) -> "PerformanceProfiles":
    """Performance profiles from just below the lowest score to the highest."""
    from daf.statistics import performance_profiles

    low, high = float(scores.values.min()), float(scores.values.max())
    margin = (high - low or 1.0) / (THRESHOLDS - 1)
    grid = np.linspace(low - margin, high, THRESHOLDS)
    return performance_profiles(scores.values, scores.policies, grid, level=level)


def daf_publish_comparison(
    comparison: "Comparison",
    scores: PairedScores,
    profiles: "PerformanceProfiles",
    notes: Sequence[str],
    tracker: Tracker,
    *,
    sequential: "SequentialComparison | None" = None,
) -> Path:
    """Writes and logs everything that a comparison found.

    Below ``comparison/``: ``report.html``, ``comparison.json``, one CSV a table, the leaderboard, and the plots in
    ``plots/``. Means, differences and p-values become metrics; summary and pairs become MLflow tables, which its UI
    shows side by side for several runs.

    Returns:
        The folder.
    """
    folder = tracker.output_dir / "comparison"
    tables = full_tables(comparison, scores, profiles)
    for name, table in tables.items():
        tracker.log_text(table.to_csv(), f"comparison/{name}.csv")
    data = {
        "metric": scores.metric,
        "notes": list(notes),
        "seeds": list(scores.seeds),
        "comparison": dataclasses.asdict(comparison),
        "profiles": dataclasses.asdict(profiles),
        "sequential": dataclasses.asdict(sequential) if sequential else None,
    }
    tracker.log_text(json.dumps(json_ready(data), indent=1) + "\n", "comparison/comparison.json")
    daf_generate_leaderboard(comparison, folder, metric=scores.metric)
    for path in folder.glob("leaderboard.*"):
        tracker.log_file(path, "comparison")
    report = daf_export_comparison_html(
        comparison,
        folder / "report.html",
        samples=scores.values,
        seeds=scores.seeds,
        profiles=profiles,
        metric=scores.metric,
        notes=notes,
    )
    tracker.log_file(report, "comparison")
    for plot in _plots(comparison, scores, profiles, folder / "plots"):
        tracker.log_file(plot, "comparison/plots")
    tracker.log_metrics(_metrics(comparison))
    tracker.log_table(summary_table(comparison, scores.metric), "comparison/summary_table.json")
    tracker.log_table(pairs_table(comparison), "comparison/pairs_table.json")
    return folder


def _metrics(comparison: "Comparison") -> dict[str, float]:
    metrics: dict[str, float] = {
        "comparison/episodes_per_mission": comparison.episodes_per_mission,
        "comparison/significant_pairs": sum(p.significant for p in comparison.pairs if p.mission is None),
    }
    for summary in comparison.summaries:
        end = (summary.policy, summary.mission or ALL_MISSIONS)
        metrics[metric_name("comparison/mean", *end)] = summary.mean.value
        metrics[metric_name("comparison/iqm", *end)] = summary.iqm.value
        metrics[metric_name("comparison/sd", *end)] = summary.std
        if summary.mean.interval:
            metrics[metric_name("comparison/mean_low", *end)] = summary.mean.interval.low
            metrics[metric_name("comparison/mean_high", *end)] = summary.mean.interval.high
    for pair in comparison.pairs:
        end = (f"{pair.first} - {pair.second}", pair.mission or ALL_MISSIONS)
        metrics[metric_name("comparison/difference", *end)] = pair.difference.value
        metrics[metric_name("comparison/hedges_g", *end)] = pair.hedges_g.value
        metrics[metric_name("comparison/improvement", *end)] = pair.probability_of_improvement.value
        if pair.p_value is not None:
            metrics[metric_name("comparison/p", *end)] = pair.p_value
    return metrics


def _plots(comparison: "Comparison", scores: PairedScores, profiles: "PerformanceProfiles", folder: Path) -> list[Path]:
    """Overall plots, and the policies on each of several missions under a name that other comparisons share."""
    several = len(scores.missions) > 1
    title = ALL_MISSIONS if several else scores.missions[0]
    overall = [pair for pair in comparison.pairs if pair.mission is None]
    metric = "mean reward per agent" if scores.metric == "reward" else scores.metric
    plots = [
        _plot_policies(comparison, scores, None, metric, title, folder / "policies.png"),
        daf_plot_pair_differences(
            overall, folder / "differences.png", level=comparison.level, metric=metric, title=title
        ),
        daf_plot_performance_profiles(
            profiles, folder / "profiles.png", metric=metric, episodes=scores.values[0].size, title=title
        ),
    ]
    for number, mission in enumerate(scores.missions if several else ()):
        name = re.sub(r"[^\w.-]", "_", mission)
        plots.append(_plot_policies(comparison, scores, number, metric, mission, folder / f"policies_{name}.png"))
    return plots


def _plot_policies(
    comparison: "Comparison", scores: PairedScores, mission: int | None, metric: str, title: str, path: Path
) -> Path:
    name = None if mission is None else scores.missions[mission]
    means = {policy: comparison.summary(policy, name).mean for policy in scores.policies}
    return daf_plot_policy_comparison(
        {policy: scores.sample(number, mission).tolist() for number, policy in enumerate(scores.policies)},
        path,
        intervals={policy: (m.interval.low, m.interval.high) for policy, m in means.items() if m.interval},
        level=comparison.level,
        metric=metric,
        title=title,
    )
