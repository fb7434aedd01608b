"""Estimates as cells of a table."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daf.statistics import Estimate


def estimate_cells(estimate: "Estimate", *, sign: bool = False) -> tuple[str, str]:
    """A value and its interval as table cells; `sign` marks differences."""
    form = "+.4f" if sign else ".4f"
    interval = estimate.interval
    return (
        format(estimate.value, form),
        f"{format(interval.low, form)} to {format(interval.high, form)}" if interval else "-",
    )
