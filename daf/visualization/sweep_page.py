"""A sweep as one page to look into: it needs no other file and no network, and opens from disk."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daf.files import write_whole
from daf.visualization.columns import Cell, Number
from daf.visualization.html import Child, Markup, document, element
from daf.visualization.report import set_up_box
from daf.visualization.report_tables import data_table, plain_table, value_cell
from daf.visualization.sweep_findings import FEWEST_FOR_IMPORTANCE, STATES, ShownTrial, SweepFindings
from daf.visualization.text import NO_VALUE, number_text, quantity_text

HOW_TO_READ = (
    "Point at a trial, or tab to a chart and use the arrow keys: it stands out in all charts and in the table.",
    "The filter above the table of trials leaves out the others in the charts as well.",
    "A pruned trial was ended early, since it was behind; it stands at its last report, hollow, and is no result.",
    "The highest of many noisy numbers is too high: what the best is worth is what the confirmation says.",
    "Importances are shares of the variation among the complete trials; they say nothing about what was not varied.",
)


def write_sweep_page(findings: SweepFindings, importances: Sequence[Mapping[str, float]], path: Path) -> Path:
    """Writes the page: verdict, set-up, command, charts, and the tables of trials, confirmation and space.

    Args:
        importances: for each objective the axes' shares; empty where there are too few trials.

    Returns:
        The file, `path`.
    """
    folder = Path(__file__).parent
    style, script = (
        "".join((folder / f"{name}.{kind}").read_text() for name in ("report", "sweep")) for kind in ("css", "js")
    )
    title = f"Sweep {findings.name}"
    body = [
        element("header", _heading(title, findings), element("button", "Dark", id="theme", type="button", hidden=True)),
        element(
            "main",
            element("ul", [element("li", note) for note in findings.notes], class_="verdict", id="verdict"),
            set_up_box(findings.facts, findings.command, "Go on with it"),
            _charts(findings, importances),
            _trials_table(findings),
            [plain_table(table) for table in findings.tables],
            element("h2", "How to read this"),
            element("ul", [element("li", line) for line in HOW_TO_READ], class_="soft"),
        ),
        element("div", id="data", hidden=True, data_sweep=json.dumps(_data(findings, importances))),
        element("div", id="tip", role="tooltip", hidden=True),
    ]
    write_whole(path, document(title, style, script, body))
    return path


def _heading(title: str, findings: SweepFindings) -> Markup:
    counts = ", ".join(f"{len(trials)} {state}" for state, trials in findings.states())
    return element("div", element("h1", title), element("p", f"{len(findings.trials)} trials: {counts}", class_="soft"))


def _charts(findings: SweepFindings, importances: Sequence[Mapping[str, float]]) -> list[Child]:
    """Empty boxes, which the page's script draws into."""
    complete, several = findings.complete(), len(findings.metrics) > 1
    charts = [_chart("history", "Objective, trial by trial", "line: the best so far", wide=True)]
    if any(trial.lines for trial in findings.trials):
        caption = f"{findings.metrics[0]} as reported on the way, one line for each training; dashed: pruned"
        charts.append(_chart("reports", "On the way", caption, wide=True))
    if len(findings.metrics) in (2, 3) and complete:
        charts.append(_chart("front", "Pareto front", "filled: no other trial beats it in every objective", wide=True))
    if findings.axes and len(complete) > 1:
        charts.append(_importance(importances, len(complete)))
        charts.append(_chart("slices", "Each key by itself", "hollow: pruned, at its last report", wide=True))
    if len(findings.axes) > 1 and len(complete) > 1:
        charts.append(
            _chart("parallel", "All keys together", "a line for each complete trial; strong: good", wide=True)
        )
        charts.append(
            _chart(
                "pairs",
                "Two keys against each other",
                "strong: good",
                wide=True,
                tools=_pair_tools(findings, importances),
            )
        )
    choice = _select("objective", "Objective", findings.metrics, 0) if several else ""
    legend = element("ul", [element("li", state, class_=f"state {state}") for state in STATES], class_="legend states")
    return [element("h2", "Charts"), choice, legend, element("div", charts, class_="charts")]


def _chart(kind: str, heading: str, caption: str, *, wide: bool = False, tools: Child = "") -> Markup:
    box = element("div", class_="chart", data_chart=kind)
    inner = (element("h3", heading), tools, box, element("figcaption", caption))
    return element("figure", *inner, class_="wide" if wide else None)


def _importance(importances: Sequence[Mapping[str, float]], complete: int) -> Markup:
    heading = "What mattered"
    if any(importances):
        return _chart(
            "importances", heading, f"share of the variation explained, from {complete} complete trials", wide=True
        )
    few = f"That takes {FEWEST_FOR_IMPORTANCE} complete trials whose objectives differ; there are {complete}."
    return element("figure", element("h3", heading), element("p", few, class_="soft"), class_="wide")


def _pair_tools(findings: SweepFindings, importances: Sequence[Mapping[str, float]]) -> Markup:
    """What chooses the two keys; at first those that matter most, where that is known."""
    names = [axis.name for axis in findings.axes]
    known = [name for name in (importances[0] if importances else ()) if name in names]
    numbers = [axis.name for axis in findings.axes if not axis.choices]
    first, second = list(dict.fromkeys([*known, *numbers, *names]))[:2]
    along, up = (
        _select("along", "across", names, names.index(first)),
        _select("up", "upwards", names, names.index(second)),
    )
    return element("div", along, up, class_="tools")


def _select(name: str, label: str, choices: Sequence[str], chosen: int) -> Markup:
    options = [element("option", choice, value=i, selected=i == chosen) for i, choice in enumerate(choices)]
    return element("label", label, element("select", options, id=name), class_="filter")


def _trials_table(findings: SweepFindings) -> Child:
    keys = list(dict.fromkeys(key for trial in findings.trials for key in trial.varied))
    failures = ("failure",) if any(trial.about for trial in findings.trials) else ()
    headings = ("trial", "state", *findings.metrics, *keys, "seconds", *failures, "MLflow run")
    rows = [_trial_row(trial, findings, keys, bool(failures)) for trial in findings.trials]
    return data_table("Trials", headings, rows, [trial.number for trial in findings.trials])


def _trial_row(trial: ShownTrial, findings: SweepFindings, keys: Sequence[str], with_failure: bool) -> list[Cell]:
    values = trial.values or (None,) * len(findings.metrics)
    marks = [word for word, is_so in _marks(trial, findings).items() if is_so]
    return [
        Number(trial.number, str(trial.number)),
        " ".join([trial.state, *(f"({mark})" for mark in marks)]),
        *(Number(value, number_text(value)) for value in values),
        *(value_cell(trial.varied.get(key, NO_VALUE)) for key in keys),
        Number(trial.seconds, NO_VALUE if trial.seconds is None else quantity_text(trial.seconds)),
        *([trial.about] if with_failure else []),
        trial.run_id or NO_VALUE,
    ]


def _marks(trial: ShownTrial, findings: SweepFindings) -> dict[str, bool]:
    on_front = trial.number in findings.front
    return {"best": trial.number == findings.best, "Pareto front": on_front, "baseline": trial.baseline}


def _data(findings: SweepFindings, importances: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """What the page's script draws."""
    return {
        "metrics": findings.metrics,
        "directions": findings.directions,
        "steps": findings.steps,
        "best": findings.best,
        "front": findings.front,
        "axes": [{"name": axis.name, "log": axis.log, "choices": axis.choices} for axis in findings.axes],
        "importances": [list(shares.items()) for shares in importances],
        "trials": [
            {
                "number": trial.number,
                "state": trial.state,
                "values": trial.values,
                "last": trial.last,
                "places": dict(trial.places),
                "lines": trial.lines,
                "varied": dict(trial.varied),
            }
            for trial in findings.trials
        ],
    }
