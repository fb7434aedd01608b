"""Values that develop: learning curves, and the trials of a sweep."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from daf.visualization.style import COLOURS, DASHES, MARKERS, legend_outside, styled_figure
from daf.visualization.text import number_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def moving_mean(values: Sequence[float], window: int) -> list[float]:
    """Centred moving mean of the same length; at the ends over the points that there are."""
    half = window // 2
    return [float(np.mean(values[max(0, i - half) : i + half + 1])) for i in range(len(values))]


def daf_plot_training_curves(
    curves: Mapping[str, Sequence[tuple[int, float]]],
    path: Path,
    *,
    references: Mapping[str, float] | None = None,
    metric: str = "mean episode reward",
    window: int = 1,
) -> Path:
    """Learning curves: a metric against agent steps.

    Args:
        curves: name to (agent steps, value) points.
        window: points in the moving mean that is drawn as the line; with more than 1 the points stand behind it.
        references: name to value, drawn as dashed horizontal lines (for example the held-out reward of a baseline).
    """
    with styled_figure(path, width=9.5) as (_, axes):
        for index, (name, points) in enumerate(curves.items()):
            label = f"{name}, mean of {window} points" if window > 1 else name
            _draw_curve(axes, index, label, points, window)
        for index, (name, value) in enumerate((references or {}).items(), start=len(curves)):
            colour = COLOURS[index % len(COLOURS)]
            axes.axhline(
                value, color=colour, linestyle=((0, (4 + 2 * index, 2))), linewidth=1.2, label=f"{name} (held-out)"
            )
        axes.set_xlabel("agent steps")
        axes.set_ylabel(metric)
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
        legend_outside(axes)
    return path


def _draw_curve(axes: "Axes", index: int, label: str, points: Sequence[tuple[int, float]], window: int) -> None:
    """A curve with its points behind it; the first of several is what the picture is about, and the strongest."""
    steps, values = zip(*points, strict=True) if points else ((), ())
    colour, dashes = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
    width, order = (1.3, 2) if index else (2.2, 3)
    line = moving_mean(values, window)
    axes.plot(steps, line, label=label, color=colour, linestyle=dashes, linewidth=width, zorder=order)
    axes.plot(steps, values, MARKERS[index % len(MARKERS)], color=colour, markersize=3, alpha=0.35)


def daf_plot_sweep_results(
    trials: Sequence[tuple[int, float | None, str]],
    path: Path,
    *,
    metric: str = "objective",
    direction: Literal["maximize", "minimize"] = "maximize",
) -> Path:
    """The objective of every trial, and the best so far as a step line.

    Args:
        trials: (number, objective or None, state); Optuna's names of states, such as COMPLETE, PRUNED and FAIL. Only
            complete trials count for the best; those without a number are marked on the axis.
    """
    from matplotlib.ticker import MaxNLocator

    ordered = sorted(trials, key=lambda trial: trial[0])
    best = np.maximum.accumulate if direction == "maximize" else np.minimum.accumulate
    with styled_figure(path, width=9.5) as (_, axes):
        complete = [(number, value) for number, value, state in ordered if state == "COMPLETE" and value is not None]
        if complete:
            numbers, values = map(list, zip(*complete, strict=True))
            so_far, last = best(values).tolist(), ordered[-1][0]
            label = f"best so far ({direction}): {number_text(so_far[-1])}"
            # To the last trial, however it ended.
            axes.step(
                [*numbers, last], [*so_far, so_far[-1]], where="post", color=COLOURS[1], linewidth=1.8, label=label
            )
        for state, (word, marker, look) in _TRIAL_LOOKS.items():
            of_state = [(number, value) for number, value, its_state in ordered if its_state == state]
            _draw_trials(axes, of_state, word, marker, look)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("trial")
        axes.set_ylabel(metric)
        legend_outside(axes)
    return path


#: Optuna's name of a state to what it is called, its marker and its look.
_TRIAL_LOOKS: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "COMPLETE": ("complete", "o", {"color": COLOURS[0]}),
    "PRUNED": ("pruned, at its last report", "o", {"markerfacecolor": "none", "markeredgecolor": "0.5"}),
    "FAIL": ("failed", "X", {"color": "0.5"}),
    "RUNNING": ("not ended", "v", {"color": "0.5"}),
    "WAITING": ("not begun", "v", {"markerfacecolor": "none", "markeredgecolor": "0.5"}),
}


def _draw_trials(
    axes: "Axes", trials: Sequence[tuple[int, float | None]], word: str, marker: str, look: dict[str, Any]
) -> None:
    """Trials of one state; those without a number stand on the axis."""
    if not trials:
        return
    points = [(number, value) for number, value in trials if value is not None]
    numbers, values = zip(*points, strict=True) if points else ((), ())
    axes.plot(numbers, values, marker, label=f"{word} (n = {len(trials)})", markersize=5, **look)
    for number, value in trials:
        if value is None:
            axes.plot(number, 0, "|", color="0.5", markersize=12, transform=axes.get_xaxis_transform())
