"""How many episodes and trainings are needed, in tables and sentences."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from daf.results import ResultTable
from daf.visualization.text import NO_VALUE, count_text, interval_heading, number_text, ratio_text, share_text

if TYPE_CHECKING:
    from daf.statistics import EpisodesNeeded, Need, TrainingsNeeded

#: Difference to how people call it.
Names = Mapping[float, str]


def episodes_table(needed: Sequence["EpisodesNeeded"], names: Names, level: float) -> ResultTable:
    """One row a pair and difference."""
    from daf.statistics.power import MOST_EPISODES

    rows = [
        (
            f"{each.first} - {each.second}",
            names[each.difference],
            ratio_text(each.correlation),
            number_text(float(np.sqrt(each.paired_spread.variance)) if each.paired_spread else 0.0),
            size_text(each.paired, MOST_EPISODES),
            bounds_text(each.paired, MOST_EPISODES),
            size_text(each.unpaired, MOST_EPISODES),
            _saved(each),
        )
        for each in needed
    ]
    head = ("pair", "difference", "correlation", "sd of the difference", "episodes", interval_heading(level))
    return ResultTable("Episodes needed, per policy and mission", (*head, "unpaired", "saved by pairing"), tuple(rows))


def trainings_table(needed: Sequence["TrainingsNeeded"], names: Names, episodes: Sequence[int]) -> ResultTable:
    """One row a pair and difference, one column a number of evaluation episodes."""
    from daf.statistics.power import MOST_TRAININGS

    rows = [
        (
            f"{each.first} - {each.second}",
            names[each.difference],
            *(_with_bounds(each.needs.get(count), MOST_TRAININGS) for count in episodes),
        )
        for each in needed
    ]
    head = ("pair", "difference", *(f"with {count:,} episodes" for count in episodes))
    return ResultTable("Trainings needed, of each algorithm", head, tuple(rows))


def size_text(need: "Need | None", most: int) -> str:
    """How many are needed; a dash where nothing is known."""
    if need is None:
        return NO_VALUE
    return f"over {most:,}" if need.value is None else count_text(need.value)


def bounds_text(need: "Need | None", most: int) -> str:
    """Its bounds; a dash where nothing is known."""
    if need is None or need.low is None:
        return size_text(need, most)
    return f"{need.low:,} or more" if need.high is None else f"{need.low:,} to {need.high:,}"


def _with_bounds(need: "Need | None", most: int) -> str:
    if need is None or need.low is None:
        return size_text(need, most)
    return f"{size_text(need, most)} ({bounds_text(need, most)})"


def _saved(each: "EpisodesNeeded") -> str:
    """The share of the unpaired design's episodes that the same seeds save."""
    if not (each.paired and each.unpaired and each.paired.value and each.unpaired.value):
        return NO_VALUE
    return share_text(1 - each.paired.value / each.unpaired.value)
