"""The comparison as one HTML file that needs nothing else, not even a network."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daf.results import ALL_MISSIONS, number_text, p_text
from daf.visualization.html import Child, Markup, document, element
from daf.visualization.style import COLOURS

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
            _tables(comparison, samples, seeds, metric),
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
        f" policy and mission, {comparison.level:.0%} level, {'paired by seed' if comparison.paired else 'not paired'}"
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
        return [
            element(
                "span", f"{tick:.6g}", class_="tick minor" if index % 2 else "tick", style=f"left:{self.at(tick):.3f}%"
            )
            for index, tick in enumerate(self.ticks())
        ]


def _bounds(estimate: "Estimate") -> tuple[float, float]:
    interval = estimate.interval
    return (interval.low, interval.high) if interval else (estimate.value, estimate.value)


def _interval(estimate: "Estimate", sign: str = "") -> str:
    interval = estimate.interval
    return f"{number_text(interval.low, sign)} to {number_text(interval.high, sign)}" if interval else "no interval"


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
    for heading, mission, number in _scopes(comparison):
        values = samples.mean(axis=1) if number is None else samples[:, number]
        summaries = [comparison.summary(policy, mission) for policy in comparison.policies]
        every = [*values.ravel().tolist(), *(bound for summary in summaries for bound in _bounds(summary.mean))]
        axis = _Axis.around(every)
        rows = [
            _row(
                f"row c{index % len(COLOURS)}",
                summary.policy,
                [
                    _dots(axis, values[index].tolist(), seeds),
                    _bar(axis, summary.mean, _summary_tip(summary, comparison)),
                ],
                number_text(summary.mean.value),
            )
            for index, summary in enumerate(summaries)
        ]
        dots = "seeds" if number is not None or len(comparison.missions) == 1 else "seeds, each a mean over missions"
        caption = f"{metric}: mean with its {comparison.level:.0%} interval; dots: {values.shape[1]} {dots}"
        figures.append(_figure(heading, rows, axis, caption))
    return [element("h2", "Means"), KEYS, element("div", figures, class_="figures")]


def _summary_tip(summary: "Summary", comparison: "Comparison") -> str:
    interval = f"{comparison.level:.0%} interval {_interval(summary.mean)}"
    return f"{summary.policy}: mean {number_text(summary.mean.value)}, {interval}, n = {summary.episodes}"


def _dots(axis: _Axis, values: Sequence[float], seeds: Sequence[int]) -> list[Markup]:
    return [
        element("div", class_="dot", style=f"left:{axis.at(value):.3f}%", data_tip=f"seed {seed}: {number_text(value)}")
        for value, seed in zip(values, seeds, strict=True)
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
        caption = f"difference in mean {metric} with its {comparison.level:.0%} interval; filled: decided by the test"
        figures.append(_figure(heading, rows, axis, caption))
    return [element("h2", "Differences"), KEYS, element("div", figures, class_="figures")]


def _pair_tip(pair: "PairResult") -> str:
    p_value = "" if pair.p_value is None else f", corrected p {p_text(pair.p_value)}"
    difference = f"{number_text(pair.difference.value, '+')} ({_interval(pair.difference, '+')})"
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
        f"share of episodes (n = {episodes} a policy) with {metric} above the value below; band: {profiles.level:.0%}"
        " interval at each point"
    )
    figure = element("figure", plot, x_labels, element("ul", legend, class_="legend"), element("figcaption", caption))
    keys = "Point at a curve, or tab to the figure: left and right move along it, up and down change the curve."
    return [element("h2", "Performance profiles"), element("p", keys, class_="soft keys"), figure]


def _dash(index: int) -> str | None:
    return _DASHES[index % len(_DASHES)] or None


@dataclass(frozen=True)
class _Number:
    """A table's cell that sorts by its number; None sorts last."""

    value: float | None
    text: str


def _number(value: float | None, form: str | None = None) -> _Number:
    if value is None:
        return _Number(None, "-")
    return _Number(value, number_text(value) if form is None else f"{value:{form}}")


def _p_cell(value: float | None) -> _Number:
    return _Number(value, p_text(value))


Cell = str | _Number


def _tables(comparison: "Comparison", samples: NDArray[np.float64], seeds: Sequence[int], metric: str) -> Child:
    shown = [None, *comparison.missions] if len(comparison.missions) > 1 else [None]
    names: Mapping[str | None, str] = {None: ALL_MISSIONS if len(shown) > 1 else comparison.missions[0]}
    summaries = [
        (
            *(s.policy, names.get(s.mission, s.mission or ""), _number(s.episodes, "d")),
            *(_number(s.mean.value), _interval(s.mean), _number(s.iqm.value), _interval(s.iqm), _number(s.std)),
        )
        for s in comparison.summaries
        if s.mission in shown
    ]
    pairs = [
        (
            *(
                p.first,
                p.second,
                names.get(p.mission, p.mission or ""),
                _Number(p.difference.value, number_text(p.difference.value, "+")),
            ),
            *(_interval(p.difference, "+"), _p_cell(p.p_value), _number(p.hedges_g.value, "+.2f")),
            *(_number(p.cliffs_delta.value, "+.2f"), _number(p.probability_of_improvement.value, ".2f"), p.decision),
        )
        for p in comparison.pairs
        if p.mission in shown
    ]
    tests = [
        (
            *(f"{p.first} - {p.second}", names.get(p.mission, p.mission or ""), name.replace("_", " ")),
            *(_number(test.statistic, ".4g"), _p_cell(test.p_value), _p_cell(test.p_holm), _p_cell(test.p_bh)),
            test.note,
        )
        for p in comparison.pairs
        if p.mission in shown
        for name, test in p.tests.items()
    ]
    episodes = [
        (policy, mission, _number(seed, "d"), _number(float(value)))
        for policy, own in zip(comparison.policies, samples, strict=True)
        for mission, values in zip(comparison.missions, own, strict=True)
        for seed, value in zip(seeds, values, strict=True)
    ]
    level = f"{comparison.level:.0%} interval"
    return [
        _table(
            "Policies",
            ("policy", "mission", "episodes", f"mean {metric}", level, "IQM", "IQM interval", "sd"),
            summaries,
        ),
        _table(
            "Pairs",
            (
                *("first", "second", "mission", "difference", level, "corrected p", "Hedges' g", "Cliff's delta"),
                *("P(first higher)", "decision"),
            ),
            pairs,
        ),
        _table("Tests", ("pair", "mission", "test", "statistic", "p", "p (Holm)", "p (BH)", "note"), tests),
        _table("Episodes", ("policy", "mission", "seed", metric), episodes),
    ]


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Child:
    if not rows:
        return ""
    numeric = [isinstance(cell, _Number) for cell in rows[0]]
    heads = [
        element(
            "th",
            element("button", column, type="button"),
            scope="col",
            aria_sort="none",
            class_=None if number else "text",
        )
        for column, number in zip(columns, numeric, strict=True)
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
        element("tbody", [element("tr", [_cell(cell) for cell in row]) for row in rows]),
    )
    region = element("div", table, class_="scroll", tabindex=0, role="region", aria_label=f"Table of {label}")
    return element("section", element("h2", title), tools, region, class_="tabular", id=label)


def _cell(cell: Cell) -> Markup:
    if isinstance(cell, str):
        return element("td", cell, class_="text")
    value = "" if cell.value is None else repr(cell.value).replace("inf", "Infinity")
    return element("td", cell.text, data_value=value)
