"""The power of a comparison over the size of its sample."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from daf.visualization.style import COLOURS, DASHES, legend_outside, styled_figure
from daf.visualization.text import level_text, share_text

if TYPE_CHECKING:
    from daf.statistics import PowerCurve


def daf_plot_power(
    curves: "Mapping[str, PowerCurve]", path: Path, *, power: float, level: float, unit: str, title: str = ""
) -> Path:
    """One curve a design: the chance of finding the difference, with the band of what the pilot leaves open.

    Args:
        curves: label to curve.
        power: the one that is asked for, drawn as a line.
        level: confidence of the bands, for the axis label.
        unit: what a sample consists of, such as episodes per policy and mission.
    """
    with styled_figure(path, width=9.5) as (_, axes):
        axes.axhline(power, color="0.35", linewidth=1)
        for index, (label, curve) in enumerate(curves.items()):
            colour, dashes = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
            axes.plot(curve.sizes, curve.power, color=colour, linestyle=dashes, linewidth=1.8, label=label)
            axes.fill_between(curve.sizes, curve.low, curve.high, color=colour, alpha=0.13, linewidth=0)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel(unit)
        axes.set_ylabel(f"power (line: {share_text(power)})\nband: {level_text(level)} for the pilot's spread")
        axes.set_title(title, loc="left", fontsize=10)
        legend_outside(axes)
    return path
