"""The columns of a comparison, each defined once.

Tables for people (terminal, MLflow, leaderboard, HTML report) and files for programs (CSV) pick from them by name.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from daf.results import ResultTable
from daf.visualization.groups import Groups
from daf.visualization.text import (
    ALL_MISSIONS,
    NO_VALUE,
    count_text,
    first_verdict_text,
    interval_heading,
    interval_text,
    is_known,
    number_text,
    p_text,
    pair_name,
    ratio_text,
    verdict_text,
)

if TYPE_CHECKING:
    from daf.statistics import Estimate, PairResult, Summary, TestResult


@dataclass(frozen=True)
class Number:
    """A cell that sorts by its number; None sorts last."""

    value: float | None
    text: str


type Cell = str | Number


@dataclass(frozen=True)
class Column[Row]:
    """One fact about a row.

    Attributes:
        name: what programs call it, unique in a table.
        heading: what people call it.
        value: the fact, with every digit.
        spelling: how people read it; None for as it is.
    """

    name: str
    heading: str
    value: Callable[[Row], str | float | None]
    spelling: Callable[[Any], str] | None = None

    def cell(self, row: Row) -> Cell:
        """What people are shown."""
        value = self.value(row)
        text = str(value) if self.spelling is None else self.spelling(value)
        return text if isinstance(value, str) else Number(value if is_known(value) else None, text)

    def text(self, row: Row) -> str:
        """What people read."""
        cell = self.cell(row)
        return cell if isinstance(cell, str) else cell.text

    def exact(self, row: Row) -> str:
        """What programs read: every digit, nothing for None."""
        value = self.value(row)
        if isinstance(value, bool):
            return str(value).lower()
        return value if isinstance(value, str) else "" if value is None else repr(value)

    def of[Outer](self, inner: Callable[[Outer], Row]) -> "Column[Outer]":
        """The same fact about something that holds such a row."""
        return Column(self.name, self.heading, lambda outer: self.value(inner(outer)), self.spelling)


type Columns[Row] = Mapping[str, Column[Row]]


def table[Row](title: str, columns: Sequence[Column[Row]], rows: Iterable[Row]) -> ResultTable:
    """A table for people."""
    headings = tuple(column.heading for column in columns)
    return ResultTable(title, headings, tuple(tuple(column.text(row) for column in columns) for row in rows))


def exact_table[Row](title: str, columns: Sequence[Column[Row]], rows: Iterable[Row]) -> ResultTable:
    """A table for programs."""
    names = tuple(column.name for column in columns)
    return ResultTable(title, names, tuple(tuple(column.exact(row) for column in columns) for row in rows))


def pick[Row](columns: Columns[Row], names: Iterable[str]) -> list[Column[Row]]:
    """The columns of these names, in this order."""
    return [columns[name] for name in names]


def with_bounds(*names: str) -> list[str]:
    """Estimates' names, each followed by those of its interval's bounds."""
    return [f"{name}{end}" for name in names for end in ("", "_low", "_high")]


class Scored(Protocol):
    """Some episodes of a policy in one mission, or over all of them (`mission` is None)."""

    @property
    def policy(self) -> str: ...
    @property
    def mission(self) -> str | None: ...
    @property
    def episodes(self) -> int: ...
    @property
    def mean(self) -> "Estimate": ...
    @property
    def std(self) -> float | None: ...


def scored_columns(metric: str, level: float, scope: str = ALL_MISSIONS) -> Columns[Scored]:
    """Columns of a policy's scores; `scope` is what stands for all missions."""
    return _named(
        Column("policy", "policy", lambda scored: scored.policy),
        Column("mission", "mission", lambda scored: scored.mission or scope),
        Column("episodes", "episodes", lambda scored: scored.episodes, count_text),
        *_estimate("mean", f"mean {metric}", interval_heading(level)),
        Column("std", "sd", lambda scored: scored.std, number_text),
    )


def summary_columns(
    metric: str, level: float, scope: str = ALL_MISSIONS, groups: Groups | None = None
) -> "Columns[Summary]":
    """Columns of a comparison's summaries; `scope` is what stands for all missions, `groups` are their letters."""
    letters = groups or {}
    return {
        **scored_columns(metric, level, scope),
        **_named(
            Column("group", "group", lambda summary: letters.get(summary.mission, {}).get(summary.policy, NO_VALUE)),
            *_estimate("iqm", "IQM", "IQM interval"),
            Column("warnings", "warnings", lambda summary: "; ".join(summary.warnings)),
        ),
    }


def pair_columns(level: float, scope: str = ALL_MISSIONS) -> "Columns[PairResult]":
    """Columns of a comparison's pairs; `scope` is what stands for all missions."""
    interval = interval_heading(level)
    return _named(
        Column("pair", "pair", pair_name),
        Column("first", "first", lambda pair: pair.first),
        Column("second", "second", lambda pair: pair.second),
        Column("mission", "mission", lambda pair: pair.mission or scope),
        Column("episodes", "episodes", lambda pair: pair.episodes, count_text),
        *_estimate("difference", "difference", interval, sign="+"),
        *_estimate("cohens_d", "Cohen's d", interval, sign="+", spelling=ratio_text),
        *_estimate("hedges_g", "Hedges' g", interval, sign="+", spelling=ratio_text),
        *_estimate("cliffs_delta", "Cliff's delta", interval, sign="+", spelling=ratio_text),
        *_estimate("probability_of_improvement", "P(first higher)", interval, spelling=ratio_text),
        Column("p_corrected", "p (corrected)", lambda pair: pair.p_value, p_text),
        Column("significant", "significant", lambda pair: pair.significant),
        Column("decision", "decision", lambda pair: pair.decision),
        Column("verdict", "decision", verdict_text),
        Column("first_verdict", "verdict", first_verdict_text),
        Column("warnings", "warnings", lambda pair: "; ".join(pair.warnings)),
    )


@dataclass(frozen=True)
class PairTest:
    """One test of one pair."""

    pair: "PairResult"
    name: str
    result: "TestResult"


def pair_test_columns(scope: str = ALL_MISSIONS) -> Columns[PairTest]:
    """Columns of the tests behind the pairs; `scope` is what stands for all missions."""
    return _named(
        Column("pair", "pair", lambda test: pair_name(test.pair)),
        Column("first", "first", lambda test: test.pair.first),
        Column("second", "second", lambda test: test.pair.second),
        Column("mission", "mission", lambda test: test.pair.mission or scope),
        Column("test", "test", lambda test: test.name, lambda name: name.replace("_", " ")),
        Column("statistic", "statistic", lambda test: test.result.statistic, number_text),
        Column("p", "p", lambda test: test.result.p_value, p_text),
        Column("p_holm", "p (Holm)", lambda test: test.result.p_holm, p_text),
        Column("p_bh", "p (BH)", lambda test: test.result.p_bh, p_text),
        Column("note", "note", lambda test: test.result.note),
    )


#: Policy, mission, seed, score.
type Score = tuple[str, str, int, float]


def score_columns(metric: str) -> Sequence[Column[Score]]:
    """Columns of the single episodes."""
    return [
        Column("policy", "policy", lambda score: score[0]),
        Column("mission", "mission", lambda score: score[1]),
        Column("seed", "seed", lambda score: score[2]),
        Column(metric, metric, lambda score: score[3], number_text),
    ]


def _named[Row](*columns: Column[Row]) -> dict[str, Column[Row]]:
    return {column.name: column for column in columns}


def _estimate(
    name: str,
    heading: str,
    interval: str,
    *,
    sign: str = "",
    spelling: Callable[[float | None, str], str] = number_text,
) -> list[Column[Any]]:
    """The columns of the estimate in a row's attribute `name`.

    They are its value, its interval for people (under the heading `interval`), and for programs the two bounds.
    """

    def spelled(value: float | None) -> str:
        return spelling(value, sign)

    def bound(end: str) -> Callable[[Any], float | None]:
        return lambda row: getattr(getattr(row, name).interval, end, None)

    return [
        Column(name, heading, lambda row: getattr(row, name).value, spelled),
        Column(f"{name}_interval", interval, lambda row: interval_text(getattr(row, name), sign)),
        Column(f"{name}_low", f"{heading}, low", bound("low"), spelled),
        Column(f"{name}_high", f"{heading}, high", bound("high"), spelled),
    ]
