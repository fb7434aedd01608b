"""Values that develop: learning curves, and the trials of a sweep."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from daf.visualization.style import COLOURS, MARKERS, styled_figure
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
    with styled_figure(path) as (_, axes):
        for index, (name, points) in enumerate(curves.items()):
            steps, values = zip(*points, strict=True) if points else ((), ())
            colour = COLOURS[index % len(COLOURS)]
            line = moving_mean(values, window)
            label = f"{name}, mean of {window} points" if window > 1 else name
            axes.plot(steps, line, label=label, color=colour, linewidth=1.8)
            axes.plot(steps, values, MARKERS[index % len(MARKERS)], color=colour, markersize=3, alpha=0.45)
        for index, (name, value) in enumerate((references or {}).items(), start=len(curves)):
            colour = COLOURS[index % len(COLOURS)]
            axes.axhline(
                value, color=colour, linestyle=((0, (4 + 2 * index, 2))), linewidth=1.2, label=f"{name} (held-out)"
            )
        axes.set_xlabel("agent steps")
        axes.set_ylabel(metric)
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
        axes.legend(facecolor="white", edgecolor="none", framealpha=0.9)
    return path


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
    with styled_figure(path) as (_, axes):
        complete = [(number, value) for number, value, state in ordered if state == "COMPLETE" and value is not None]
        if complete:
            numbers, values = zip(*complete, strict=True)
            label = f"best so far ({direction}): {number_text(best(values)[-1])}"
            axes.step(numbers, best(values), where="post", color=COLOURS[1], linewidth=1.8, label=label)
        for index, state in enumerate(sorted({state for _, _, state in ordered})):
            trials_of_state = [(number, value) for number, value, its_state in ordered if its_state == state]
            _draw_trials(axes, trials_of_state, state, MARKERS[index % len(MARKERS)])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("trial")
        axes.set_ylabel(metric)
        if ordered:
            axes.legend(facecolor="white", edgecolor="none", framealpha=0.9)
    return path


def _draw_trials(axes: "Axes", trials: Sequence[tuple[int, float | None]], state: str, marker: str) -> None:
    """Trials of one state; those without a number stand on the axis."""
    points = [(number, value) for number, value in trials if value is not None]
    numbers, values = zip(*points, strict=True) if points else ((), ())
    colour = COLOURS[0] if state == "COMPLETE" else "0.5"
    axes.plot(numbers, values, marker, color=colour, label=f"{state} (n = {len(trials)})")
    for number, value in trials:
        if value is None:
            axes.plot(number, 0, "|", color="0.5", markersize=12, transform=axes.get_xaxis_transform())
