"""A sweep's pictures, in the one style: one file each, named after what it shows."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from daf.visualization.curves import daf_plot_sweep_results
from daf.visualization.style import COLOURS, legend_outside, readable_ticks, styled_figure, styled_panels
from daf.visualization.sweep_findings import ParameterAxis, ShownTrial, SweepFindings
from daf.visualization.text import quantity_text, share_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.colors import Colormap, Normalize

#: Parameters that a picture of pairs still shows legibly, and panels beside each other.
MOST_PAIRED, PANELS_A_ROW = 4, 4
#: Complete trials without which contours would be made up.
FEWEST_FOR_CONTOURS = 12
STATE_NAMES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "running": "RUNNING"}
#: Perceptually even, and dark to light in grey print; the lightest end is left out on white.
COLOUR_MAP, LIGHTEST = "viridis", 0.9
type Draw = Callable[[Path], Path]


def sweep_pictures(findings: SweepFindings) -> dict[str, Draw]:
    """What can be drawn of a sweep, under the names of the files. Importances come from their own room.

    With several objectives there is a picture of each kind for each of them, and the Pareto front.
    """
    pictures: dict[str, Draw] = {}
    for index, metric in enumerate(findings.metrics):
        of_metric = _pictures_of(findings, index)
        pictures |= {f"{name}{suffix(metric, findings.metrics)}": draw for name, draw in of_metric.items()}
    if any(trial.lines for trial in findings.trials):
        pictures["intermediate_values"] = partial(plot_reports, findings)
    if len(findings.metrics) in (2, 3) and findings.complete():
        pictures["pareto_front"] = partial(plot_front, findings)
    return pictures


def suffix(metric: str, metrics: Sequence[str]) -> str:
    """What tells the files of several objectives apart."""
    return f"_{''.join(c if c.isalnum() else '_' for c in metric)}" if len(metrics) > 1 else ""


def _pictures_of(findings: SweepFindings, index: int) -> dict[str, Draw]:
    """The pictures of one objective."""
    chosen: dict[str, Draw] = {"history": partial(plot_history, findings, index)}
    if findings.axes and len(findings.complete()) > 1:
        chosen["slice"] = partial(plot_slices, findings, index)
        if len(findings.axes) > 1:
            chosen["parallel_coordinates"] = partial(plot_parallel, findings, index)
            chosen["contour"] = partial(plot_pairs, findings, index)
    return chosen


def plot_history(findings: SweepFindings, index: int, path: Path) -> Path:
    """The objective of every trial in the order of their numbers; a pruned one at its last report."""
    trials = [(trial.number, _value(trial, index), STATE_NAMES[trial.state]) for trial in findings.trials]
    metric, direction = findings.metrics[index], findings.directions[index]
    return daf_plot_sweep_results(trials, path, metric=metric, direction=direction)


def _value(trial: ShownTrial, index: int) -> float | None:
    return trial.values[index] if trial.values else trial.last


def plot_slices(findings: SweepFindings, index: int, path: Path) -> Path:
    """The objective over each parameter by itself; pruned trials hollow, at their last report."""
    axes_of = findings.axes
    columns = min(PANELS_A_ROW, len(axes_of))
    rows = math.ceil(len(axes_of) / columns)
    with styled_panels(path, rows, columns, (max(6.0, 2.9 * columns), 3.1 * rows + 0.5)) as (_, panels):
        flat = [panel for row in panels for panel in row]
        for panel, axis in zip(flat, axes_of, strict=False):
            _draw_slice(panel, findings, index, axis)
        for row in panels:
            row[0].set_ylabel(findings.metrics[index])
        for panel in flat[len(axes_of) :]:
            panel.set_visible(False)
        legend_outside(flat[0], columns=3)
    return path


def _draw_slice(panel: "Axes", findings: SweepFindings, index: int, axis: ParameterAxis) -> None:
    def points(trials: Sequence[ShownTrial]) -> tuple[list[float], list[float]]:
        there = [(t.places[axis.name], value) for t in trials if (value := _value(t, index)) is not None]
        return [x for x, _ in there], [y for _, y in there]

    standing = [trial for trial in findings.trials if axis.name in trial.places]
    panel.plot(*points([t for t in standing if t.state == "pruned"]), "o", **PRUNED)
    panel.plot(*points([t for t in standing if t.values]), "o", label="complete", **COMPLETE)
    panel.plot(*points([t for t in standing if t.number == findings.best]), "*", **BEST)
    _label_axis(panel, axis)


COMPLETE: dict[str, Any] = {"color": COLOURS[0], "markersize": 5, "alpha": 0.75, "markeredgewidth": 0}
PRUNED: dict[str, Any] = {
    "markerfacecolor": "none",
    "markeredgecolor": "0.55",
    "markersize": 4.5,
    "label": "pruned, at its last report",
}
BEST: dict[str, Any] = {"color": COLOURS[1], "markersize": 13, "markeredgecolor": "white", "label": "best"}


def _label_axis(panel: "Axes", axis: ParameterAxis, *, vertical: bool = False) -> None:
    """Name, scale and ticks of a parameter."""
    matplotlib_axis = panel.yaxis if vertical else panel.xaxis
    name = f"{axis.name} (logarithmic)" if axis.log else axis.name
    (panel.set_ylabel if vertical else panel.set_xlabel)(name, fontsize=9)
    panel.tick_params(labelsize=8)
    if axis.choices:
        texts = [choice if len(choice) <= 14 else f"{choice[:13]}…" for choice in axis.choices]
        matplotlib_axis.set_ticks(range(len(texts)), texts)
        if not vertical and sum(map(len, texts)) > 24:
            panel.tick_params(axis="x", rotation=35)
        return
    if axis.log:
        (panel.set_yscale if vertical else panel.set_xscale)("log")
    readable_ticks(matplotlib_axis, log=axis.log, most=4)


def _colours(findings: SweepFindings, index: int, trials: Sequence[ShownTrial]) -> "tuple[Normalize, Colormap]":
    """Dark is best, whatever the direction."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap, Normalize

    shades = colormaps[COLOUR_MAP](np.linspace(0, LIGHTEST, 256))
    values = [trial.values[index] for trial in trials]
    ordered = shades[::-1] if findings.directions[index] == "maximize" else shades
    return Normalize(min(values), max(values)), ListedColormap(ordered)


def plot_parallel(findings: SweepFindings, index: int, path: Path) -> Path:
    """A line for each trial through all its parameters and the objective; the best one stands out."""
    trials = sorted(findings.placed(findings.axes), key=lambda trial: trial.values[index])
    if findings.directions[index] == "minimize":
        trials.reverse()
    metric = ParameterAxis(name=findings.metrics[index])
    scales = [*(_Scale.of(axis, [t.places[axis.name] for t in trials]) for axis in findings.axes)]
    scales.append(_Scale.of(metric, [trial.values[index] for trial in trials]))
    with styled_figure(path, width=max(8.0, 1.7 * len(scales)), height=4.8) as (figure, panel):
        norm, shades = _colours(findings, index, trials)
        for trial in trials:
            heights = [*(s.at(trial.places[s.axis.name]) for s in scales[:-1]), scales[-1].at(trial.values[index])]
            is_best = trial.number == findings.best
            look: dict[str, Any] = (
                {"color": COLOURS[1], "linewidth": 2.6} if is_best else {"linewidth": 1.0, "alpha": 0.7}
            )
            panel.plot(heights, **{"color": shades(norm(trial.values[index])), **look})
        for place, scale in enumerate(scales):
            scale.draw(panel, place)
        _bare(panel, [scale.axis.name for scale in scales])
        hidden = len(findings.complete()) - len(trials)
        left_out = f"; {hidden} without one of the keys left out" if hidden else ""
        figure.suptitle(
            f"{len(trials)} complete trials{left_out}; dark: good, thick: the best", fontsize=10, x=0.01, ha="left"
        )
    return path


class _Scale:
    """One upright axis of a picture of parallel coordinates, from 0 to 1."""

    def __init__(self, axis: ParameterAxis, low: float, high: float) -> None:
        self.axis = axis
        self._low, self._high = low, high if high > low else low + 1.0

    @classmethod
    def of(cls, axis: ParameterAxis, values: Sequence[float]) -> "_Scale":
        if axis.choices:
            return cls(axis, 0.0, float(len(axis.choices) - 1))
        places = [math.log10(value) for value in values] if axis.log else values
        return cls(axis, min(places), max(places))

    def at(self, value: float) -> float:
        place = math.log10(value) if self.axis.log else value
        return (place - self._low) / (self._high - self._low)

    def draw(self, panel: "Axes", place: int) -> None:
        panel.axvline(place, color="0.4", linewidth=0.8)
        for height in np.linspace(0, 1, 5) if not self.axis.choices else map(self.at, range(len(self.axis.choices))):
            panel.annotate(
                self._text(float(height)),
                (place, float(height)),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=7.5,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6},
            )

    def _text(self, height: float) -> str:
        place = self._low + height * (self._high - self._low)
        if self.axis.choices:
            return self.axis.choices[round(place)][:14]
        return quantity_text(10**place if self.axis.log else place)


def _bare(panel: "Axes", names: Sequence[str]) -> None:
    """No frame, and names below that do not run into each other."""
    panel.set_xlim(-0.1, len(names) - 0.4)
    panel.set_xticks(range(len(names)), names, fontsize=8.5, rotation=20 if sum(map(len, names)) > 70 else 0)
    panel.set_yticks([])
    panel.grid(visible=False)
    panel.spines[["left", "bottom"]].set_visible(False)
    panel.tick_params(length=0)


def plot_pairs(findings: SweepFindings, index: int, path: Path, names: Sequence[str] = ()) -> Path:
    """Every pair of parameters with the objective as colour, between the trials as contours.

    Args:
        names: of the axes in the order in which they count, where that is known; the first few have room.
    """
    rank = {name: place for place, name in enumerate(names)}
    axes_of = sorted(findings.axes, key=lambda axis: rank.get(axis.name, len(rank)))[:MOST_PAIRED]
    trials = list(findings.placed(axes_of))
    norm, shades = _colours(findings, index, trials)
    size = len(axes_of) - 1
    with styled_panels(path, size, size, (max(6.0, 2.8 * size + 1.2), max(4.5, 2.5 * size))) as (figure, panels):
        for row, across in enumerate(axes_of[1:]):
            for column, along in enumerate(axes_of[:-1]):
                if column > row:
                    panels[row][column].set_visible(False)
                    continue
                drawn = _draw_pair(panels[row][column], trials, index, (along, across), (norm, shades))
                if row < size - 1:
                    panels[row][column].set_xlabel("")
                if column:
                    panels[row][column].set_ylabel("")
        shown = [panel for row, of_row in enumerate(panels) for panel in of_row[: row + 1]]
        figure.colorbar(drawn, ax=shown, label=f"{findings.metrics[index]} (n = {len(trials)})", shrink=0.8)
    return path


def _draw_pair(
    panel: "Axes",
    trials: Sequence[ShownTrial],
    index: int,
    pair: tuple[ParameterAxis, ParameterAxis],
    colours: "tuple[Normalize, Colormap]",
) -> "PathCollection":
    along, across = pair
    x, y = ([trial.places[axis.name] for trial in trials] for axis in pair)
    values = [trial.values[index] for trial in trials]
    _label_axis(panel, along)
    _label_axis(panel, across, vertical=True)
    norm, shades = colours
    if len(trials) >= FEWEST_FOR_CONTOURS and not along.choices and not across.choices:
        _draw_contours(panel, x, y, values, colours)
    points = panel.scatter(x, y, c=values, norm=norm, cmap=shades, s=26, edgecolors="white", linewidths=0.6, zorder=3)
    for axis, matplotlib_axis in ((along, panel.xaxis), (across, panel.yaxis)):
        if not axis.choices:
            readable_ticks(matplotlib_axis, log=axis.log, most=4)
    return points


def _draw_contours(
    panel: "Axes",
    x: Sequence[float],
    y: Sequence[float],
    values: Sequence[float],
    colours: "tuple[Normalize, Colormap]",
) -> None:
    """Between the trials only: nothing is known beyond them."""
    from matplotlib.tri import Triangulation

    def even(numbers: Sequence[float], scale: str) -> np.ndarray:
        places = np.log10(numbers) if scale == "log" else np.asarray(numbers, dtype=float)
        return (places - places.min()) / (np.ptp(places) or 1.0)

    try:
        # Near neighbours are those on the axes as drawn.
        mesh = Triangulation(even(x, panel.get_xscale()), even(y, panel.get_yscale()))
    except (RuntimeError, ValueError):  # all on one line
        return
    norm, shades = colours
    drawn = Triangulation(x, y, mesh.triangles)
    panel.tricontourf(drawn, values, levels=12, norm=norm, cmap=shades, alpha=0.45, zorder=1)


def plot_importances(shares: Mapping[str, float], path: Path, *, metric: str, trials: int) -> Path:
    """How much of the objective's variation each parameter explains, the most first.

    Args:
        shares: axis to share; they sum to 1.
        trials: from how many complete trials.
    """
    ordered = sorted(shares.items(), key=lambda item: item[1])
    with styled_figure(path, height=1.4 + 0.38 * len(ordered)) as (_, panel):
        rows = range(len(ordered))
        panel.barh(rows, [share for _, share in ordered], color=COLOURS[0], height=0.62)
        for row, (_, share) in enumerate(ordered):
            panel.annotate(
                share_text(share), (share, row), (4, 0), textcoords="offset points", va="center", fontsize=8.5
            )
        panel.set_yticks(rows, [name for name, _ in ordered])
        panel.set_xlim(0, 1.08 * max(share for _, share in ordered))
        panel.xaxis.set_major_formatter(lambda share, _: share_text(share))
        panel.grid(axis="y", visible=False)
        panel.set_xlabel(f"share of the variation of {metric} that it explains, from {trials} complete trials")
    return path


def plot_reports(findings: SweepFindings, path: Path) -> Path:
    """What the trials reported on the way: a line for each training, pruned ones up to a cross."""
    with styled_figure(path, width=9.5, height=4.8) as (_, panel):
        named: set[str] = set()
        for trial in findings.trials:
            is_best = trial.number == findings.best
            name = f"trial {trial.number}, the best" if is_best else trial.state
            for line in trial.lines:
                label = "_" if name in named else name
                named.add(name)
                panel.plot(*zip(*line, strict=True), label=label, **_look_of(trial, is_best=is_best))
            if trial.state == "pruned" and trial.lines:
                panel.plot(*trial.lines[-1][-1], "x", color="0.45", markersize=5, zorder=4)
        trainings = max((len(trial.lines) for trial in findings.trials), default=0)
        each = f", one line for each of {trainings} trainings a trial" if trainings > 1 else ""
        panel.set_xlabel(f"{findings.steps}{each}")
        panel.set_ylabel(f"{findings.metrics[0]} reported on the way")
        panel.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
        legend_outside(panel)
    return path


def _look_of(trial: ShownTrial, *, is_best: bool) -> dict[str, Any]:
    if is_best:
        return {"color": COLOURS[1], "linewidth": 2.2, "zorder": 5, "marker": "o", "markersize": 3}
    if trial.state == "complete":
        return {"color": COLOURS[0], "linewidth": 1.0, "alpha": 0.55, "zorder": 3, "marker": "o", "markersize": 2}
    return {"color": "0.6", "linewidth": 0.9, "alpha": 0.6, "zorder": 2, "linestyle": (0, (4, 2))}


def plot_front(findings: SweepFindings, path: Path) -> Path:
    """Every pair of objectives; the trials of the Pareto front are filled, named and joined."""
    metrics = findings.metrics
    pairs = [(0, 1)] if len(metrics) == 2 else [(0, 1), (0, 2), (1, 2)]
    front = set(findings.front)
    with styled_panels(path, 1, len(pairs), (max(8.0, 4.6 * len(pairs)), 4.6)) as (_, (panels,)):
        for panel, (x, y) in zip(panels, pairs, strict=True):
            others = [trial.values for trial in findings.complete() if trial.number not in front]
            best = sorted((trial for trial in findings.complete() if trial.number in front), key=lambda t: t.values[x])
            panel.plot([v[x] for v in others], [v[y] for v in others], "o", **{**PRUNED, "label": "beaten"})
            style: dict[str, Any] = {"color": COLOURS[0], "label": f"Pareto front (n = {len(best)})"}
            line = "o-" if len(metrics) == 2 else "o"
            panel.plot([t.values[x] for t in best], [t.values[y] for t in best], line, linewidth=1, **style)
            for trial in best[:20]:
                place = (trial.values[x], trial.values[y])
                panel.annotate(str(trial.number), place, (4, 4), textcoords="offset points", fontsize=8)
            panel.set_xlabel(_directed(findings, x))
            panel.set_ylabel(_directed(findings, y))
        legend_outside(panels[0], columns=2)
    return path


def _directed(findings: SweepFindings, index: int) -> str:
    better = "higher" if findings.directions[index] == "maximize" else "lower"
    return f"{findings.metrics[index]} ({better} is better)"
