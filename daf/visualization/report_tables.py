"""The report's tables in HTML; the page's script sorts and filters them."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from daf.results import ResultTable
from daf.visualization.columns import (
    Cell,
    Column,
    Number,
    pair_columns,
    pair_test_columns,
    pick,
    score_columns,
    summary_columns,
)
from daf.visualization.comparison_tables import pair_tests, shown_pairs, shown_summaries, single_scores
from daf.visualization.groups import policy_groups
from daf.visualization.html import Child, Markup, breakable, element
from daf.visualization.text import Direction, scope_name

if TYPE_CHECKING:
    from daf.statistics import Comparison, PairedScores

#: Texts beyond this get room for several words a line.
LONG = 32
#: Rows that are seen at a glance and need no filter.
FEWEST_TO_FILTER = 8
#: Two bounds stay on one line.
_INTERVAL = re.compile(r"[+-]?[\d.,e+-]+ to [+-]?[\d.,e+-]+")

SUMMARY_COLUMNS = ("policy", "mission", "episodes", "mean", "mean_interval", "iqm", "iqm_interval", "std")
PAIR_COLUMNS = ("first", "second", "mission", "first_verdict", "difference", "difference_interval", "p_corrected")
EFFECT_COLUMNS = ("hedges_g", "cliffs_delta", "probability_of_improvement")
TEST_COLUMNS = ("pair", "mission", "test", "statistic", "p", "p_holm", "p_bh", "note")


def comparison_tables(comparison: "Comparison", scores: "PairedScores", direction: Direction) -> list[Child]:
    """Policies, pairs, tests and episodes; with one mission, the results over all missions stand for it."""
    scope, level = scope_name(comparison.missions), comparison.level
    pairs = shown_pairs(comparison)
    groups = policy_groups(comparison, direction)
    names = (*SUMMARY_COLUMNS[:2], *(("group",) if groups else ()), *SUMMARY_COLUMNS[2:])
    summaries = pick(summary_columns(scores.metric, level, scope, groups), names)
    return [
        _table("Policies", summaries, shown_summaries(comparison)),
        _table("Pairs", pick(pair_columns(level, scope), (*PAIR_COLUMNS, *EFFECT_COLUMNS)), pairs),
        _table("Tests", pick(pair_test_columns(scope), TEST_COLUMNS), pair_tests(pairs), folded=True),
        _table("Episodes", score_columns(scores.metric), single_scores(scores), folded=True),
    ]


def _table[Row](title: str, columns: Sequence[Column[Row]], items: Iterable[Row], *, folded: bool = False) -> Child:
    rows = [[column.cell(item) for column in columns] for item in items]
    return data_table(title, [column.heading for column in columns], rows, folded=folded)


def data_table(
    title: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    marks: Sequence[int | None] = (),
    *,
    folded: bool = False,
) -> Child:
    """A table that the page's script sorts and filters; nothing without rows.

    Args:
        marks: for each row the number that charts know it by.
        folded: whether it is shown on demand only, and left out of a print.
    """
    if not rows:
        return ""
    heads = [_head(heading, cell) for heading, cell in zip(headings, rows[0], strict=True)]
    label = title.lower()
    tools = _filter(label, len(rows)) if len(rows) > FEWEST_TO_FILTER else ""
    marked = zip(rows, marks or [None] * len(rows), strict=True)
    table = element(
        "table",
        element("thead", element("tr", heads)),
        element("tbody", [element("tr", map(_cell, row), data_trial=mark) for row, mark in marked]),
    )
    region = element("div", table, class_="scroll", tabindex=0, role="region", aria_label=f"Table of {label}")
    inner: Child = [element("h2", title), tools, region]
    if folded:
        summary = element("summary", element("h2", title), element("span", f"{len(rows):,} rows", class_="soft"))
        inner = element("details", summary, tools, region)
    return element("section", inner, class_="tabular", id=label.replace(" ", "-"))


def _filter(label: str, rows: int) -> Markup:
    box = element("label", f"Filter {label}", element("input", type="search", autocomplete="off"), class_="filter")
    return element("div", box, element("span", f"{rows} rows", class_="count soft", role="status"), class_="tools")


def _head(heading: str, first: Cell) -> Markup:
    """A heading that sorts its column, whose first cell says whether it holds numbers."""
    kind = None if isinstance(first, Number) else "text"
    button = element("button", heading, type="button")
    return element("th", button, scope="col", aria_sort="none", class_=kind)


def _cell(cell: Cell) -> Markup:
    if isinstance(cell, str):
        if _INTERVAL.fullmatch(cell):
            return element("td", cell, class_="text whole")
        return element("td", breakable(cell), class_="text long" if len(cell) > LONG else "text")
    value = "" if cell.value is None else repr(cell.value).replace("inf", "Infinity")
    return element("td", cell.text, data_value=value)


def plain_table(table: ResultTable) -> Child:
    """A table for people, whose cells sort as numbers where they are numbers."""
    return data_table(table.title, table.columns, [list(map(value_cell, row)) for row in table.rows])


def value_cell(text: str) -> Cell:
    """A cell that sorts as a number if its text is one."""
    try:
        return Number(float(text), text)
    except ValueError:
        return text
