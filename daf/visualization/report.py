"""The comparison as one HTML file that needs nothing else, not even a network."""

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daf.visualization.html import Child, Markup, document, element
from daf.visualization.report_tables import comparison_tables
from daf.visualization.style import COLOURS
from daf.visualization.text import ALL_MISSIONS, interval_text, level_text, number_text, p_text

if TYPE_CHECKING:
    from daf.statistics import Comparison, Estimate, PairResult, PerformanceProfiles, Summary

#: The dash patterns of `style.DASHES` in SVG's notation.
_DASHES = ("", "9 4", "3 3", "10 3 2 3")

HOW_TO_READ = (
    "The unit is the episode. Every policy played the same seeds, and therefore the same maps, alone.",
    "Over all missions, each mission has the same weight; nothing is ranked or resampled across missions.",
    "IQM: the mean without the lowest and the highest quarter of the episodes.",
    "Corrected p: the chance of so large a difference, between any pair, if no two policies differed. It decides.",
    "Intervals are for one number each, so one may exclude 0 where the corrected test decides nothing.",
    "Cliff's delta: how much more often the first policy's episode is higher than lower, from -1 to 1.",
    "P(first higher): the chance that an episode of the first policy scores above one of the second; ties count half.",
)


def daf_export_comparison_html(
    comparison: "Comparison",
    path: Path,
    *,
    samples: NDArray[np.float64],
    seeds: Sequence[int],
    profiles: "PerformanceProfiles",
    metric: str,
    notes: Sequence[str] = (),
) -> Path:
    """Writes the report: verdict, means, differences, performance profiles and every table, sortable and filterable.

    Args:
        samples: the scores behind the comparison, (policies, missions, seeds), in the unit of the metric.
        notes: sentences that stand first, the verdict above all.
    """
    folder = Path(__file__).parent
    title = f"Comparison of {metric}"
    body = [
        _header(title, comparison),
        element(
            "main",
            element("ul", [element("li", note) for note in notes], class_="verdict", id="verdict") if notes else "",
            _means(comparison, samples, seeds, metric),
            _differences(comparison, metric),
            _profiles(profiles, metric, samples[0].size),
            comparison_tables(comparison, samples, seeds, metric),
            element("h2", "How to read this"),
            element("ul", [element("li", line) for line in HOW_TO_READ], class_="soft"),
        ),
        element("div", id="tip", role="tooltip", hidden=True),
    ]
    style, script = ((folder / f"report.{kind}").read_text() for kind in ("css", "js"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document(title, style, script, body), encoding="utf-8")
    return path


def _header(title: str, comparison: "Comparison") -> Markup:
    counts = (
        f"{len(comparison.policies)} policies, {len(comparison.missions)} "
        f"{'mission' if len(comparison.missions) == 1 else 'missions'}, {comparison.episodes_per_mission} episodes per"
        f" policy and mission, {level_text(comparison.level)} level,"
        f" {'paired by seed' if comparison.paired else 'not paired'}"
    )
    words = element("div", element("h1", title), element("p", counts, class_="soft"))
    return element("header", words, element("button", "Dark", id="theme", type="button", hidden=True))


def _scopes(comparison: "Comparison") -> Iterator[tuple[str, str | None, int | None]]:
    """Heading, mission and its number; one mission stands for itself, several after the results over all of them."""
    if len(comparison.missions) == 1:
        yield comparison.missions[0], None, None
        return
    yield ALL_MISSIONS, None, None
    for number, mission in enumerate(comparison.missions):
        yield mission, mission, number


@dataclass(frozen=True)
class _Axis:
    """A linear axis over a box of 100 %."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Sequence[float]) -> "_Axis":
        low, high = min(values), max(values)
        margin = 0.04 * (high - low) or 0.5 * abs(low) or 1.0
        return cls(low - margin, high + margin)

    def at(self, value: float) -> float:
        return 100 * (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Three to six round values within the axis."""
        rough = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
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


def _bar(axis: _Axis, estimate: "Estimate", tip: str) -> list[Markup]:
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
        element("span", name, class_="name"),
        element("div", track, class_="track"),
        element("span", number, class_="number"),
        class_=kind,
    )


def _figure(heading: str, rows: Child, axis: _Axis, caption: str) -> Markup:
    return element(
        "figure",
        element("h3", heading),
        element("div", rows, class_="rows"),
        _row("row axis", "", axis.labels(), ""),
        element("figcaption", caption),
    )


KEYS = element("p", "Point at a bar for its numbers, or tab to a figure and use the arrow keys.", class_="soft keys")


def _means(comparison: "Comparison", samples: NDArray[np.float64], seeds: Sequence[int], metric: str) -> Child:
    figures = []
    episodes = [f"{mission}, seed {seed}" for mission in comparison.missions for seed in seeds]
    for heading, mission, number in _scopes(comparison):
        own = episodes if number is None else episodes[number * len(seeds) : (number + 1) * len(seeds)]
        values = samples.reshape(len(samples), -1) if number is None else samples[:, number]
        summaries = [comparison.summary(policy, mission) for policy in comparison.policies]
        every = [*values.ravel().tolist(), *(bound for summary in summaries for bound in _bounds(summary.mean))]
        axis = _Axis.around(every)
        rows = [
            _row(
                f"row c{index % len(COLOURS)}",
                summary.policy,
                [
                    _dots(axis, values[index].tolist(), own),
                    _bar(axis, summary.mean, _summary_tip(summary, comparison)),
                ],
                number_text(summary.mean.value),
            )
            for index, summary in enumerate(summaries)
        ]
        interval = f"{level_text(comparison.level)} interval"
        caption = f"{metric}: mean with its {interval}; dots: {values.shape[1]} episodes"
        figures.append(_figure(heading, rows, axis, caption))
    return [element("h2", "Means"), KEYS, element("div", figures, class_="figures")]


def _summary_tip(summary: "Summary", comparison: "Comparison") -> str:
    interval = f"{level_text(comparison.level)} interval {interval_text(summary.mean)}"
    return f"{summary.policy}: mean {number_text(summary.mean.value)}, {interval}, n = {summary.episodes}"


def _dots(axis: _Axis, values: Sequence[float], episodes: Sequence[str]) -> list[Markup]:
    return [
        element("div", class_="dot", style=f"left:{axis.at(value):.3f}%", data_tip=f"{episode}: {number_text(value)}")
        for value, episode in zip(values, episodes, strict=True)
    ]


def _differences(comparison: "Comparison", metric: str) -> Child:
    figures = []
    for heading, mission, _ in _scopes(comparison):
        pairs = [pair for pair in comparison.pairs if pair.mission == mission]
        axis = _Axis.around([0.0, *(bound for pair in pairs for bound in _bounds(pair.difference))])
        zero = element("div", class_="zero", style=f"left:{axis.at(0):.3f}%")
        rows = [
            _row(
                f"row pair {'c0' if pair.significant else 'cx open'}",
                f"{pair.first} - {pair.second}",
                [zero, _bar(axis, pair.difference, _pair_tip(pair))],
                number_text(pair.difference.value, "+"),
            )
            for pair in pairs
        ]
        interval = f"{level_text(comparison.level)} interval"
        caption = f"difference in mean {metric} with its {interval}; filled: decided by the test"
        figures.append(_figure(heading, rows, axis, caption))
    return [element("h2", "Differences"), KEYS, element("div", figures, class_="figures")]


def _pair_tip(pair: "PairResult") -> str:
    p_value = "" if pair.p_value is None else f", corrected p {p_text(pair.p_value)}"
    difference = f"{number_text(pair.difference.value, '+')} ({interval_text(pair.difference, '+')})"
    return f"{pair.first} - {pair.second}: {difference}{p_value}, n = {pair.episodes}. {pair.decision}"


def _profiles(profiles: "PerformanceProfiles", metric: str, episodes: int) -> Child:
    if len(profiles.thresholds) < 2:
        return ""
    count = len(profiles.thresholds)
    axis = _Axis(profiles.thresholds[0], profiles.thresholds[-1])
    curves = list(zip(profiles.policies, profiles.fractions, profiles.low, profiles.high, strict=True))

    def points(values: Sequence[float], order: Sequence[int]) -> str:
        return " ".join(f"{100 * index / (count - 1):.2f},{100 * (1 - values[index]):.2f}" for index in order)

    forward, back = range(count), range(count - 1, -1, -1)
    grid = [element("path", d=f"M0,{y} H100", class_="grid") for y in (0, 25, 50, 75, 100)]
    bands = [
        element("path", d=f"M{points(high, forward)} L{points(low, back)} Z", class_=f"band c{i % len(COLOURS)}")
        for i, (_, _, low, high) in enumerate(curves)
    ]
    lines = [
        element("path", d=f"M{points(share, forward)}", class_=f"curve c{i % len(COLOURS)}", stroke_dasharray=_dash(i))
        for i, (_, share, _, _) in enumerate(curves)
    ]
    data = {
        "thresholds": profiles.thresholds,
        "curves": [{"name": n, "fractions": f, "low": low, "high": high} for n, f, low, high in curves],
    }
    area = element(
        "svg",
        *(grid, bands, lines),
        viewBox="0 0 100 100",
        preserveAspectRatio="none",
        tabindex=0,
        role="img",
        aria_label=f"Performance profiles of {', '.join(profiles.policies)}",
    )
    labels = [element("span", f"{100 - y} %", style=f"top:{y}%") for y in (0, 25, 50, 75, 100)]
    plot = element(
        "div",
        element("div", labels, class_="ylabels", aria_hidden="true"),
        area,
        element("div", class_="cursor", hidden=True),
        class_="plot",
        data_curves=json.dumps(data),
    )
    x_labels = element("div", element("div", axis.labels(), class_="xlabels"), class_="xaxis")
    legend = [
        element(
            "li",
            element(
                "svg", element("path", d="M0,5 H35", stroke_dasharray=_dash(i)), viewBox="0 0 35 10", aria_hidden="true"
            ),
            name,
            class_=f"c{i % len(COLOURS)}",
        )
        for i, name in enumerate(profiles.policies)
    ]
    caption = (
        f"share of episodes (n = {episodes} a policy) with {metric} above the value below;"
        f" band: {level_text(profiles.level)} interval at each point"
    )
    figure = element("figure", plot, x_labels, element("ul", legend, class_="legend"), element("figcaption", caption))
    keys = "Point at a curve, or tab to the figure: left and right move along it, up and down change the curve."
    return [element("h2", "Performance profiles"), element("p", keys, class_="soft keys"), figure]


def _dash(index: int) -> str | None:
    return _DASHES[index % len(_DASHES)] or None
