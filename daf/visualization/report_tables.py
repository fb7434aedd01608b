"""The report's tables in HTML; the page's script sorts and filters them."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

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
from daf.visualization.html import Child, Markup, element
from daf.visualization.text import Direction, scope_name

if TYPE_CHECKING:
    from daf.statistics import Comparison, PairedScores

#: Texts beyond this may be broken into lines.
LONG = 32

SUMMARY_COLUMNS = ("policy", "mission", "episodes", "mean", "mean_interval", "iqm", "iqm_interval", "std")
PAIR_COLUMNS = ("first", "second", "mission", "decision", "difference", "difference_interval", "p_corrected")
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
        _table("Tests", pick(pair_test_columns(scope), TEST_COLUMNS), pair_tests(pairs)),
        _table("Episodes", score_columns(scores.metric), single_scores(scores)),
    ]


def _table[Row](title: str, columns: Sequence[Column[Row]], items: Iterable[Row]) -> Child:
    rows = [[column.cell(item) for column in columns] for item in items]
    if not rows:
        return ""
    heads = [_head(column.heading, cell) for column, cell in zip(columns, rows[0], strict=True)]
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


def _head(heading: str, first: Cell) -> Markup:
    """A heading that sorts its column, whose first cell says whether it holds numbers."""
    kind = None if isinstance(first, Number) else "text"
    button = element("button", heading, type="button")
    return element("th", button, scope="col", aria_sort="none", class_=kind)


def _cell(cell: Cell) -> Markup:
    if isinstance(cell, str):
        return element("td", cell, class_="text long" if len(cell) > LONG else "text")
    value = "" if cell.value is None else repr(cell.value).replace("inf", "Infinity")
    return element("td", cell.text, data_value=value)
