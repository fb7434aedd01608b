"""A comparison's findings as files and MLflow entries."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from daf.tracking.tracker import Tracker, metric_name
from daf.visualization.comparison_files import ComparisonReport, findings_csv, findings_json
from daf.visualization.comparison_plots import plot_findings
from daf.visualization.comparison_tables import pairs_table, summary_table
from daf.visualization.drawing import attempt, draw_files
from daf.visualization.findings import ComparisonFindings
from daf.visualization.leaderboard import daf_generate_leaderboard
from daf.visualization.report import daf_export_comparison_html
from daf.visualization.text import ALL_MISSIONS, pair_name

if TYPE_CHECKING:
    from daf.statistics import Comparison, PairResult, Summary

FOLDER = "comparison"


def daf_publish_comparison(findings: ComparisonFindings, tracker: Tracker) -> ComparisonReport:
    """Writes and logs everything that a comparison found.

    Below ``comparison/``: ``report.html``, ``comparison.json``, one CSV a table, the leaderboard, and the plots in
    ``plots/``. Means, differences and p-values become metrics; summary and pairs become MLflow tables, which its UI
    shows side by side for several runs. A report, leaderboard or plot that cannot be made is a warning.
    """
    report = _write(findings, tracker)
    for path in report.leaderboard:
        tracker.log_file(path, FOLDER)
    comparison = findings.comparison
    tracker.log_metrics(_metrics(comparison))
    tracker.log_table(
        summary_table(comparison, findings.scores.metric, findings.direction), f"{FOLDER}/summary_table.json"
    )
    tracker.log_table(pairs_table(comparison), f"{FOLDER}/pairs_table.json")
    return report


def _write(findings: ComparisonFindings, tracker: Tracker) -> ComparisonReport:
    """The files; the tracker blanks secrets in texts and logs them."""
    folder = tracker.output_dir / FOLDER
    tables = [tracker.log_text(text, f"{FOLDER}/{name}") for name, text in findings_csv(findings).items()]
    data = tracker.log_text(findings_json(findings), f"{FOLDER}/comparison.json")
    attempt(tracker, "The leaderboard", partial(_rank, findings, folder))
    html = draw_files(tracker, FOLDER, {"report.html": partial(daf_export_comparison_html, findings)})
    return ComparisonReport(
        folder=folder,
        html=html[0] if html else None,
        json=data,
        tables=tuple(tables),
        leaderboard=tuple(sorted(folder.glob("leaderboard.*"))),
        plots=draw_files(tracker, f"{FOLDER}/plots", plot_findings(findings)),
    )


def _rank(findings: ComparisonFindings, folder: Path) -> None:
    metric, direction = findings.scores.metric, findings.direction
    daf_generate_leaderboard(findings.comparison, folder, metric=metric, direction=direction)


def _metrics(comparison: "Comparison") -> dict[str, float]:
    metrics: dict[str, float] = {
        "comparison/episodes_per_mission": comparison.episodes_per_mission,
        "comparison/significant_pairs": sum(p.significant for p in comparison.pairs if p.mission is None),
    }
    for summary in comparison.summaries:
        metrics |= _summary_metrics(summary)
    for pair in comparison.pairs:
        metrics |= _pair_metrics(pair)
    return metrics


def _summary_metrics(summary: "Summary") -> dict[str, float]:
    values = {"mean": summary.mean.value, "iqm": summary.iqm.value, "sd": summary.std}
    if summary.mean.interval:
        values |= {"mean_low": summary.mean.interval.low, "mean_high": summary.mean.interval.high}
    return _under(values, summary.policy, summary.mission)


def _pair_metrics(pair: "PairResult") -> dict[str, float]:
    values = {
        "difference": pair.difference.value,
        "hedges_g": pair.hedges_g.value,
        "improvement": pair.probability_of_improvement.value,
    }
    if pair.p_value is not None:
        values["p"] = pair.p_value
    return _under(values, pair_name(pair), pair.mission)


def _under(values: dict[str, float], name: str, mission: str | None) -> dict[str, float]:
    """Values under the names of their metrics."""
    return {metric_name(f"comparison/{key}", name, mission or ALL_MISSIONS): value for key, value in values.items()}
