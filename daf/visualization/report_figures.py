"""The report's bars: means among their episodes, and differences."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daf.visualization.html import Child, Markup, breakable, element
from daf.visualization.style import COLOURS
from daf.visualization.text import interval_heading, interval_text, number_text, p_text, pair_name, scope_name

if TYPE_CHECKING:
    from daf.statistics import Comparison, Estimate, PairedScores, PairResult, Summary


#: Characters of a name beside a bar; a longer one goes on below.
WIDEST_NAME = 26


@dataclass(frozen=True)
class Axis:
    """A linear axis over a box of 100 %."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Sequence[float]) -> "Axis":
        low, high = min(values), max(values)
        margin = 0.04 * (high - low) or 0.5 * abs(low) or 1.0
        return cls(low - margin, high + margin)

    def at(self, value: float) -> float:
        return 100 * (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Four to eight round values within the axis."""
        rough = (self.high - self.low) / 8
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
        first = math.ceil(self.low / step)
        return [number * step for number in range(first, math.floor(self.high / step) + 1)]

    def labels(self) -> list[Markup]:
        """The ticks; a phone shows every other one of five or more."""
        ticks = self.ticks()
        return [
            element("span", f"{tick:.6g}", class_="tick minor" if minor else "tick", style=f"left:{self.at(tick):.3f}%")
            for tick, minor in zip(ticks, itertools.cycle((False, len(ticks) > 4)))
        ]


def _bounds(estimate: "Estimate") -> tuple[float, float]:
    interval = estimate.interval
    return (interval.low, interval.high) if interval else (estimate.value, estimate.value)


def _bar(axis: Axis, estimate: "Estimate", tip: str) -> list[Markup]:
    """Interval, point and the area that answers to pointer and keyboard."""
    low, high = (axis.at(value) for value in _bounds(estimate))
    span = f"left:{low:.3f}%;width:{high - low:.3f}%"
    return [
        element("div", class_="bar", style=span),
        element("div", class_="mean", style=f"left:{axis.at(estimate.value):.3f}%"),
        element("div", class_="hit", style=span, role="img", aria_label=tip, data_tip=tip),
    ]


def _row(kind: str, name: str, track: Child, number: str) -> Markup:
    return element(
        "div",
        element("span", breakable(name), class_="name"),
        element("div", track, class_="track"),
        element("span", number, class_="number"),
        class_=kind,
    )


def _figure(heading: str, rows: Child, axis: Axis, caption: str, names: Sequence[str]) -> Markup:
    """Names have as much room as the longest needs, within reason."""
    room = min(max(map(len, names), default=0), WIDEST_NAME)
    return element(
        "figure",
        element("h3", breakable(heading)),
        element("div", rows, class_="rows"),
        _row("row axis", "", axis.labels(), ""),
        element("figcaption", caption),
        style=f"--names:{room + 1}ch",
    )


KEYS = element("p", "Point at a bar for its numbers, or tab to a figure and use the arrow keys.", class_="soft keys")


def mean_figures(comparison: "Comparison", scores: "PairedScores") -> Child:
    """The means of all policies over all missions, then on each, every one among its episodes."""
    figures = [_mean_figure(comparison, scores, *scope) for scope in _scopes(comparison)]
    return [element("h2", "Means"), KEYS, element("div", figures, class_="figures")]


def _mean_figure(
    comparison: "Comparison", scores: "PairedScores", heading: str, mission: str | None, number: int | None
) -> Markup:
    missions = scores.missions if number is None else scores.missions[number : number + 1]
    episodes = [f"{name}, seed {seed}" for name in missions for seed in scores.seeds]
    samples = [scores.sample(policy, number).tolist() for policy in range(len(scores.policies))]
    summaries = [comparison.summary(policy, mission) for policy in comparison.policies]
    bounds = [bound for summary in summaries for bound in _bounds(summary.mean)]
    axis = Axis.around([*itertools.chain.from_iterable(samples), *bounds])
    rows = [
        _row(
            f"row c{index % len(COLOURS)}",
            summary.policy,
            [_dots(axis, samples[index], episodes), _bar(axis, summary.mean, _summary_tip(summary, comparison))],
            number_text(summary.mean.value),
        )
        for index, summary in enumerate(summaries)
    ]
    interval = interval_heading(comparison.level)
    caption = f"{scores.metric}: mean with its {interval}; dots: {len(episodes)} episodes"
    return _figure(heading, rows, axis, caption, comparison.policies)


def _scopes(comparison: "Comparison") -> Iterator[tuple[str, str | None, int | None]]:
    """Heading, mission and its number; one mission stands for itself, several after the results over all of them."""
    missions = comparison.missions
    yield scope_name(missions), None, None
    for number, mission in enumerate(missions if len(missions) > 1 else ()):
        yield mission, mission, number


def _summary_tip(summary: "Summary", comparison: "Comparison") -> str:
    interval = f"{interval_heading(comparison.level)} {interval_text(summary.mean)}"
    return f"{summary.policy}: mean {number_text(summary.mean.value)}, {interval}, n = {summary.episodes}"


def _dots(axis: Axis, values: Sequence[float], episodes: Sequence[str]) -> list[Markup]:
    return [
        element("div", class_="dot", style=f"left:{axis.at(value):.3f}%", data_tip=f"{episode}: {number_text(value)}")
        for value, episode in zip(values, episodes, strict=True)
    ]


def difference_figures(comparison: "Comparison", metric: str) -> Child:
    """The differences of all pairs over all missions, then on each."""
    figures = []
    for heading, mission, _ in _scopes(comparison):
        pairs = [pair for pair in comparison.pairs if pair.mission == mission]
        axis = Axis.around([0.0, *(bound for pair in pairs for bound in _bounds(pair.difference))])
        zero = element("div", class_="zero", style=f"left:{axis.at(0):.3f}%")
        rows = [
            _row(
                f"row pair {'c0' if pair.significant else 'cx open'}",
                pair_name(pair),
                [zero, _bar(axis, pair.difference, _pair_tip(pair))],
                number_text(pair.difference.value, "+"),
            )
            for pair in pairs
        ]
        interval = interval_heading(comparison.level)
        caption = f"difference in mean {metric} with its {interval}; filled: decided by the test"
        figures.append(_figure(heading, rows, axis, caption, list(map(pair_name, pairs))))
    return [element("h2", "Differences"), KEYS, element("div", figures, class_="figures")]


def _pair_tip(pair: "PairResult") -> str:
    p_value = "" if pair.p_value is None else f", corrected p {p_text(pair.p_value)}"
    difference = f"{number_text(pair.difference.value, '+')} ({interval_text(pair.difference, '+')})"
    return f"{pair_name(pair)}: {difference}{p_value}, n = {pair.episodes}. {pair.decision}"
