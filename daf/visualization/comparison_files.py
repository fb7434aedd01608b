"""The files of a comparison, under names that are the same for every comparison."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from daf.results import json_ready
from daf.visualization.comparison_tables import exact_tables
from daf.visualization.findings import ComparisonFindings


@dataclass(frozen=True, kw_only=True)
class ComparisonReport:
    """Where everything lies that a comparison found.

    Attributes:
        folder: holds all the files.
        html: the report for people, one file that needs nothing else; None where it could not be made.
        json: every number, for programs.
        tables: CSV files with every digit, one a table.
        leaderboard: the ranking as JSON, CSV and Markdown.
        plots: PNG files, without those that could not be drawn.
    """

    folder: Path
    html: Path | None
    json: Path
    tables: tuple[Path, ...]
    leaderboard: tuple[Path, ...]
    plots: tuple[Path, ...]


def findings_csv(findings: ComparisonFindings) -> dict[str, str]:
    """File name to CSV, one a table, every number in full."""
    return {f"{name}.csv": table.to_csv() for name, table in exact_tables(findings).items()}


def findings_json(findings: ComparisonFindings) -> str:
    """Everything in one JSON text."""
    data = {
        "metric": findings.scores.metric,
        "notes": list(findings.notes),
        "seeds": list(findings.scores.seeds),
        "comparison": dataclasses.asdict(findings.comparison),
        "profiles": dataclasses.asdict(findings.profiles),
        "sequential": dataclasses.asdict(findings.sequential) if findings.sequential else None,
        "setup": dataclasses.asdict(findings.setup),
    }
    return json.dumps(json_ready(data), indent=1) + "\n"
