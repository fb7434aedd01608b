"""The one style of all plots: PNG at 150 dpi that survives grey print and colour blindness."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from daf.execution.progress import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

DPI = 150
#: Okabe and Ito's palette (Color Universal Design, 2008), told apart by the colour-blind.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
#: As many dash patterns as make every mix with a colour different for 28 lines.
DASHES = ("solid", (0, (6, 2)), (0, (2, 1.5)), (0, (7, 2, 1.5, 2)))


@contextmanager
def styled_figure(path: Path, width: float = 8.0, height: float = 4.5) -> Iterator[tuple["Figure", "Axes"]]:
    """A figure in the common style, saved to `path` when the block ends without an error."""
    with styled_panels(path, 1, 1, (width, height)) as (figure, ((axes,),)):
        yield figure, axes


@contextmanager
def styled_panels(
    path: Path, rows: int, columns: int, size: tuple[float, float]
) -> Iterator[tuple["Figure", "list[list[Axes]]"]]:
    """A figure of several panels in the common style, row by row; `size` is width and height in inches.

    It is saved to `path` when the block ends without an error.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3, linewidth=0.6)
    say(f"drawing {path.name}")
    yield figure, panels.tolist()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI)


def legend_outside(axes: "Axes", *, columns: int = 1) -> None:
    """A legend beside the picture, where it hides nothing; below it with several columns."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0)} if columns == 1 else {"loc": "outside lower center"}
    owner = axes if columns == 1 else axes.figure
    owner.legend(handles, labels, frameon=False, fontsize=9, ncols=columns, **place)


def readable_ticks(axis: "Axis", *, log: bool, most: int = 5) -> None:
    """Few round ticks with plain numbers, at least two on a logarithmic axis however short it is."""
    from matplotlib.ticker import AutoLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    if not log:
        if isinstance(axis.get_major_locator(), AutoLocator):
            axis.set_major_locator(MaxNLocator(nbins=most))
        return
    low, high = sorted(axis.get_view_interval())
    magnitudes = math.log10(high / low)
    subs = (1.0,) if magnitudes >= 2 else (1.0, 3.0) if magnitudes >= 1 else (1.0, 2.0, 4.0, 6.0)
    axis.set_major_locator(LogLocator(subs=subs, numticks=most + 3))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
