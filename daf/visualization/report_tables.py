"""The report's tables: each column a heading and what it shows of a row; the page's script sorts and filters them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daf.visualization.html import Child, Markup, element
from daf.visualization.text import ALL_MISSIONS, interval_text, level_text, number_text, p_text

if TYPE_CHECKING:
    from daf.statistics import Comparison, Estimate, PairResult, Summary, TestResult

#: Texts beyond this may be broken into lines.
LONG = 32


@dataclass(frozen=True)
class Number:
    """A cell that sorts by its number; None sorts last."""

    value: float | None
    text: str


type Cell = str | Number
type Columns[Row] = Sequence[tuple[str, Callable[[Row], Cell]]]


def comparison_tables(
    comparison: "Comparison", samples: NDArray[np.float64], seeds: Sequence[int], metric: str
) -> list[Child]:
    """Policies, pairs, tests and episodes; with one mission, the results over all missions are its own."""
    shown: dict[str | None, str] = {None: ALL_MISSIONS}
    shown |= {mission: mission for mission in comparison.missions}
    if len(comparison.missions) == 1:
        shown = {None: comparison.missions[0]}
    level = f"{level_text(comparison.level)} interval"
    pairs = [pair for pair in comparison.pairs if pair.mission in shown]
    tests = [(pair, name, test) for pair in pairs for name, test in pair.tests.items()]
    episodes = [
        (policy, mission, seed, float(value))
        for policy, own in zip(comparison.policies, samples, strict=True)
        for mission, values in zip(comparison.missions, own, strict=True)
        for seed, value in zip(seeds, values, strict=True)
    ]
    summary_columns: Columns[Summary] = [
        ("policy", lambda summary: summary.policy),
        ("mission", lambda summary: shown[summary.mission]),
        ("episodes", lambda summary: Number(summary.episodes, str(summary.episodes))),
        (f"mean {metric}", lambda summary: _number(summary.mean.value)),
        (level, lambda summary: interval_text(summary.mean)),
        ("IQM", lambda summary: _number(summary.iqm.value)),
        ("IQM interval", lambda summary: interval_text(summary.iqm)),
        ("sd", lambda summary: _number(summary.std)),
    ]
    pair_columns: Columns[PairResult] = [
        ("first", lambda pair: pair.first),
        ("second", lambda pair: pair.second),
        ("mission", lambda pair: shown[pair.mission]),
        ("decision", lambda pair: pair.decision),
        ("difference", lambda pair: _number(pair.difference.value, "+")),
        (level, lambda pair: interval_text(pair.difference, "+")),
        ("corrected p", lambda pair: _p_value(pair.p_value)),
        ("Hedges' g", lambda pair: _effect(pair.hedges_g)),
        ("Cliff's delta", lambda pair: _effect(pair.cliffs_delta)),
        ("P(first higher)", lambda pair: _number(pair.probability_of_improvement.value)),
    ]
    test_columns: Columns[tuple[PairResult, str, TestResult]] = [
        ("pair", lambda row: f"{row[0].first} - {row[0].second}"),
        ("mission", lambda row: shown[row[0].mission]),
        ("test", lambda row: row[1].replace("_", " ")),
        ("statistic", lambda row: _number(row[2].statistic)),
        ("p", lambda row: _p_value(row[2].p_value)),
        ("p (Holm)", lambda row: _p_value(row[2].p_holm)),
        ("p (BH)", lambda row: _p_value(row[2].p_bh)),
        ("note", lambda row: row[2].note),
    ]
    episode_columns: Columns[tuple[str, str, int, float]] = [
        ("policy", lambda row: row[0]),
        ("mission", lambda row: row[1]),
        ("seed", lambda row: Number(row[2], str(row[2]))),
        (metric, lambda row: _number(row[3])),
    ]
    return [
        _table("Policies", summary_columns, [s for s in comparison.summaries if s.mission in shown]),
        _table("Pairs", pair_columns, pairs),
        _table("Tests", test_columns, tests),
        _table("Episodes", episode_columns, episodes),
    ]


def _number(value: float | None, sign: str = "") -> Number:
    return Number(value, "-" if value is None else number_text(value, sign))


def _effect(estimate: "Estimate") -> Number:
    return Number(estimate.value, f"{estimate.value:+.2f}")


def _p_value(value: float | None) -> Number:
    return Number(value, p_text(value))


def _table[Row](title: str, columns: Columns[Row], items: Sequence[Row]) -> Child:
    if not items:
        return ""
    rows = [[cell(item) for _, cell in columns] for item in items]
    numeric = [isinstance(cell, Number) for cell in rows[0]]
    heads = [
        element(
            "th",
            element("button", heading, type="button"),
            scope="col",
            aria_sort="none",
            class_=None if number else "text",
        )
        for (heading, _), number in zip(columns, numeric, strict=True)
    ]
    label = title.lower()
    tools = element(
        "div",
        element("label", f"Filter {label}", element("input", type="search", autocomplete="off"), class_="filter"),
        element("span", f"{len(rows)} rows", class_="count soft", role="status"),
        class_="tools",
    )
    table = element(
        "table",
        element("thead", element("tr", heads)),
        element("tbody", [element("tr", map(_cell, row)) for row in rows]),
    )
    region = element("div", table, class_="scroll", tabindex=0, role="region", aria_label=f"Table of {label}")
    return element("section", element("h2", title), tools, region, class_="tabular", id=label)


def _cell(cell: Cell) -> Markup:
    if isinstance(cell, str):
        return element("td", cell, class_="text long" if len(cell) > LONG else "text")
    value = "" if cell.value is None else repr(cell.value).replace("inf", "Infinity")
    return element("td", cell.text, data_value=value)
