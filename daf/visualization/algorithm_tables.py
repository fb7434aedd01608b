"""Tables of algorithms that were trained several times."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from daf.results import ResultTable
from daf.visualization.text import (
    NO_DIFFERENCE,
    NO_VALUE,
    Direction,
    best_first,
    count_text,
    estimate_cells,
    interval_heading,
    interval_text,
    p_text,
    ratio_text,
)

if TYPE_CHECKING:
    from daf.statistics import AlgorithmComparison, AlgorithmPair


def algorithms_table(comparison: "AlgorithmComparison", metric: str, direction: Direction = "maximize") -> ResultTable:
    """One row an algorithm, the best mean first; those that share a letter cannot be told apart."""
    from daf.statistics import letter_groups

    ranked = sorted(comparison.summaries, key=lambda summary: best_first(direction) * summary.mean.value)
    told_apart = [(pair.first, pair.second) for pair in comparison.pairs if pair.significant]
    groups = letter_groups([summary.name for summary in ranked], told_apart)
    rows = [
        (
            summary.name,
            groups[summary.name],
            count_text(summary.trainings) if summary.trainings > 1 else NO_VALUE,
            *estimate_cells(summary.mean),
            *estimate_cells(summary.iqm),
        )
        for summary in ranked
    ]
    interval = interval_heading(comparison.level)
    head = ("algorithm", "group", "trainings", f"mean {metric}", interval, "IQM", "IQM interval")
    return ResultTable("Algorithms", head, tuple(rows))


def algorithm_pairs_table(pairs: "Sequence[AlgorithmPair]", level: float, title: str) -> ResultTable:
    """One row a pair."""
    rows = [
        (
            f"{pair.first} - {pair.second}",
            *estimate_cells(pair.difference, "+"),
            ratio_text(pair.probability_of_improvement.value),
            interval_text(pair.probability_of_improvement),
            p_text(pair.p_value),
            pair_verdict(pair),
        )
        for pair in pairs
    ]
    interval = interval_heading(level)
    head = ("pair", "difference", interval, "P(first higher)", interval, "p (corrected)", "verdict")
    return ResultTable(title, head, tuple(rows))


def pair_verdict(pair: "AlgorithmPair") -> str:
    """Who is higher, or that nobody is known to be."""
    if pair.significant:
        return f"{pair.first if pair.difference.value > 0 else pair.second} is higher"
    return "not tested" if pair.p_value is None else NO_DIFFERENCE
