"""The report's performance profiles, drawn in SVG and read out by the page's script."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from daf.visualization.html import Child, Markup, breakable, element
from daf.visualization.report_figures import Axis
from daf.visualization.style import COLOURS
from daf.visualization.text import interval_heading

if TYPE_CHECKING:
    from daf.statistics import PerformanceProfiles

#: The dash patterns of `style.DASHES` in SVG's notation.
_DASHES = ("", "9 4", "3 3", "10 3 2 3")
_GRID = (0, 25, 50, 75, 100)


def profile_figure(profiles: "PerformanceProfiles", metric: str, episodes: int) -> Child:
    """For each policy the share of its episodes above each score, with its band; nothing for a single threshold."""
    if len(profiles.thresholds) < 2:
        return ""
    axis = Axis(profiles.thresholds[0], profiles.thresholds[-1])
    labels = [element("span", f"{100 - y} %", style=f"top:{y}%") for y in _GRID]
    plot = element(
        "div",
        element("div", labels, class_="ylabels", aria_hidden="true"),
        _area(profiles),
        element("div", class_="cursor", hidden=True),
        class_="plot",
        data_curves=json.dumps(_curve_data(profiles)),
    )
    x_labels = element("div", element("div", axis.labels(), class_="xlabels"), class_="xaxis")
    legend = element("ul", [_legend_entry(i, name) for i, name in enumerate(profiles.policies)], class_="legend")
    caption = (
        f"share of episodes (n = {episodes} a policy) with {metric} above the value below;"
        f" band: {interval_heading(profiles.level)} at each point"
    )
    figure = element("figure", plot, x_labels, legend, element("figcaption", caption))
    keys = "Point at a curve, or tab to the figure: left and right move along it, up and down change the curve."
    return [element("h2", "Performance profiles"), element("p", keys, class_="soft keys"), figure]


def _area(profiles: "PerformanceProfiles") -> Markup:
    """Grid, bands and curves in a box of 100 by 100."""
    forward = range(len(profiles.thresholds))
    grid = [element("path", d=f"M0,{y} H100", class_="grid") for y in _GRID]
    bands = [
        element(
            "path",
            d=f"M{_points(high, forward)} L{_points(low, forward[::-1])} Z",
            class_=f"band c{i % len(COLOURS)}",
        )
        for i, (low, high) in enumerate(zip(profiles.low, profiles.high, strict=True))
    ]
    lines = [
        element("path", d=f"M{_points(share, forward)}", class_=f"curve c{i % len(COLOURS)}", stroke_dasharray=_dash(i))
        for i, share in enumerate(profiles.fractions)
    ]
    return element(
        "svg",
        *(grid, bands, lines),
        viewBox="0 0 100 100",
        preserveAspectRatio="none",
        tabindex=0,
        role="img",
        aria_label=f"Performance profiles of {', '.join(profiles.policies)}",
    )


def _points(values: Sequence[float], order: Sequence[int]) -> str:
    return " ".join(f"{100 * index / (len(values) - 1):.2f},{100 * (1 - values[index]):.2f}" for index in order)


def _curve_data(profiles: "PerformanceProfiles") -> dict[str, object]:
    """What the page's script reads out."""
    curves = zip(profiles.policies, profiles.fractions, profiles.low, profiles.high, strict=True)
    return {
        "thresholds": profiles.thresholds,
        "curves": [{"name": n, "fractions": f, "low": low, "high": high} for n, f, low, high in curves],
    }


def _legend_entry(index: int, policy: str) -> Markup:
    line = element("path", d="M0,5 H35", stroke_dasharray=_dash(index))
    sample = element("svg", line, viewBox="0 0 35 10", aria_hidden="true")
    return element("li", sample, breakable(policy), class_=f"c{index % len(COLOURS)}")


def _dash(index: int) -> str | None:
    return _DASHES[index % len(_DASHES)] or None
