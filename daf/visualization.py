"""Plots: PNG at 150 dpi, in one style that survives grey print and colour blindness."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
#: Okabe and Ito's palette (Color Universal Design, 2008), told apart by the colour-blind.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@contextmanager
def _figure(path: Path, width: float = 8.0, height: float = 4.5) -> Iterator[tuple["Figure", "Axes"]]:
    """A figure in the common style, saved to `path` when the block ends without an error."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3, linewidth=0.6)
    yield figure, axes
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI)


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
    with _figure(path) as (_, axes):
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


def daf_plot_policy_comparison(
    samples: Mapping[str, Sequence[float]],
    path: Path,
    *,
    intervals: Mapping[str, tuple[float, float]],
    level: float,
    metric: str = "mean reward per agent",
    title: str = "",
) -> Path:
    """One row a policy: every episode as a dot, the mean with its interval beside them.

    Args:
        samples: policy to one value an episode.
        intervals: policy to the interval of its mean.
        level: confidence level of the intervals, for the axis label.
    """
    names = list(samples)
    with _figure(path, height=1.4 + 0.6 * len(names)) as (_, axes):
        jitter = np.random.default_rng(0)
        for row, name in enumerate(names):
            values = np.asarray(samples[name], dtype=float)
            colour = COLOURS[row % len(COLOURS)]
            offsets = row + 0.18 + jitter.uniform(-0.07, 0.07, len(values))
            axes.scatter(values, offsets, s=14, color=colour, alpha=0.45, linewidths=0)
            mean = float(values.mean())
            if name in intervals:
                low, high = intervals[name]
                axes.hlines(row - 0.08, low, high, color=colour, linewidth=2.2)
            axes.plot(mean, row - 0.08, MARKERS[row % len(MARKERS)], color=colour, markersize=7)
            axes.annotate(
                f"{mean:.3f}",
                (mean, row - 0.12),
                (0, 7),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=8,
            )
        axes.set_yticks(range(len(names)), [f"{name}\n(n = {len(samples[name])})" for name in names])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlabel(f"{metric}; line: {level:.0%} interval of the mean, dots: episodes")
        axes.set_title(title, loc="left", fontsize=10)
        axes.grid(axis="y", visible=False)
    return path
