"""The results of a run, computed again from what is logged of it, each kind by what computed it at first."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from daf.comparison.compare import Played, comparison_findings, where_rounds_stand
from daf.comparison.paired import paired_scores
from daf.comparison.publish import daf_publish_comparison
from daf.comparison.tournament.season_table import season_notes, season_table
from daf.comparison.tournament.standings import rank_policies
from daf.comparison.tournament.task import plot_season
from daf.config.schemas import DAFComparisonConfig
from daf.episodes.played import EVALUATION
from daf.errors import DAFError
from daf.evaluation.task import table_of_records
from daf.results import ResultTable
from daf.runs.logged import Logged
from daf.tracking.tracker import Tracker
from daf.visualization.comparison_tables import pairs_table, summary_table
from daf.visualization.curves import daf_plot_training_curves
from daf.visualization.drawing import draw_files
from daf.visualization.evaluation_tables import episodes_csv
from daf.visualization.findings import ReportSetup

PICTURES, PAGES = (".png", ".svg"), (".html",)


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """The results of a run once more.

    Attributes:
        pictures: files below the report's output folder, in the order in which they are shown.
        page: the report, where it is one of its own kind; else None.
    """

    tables: tuple[ResultTable, ...]
    notes: tuple[str, ...] = ()
    pictures: tuple[Path, ...] = ()
    page: Path | None = None


def rebuild(logged: Logged, tracker: Tracker) -> Rebuilt:
    """The results of a run, from its artifacts and metrics alone, written below the tracker's output folder.

    Comparisons, tournaments, evaluations and trainings are computed again; of what else there is, the tables and
    pictures that were logged are shown.

    Raises:
        DAFError: too little was logged; it says what is missing.
    """
    makers: dict[str, Callable[[Logged, Tracker], Rebuilt]] = {
        "comparison/comparison.json": _comparison,
        "tournament/leaderboard.json": _tournament,
        f"{EVALUATION}/episodes.jsonl": _evaluation,
    }
    make = next((make for path, make in makers.items() if logged.has(path)), None)
    if make is None:
        make = _training if "reward" in logged.run.data.metrics else _as_logged
    return make(logged, tracker)


def _comparison(logged: Logged, tracker: Tracker) -> Rebuilt:
    told = logged.json("comparison/comparison.json")
    # Which policies they were is in the records: their classes and weights need not be here.
    options = DAFComparisonConfig.model_validate({**logged.config["comparison"], "policies": [], "algorithms": {}})
    records, names = logged.records("comparison"), told["comparison"]
    scores = paired_scores(records, [], names["policies"], names["missions"], options.metric)
    played = Played(records, [], scores, where_rounds_stand(options, scores, records))
    findings = replace(comparison_findings(options, played), notes=tuple(told["notes"]), setup=_setup(told["setup"]))
    report = daf_publish_comparison(findings, tracker)
    tables = (summary_table(findings.comparison, scores.metric, findings.direction), pairs_table(findings.comparison))
    return Rebuilt(tables=tables, notes=tuple(findings.notes), pictures=report.plots, page=report.html)


def _setup(told: dict[str, Any]) -> ReportSetup:
    """What the report said about where its episodes come from. Replays stay where they are."""
    table = told["policies"] and ResultTable(
        told["policies"]["title"], tuple(told["policies"]["columns"]), tuple(map(tuple, told["policies"]["rows"]))
    )
    return ReportSetup(facts=told["facts"], command=told["command"], policies=table)


def _tournament(logged: Logged, tracker: Tracker) -> Rebuilt:
    told = logged.json("tournament/leaderboard.json")
    records = logged.records("tournament")
    names = [name for name in _first_players(records) if name not in told["disqualified"]]
    seeds = set(told["seeds"])
    counted = [record for record in records if record.seed in seeds and record.policies[0] in names]
    season = rank_policies(counted, names, told["missions"], level=logged.config["tournament"]["level"])
    tracker.log_text(json.dumps(told, indent=1) + "\n", "tournament/leaderboard.json")
    pictures = draw_files(tracker, "plots", {"tournament.png": partial(plot_season, season)})
    return Rebuilt(tables=(season_table(season),), notes=tuple(season_notes(season)), pictures=pictures)


def _first_players(records: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys(record.policies[0] for record in records if len(record.policies) == 1))


def _evaluation(logged: Logged, tracker: Tracker) -> Rebuilt:
    records = logged.records(EVALUATION)
    missions = list(dict.fromkeys(record.mission_name for record in records))
    table = table_of_records(records, _first_players(records), missions, logged.config["level"])
    tracker.log_text(episodes_csv(records), f"{EVALUATION}/episodes.csv")
    return Rebuilt(tables=(table,), pictures=_logged_files(logged, tracker, PICTURES))


def _training(logged: Logged, tracker: Tracker) -> Rebuilt:
    history = logged.client.get_metric_history(logged.run_id, "reward")
    curve = [(point.step, point.value) for point in sorted(history, key=lambda point: point.step)]
    name = str(logged.run.info.run_name)
    draw = partial(_draw_curve, name, curve)
    pictures = draw_files(tracker, "plots", {"learning_curve.png": draw})
    last = logged.run.data.metrics
    facts = [("epochs with a finished episode", f"{len(curve):,}"), ("reward of the last", f"{last['reward']:.4f}")]
    tables = _logged_tables(logged) or (ResultTable("Training", ("", "value"), tuple(facts)),)
    return Rebuilt(tables=tables, pictures=pictures)


def _draw_curve(name: str, curve: Sequence[tuple[int, float]], path: Path) -> Path:
    return daf_plot_training_curves({name: curve}, path, window=max(1, len(curve) // 20))


def _as_logged(logged: Logged, tracker: Tracker) -> Rebuilt:
    tables = _logged_tables(logged)
    if not tables:
        raise DAFError(
            f"MLflow run {logged.run_id} ({logged.run.info.run_name}, {logged.run.info.status}) cannot be reported: it"
            " has neither tables (tables/*.csv) nor episodes (episodes.jsonl) among its artifacts, and no rewards of a"
            " training among its metrics"
        )
    pages = _logged_files(logged, tracker, PAGES)
    notes = tuple(f"Page: {page}" for page in pages)
    return Rebuilt(tables=tables, notes=notes, pictures=_logged_files(logged, tracker, PICTURES))


def _logged_tables(logged: Logged) -> tuple[ResultTable, ...]:
    paths = [path for path in logged.files("tables") if path.endswith(".csv")]
    return tuple(_read_table(path, logged.text(path)) for path in paths)


def _read_table(path: str, text: str) -> ResultTable:
    columns, *rows = csv.reader(io.StringIO(text))
    title = PurePosixPath(path).stem.replace("_", " ").capitalize()
    return ResultTable(title, tuple(columns), tuple(map(tuple, rows)))


def _logged_files(logged: Logged, tracker: Tracker, endings: tuple[str, ...]) -> tuple[Path, ...]:
    """Brings the pictures that were logged, or the pages, below the output folder."""
    folders = ["plots", *(f"{item.path}/plots" for item in logged.client.list_artifacts(logged.run_id) if item.is_dir)]
    paths = [path for folder in folders for path in logged.files(folder) if path.endswith(endings)]
    found = [logged.bring(path, tracker.output_dir) for path in paths]
    return tuple(path for path in found if path)
