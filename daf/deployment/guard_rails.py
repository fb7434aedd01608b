"""Bounds that a policy must keep, such as ``game/cogs/aligned.junction.held >= 1``."""

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from daf.config.suggestions import nearest
from daf.errors import Problem
from daf.records import EpisodeRecord
from daf.visualization.text import number_text

_FORM = re.compile(r"\s*(reward|steps|(?:game|agent)/\S(?:.*?\S)?)\s*(>=|<=|>|<)\s*([^\s<>=]+)\s*")
_HOLDS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True)
class GuardRail:
    """A bound on a metric's mean: over the episodes of each mission, then over missions."""

    metric: str
    sign: str
    bound: float

    def __str__(self) -> str:
        return f"{self.metric} {self.sign} {self.bound:g}"


@dataclass(frozen=True)
class Checked:
    """What became of a guard-rail.

    Attributes:
        mean: of the metric, or None: no episode reported it.
        why: a sentence where it does not hold, else empty.
    """

    rail: GuardRail
    mean: float | None
    why: str


def parse_guard_rail(text: str) -> GuardRail:
    """Reads ``<metric> <sign> <number>``.

    Raises:
        ValueError: it has another form. The message is for a person.
    """
    found = _FORM.fullmatch(text)
    try:
        bound = float(found[3]) if found else float("nan")
    except ValueError:
        bound = float("nan")
    if not found or not abs(bound) < float("inf"):
        raise ValueError(
            f"{text!r} is no bound. Write reward, steps, game/<stat> or agent/<stat>, then >=, <=, > or <, then a "
            'number: "game/cogs/aligned.junction.held >= 1"'
        )
    return GuardRail(found[1], found[2], bound)


def guard_rail_problems(texts: Iterable[str]) -> list[Problem]:
    """What is wrong with the bounds in `deployment.require`."""
    problems = []
    for index, text in enumerate(texts):
        try:
            parse_guard_rail(text)
        except ValueError as error:
            problems.append(Problem(f"deployment.require.{index}", f"{error}."))
    return problems


def check_guard_rails(texts: Iterable[str], records: Sequence[EpisodeRecord]) -> list[Checked]:
    """Holds every bound against the episodes of one policy.

    A stat that no episode reported is refused, although CoGames leaves out what nothing happened to: it may as well be
    a slip of the pen, which any upper bound would let through.
    """
    return [_checked(parse_guard_rail(text), records) for text in texts]


def _checked(rail: GuardRail, records: Sequence[EpisodeRecord]) -> Checked:
    kind, _, name = rail.metric.partition("/")
    if name:
        known = {stat for record in records for stat in record.stat_names(kind)}
        if name not in known:
            hint = nearest(rail.metric, sorted(f"{kind}/{stat}" for stat in known))
            return Checked(rail, None, f"{rail} cannot be judged: no episode reported {rail.metric}. {hint}")
    missions = {record.mission for record in records}
    mean = fmean(
        fmean(record.value(rail.metric) for record in records if record.mission == mission) for mission in missions
    )
    holds = _HOLDS[rail.sign](mean, rail.bound)
    return Checked(rail, mean, "" if holds else f"{rail} does not hold: the mean is {number_text(mean)}")
