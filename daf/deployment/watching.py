"""The one place where a deployed policy is judged: an interval for a difference that holds at every look."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from daf.statistics import Estimate

#: The lowest and the highest score that there can be, where that is known.
Ends = tuple[float, float] | None

#: Episodes of a mission after which something is said of scores that have not varied at all.
ENOUGH_ALIKE = 20
#: The interval does not depend on it.
_ANY_MARGIN = 1.0
#: What rounding may leave of no spread, as a share of the scores.
_ROUNDING = 1e-9


def watched_difference(first: ArrayLike, second: ArrayLike, *, level: float, ends: Ends = None) -> "Estimate":
    """Mean difference of two policies' scores, (M, E) each, paired by seed, missions of equal weight.

    Its interval is a confidence sequence: the chance that the true difference ever lies outside, at whatever number of
    episodes somebody looks, is at most 1 - `level`. There is none while the episodes are too few for one, or, unless
    the lowest and the highest score are known (`ends`), while the difference is the same in each: nothing then says how
    far an unseen one may lie.
    """
    from daf.statistics import Estimate, sequential_comparison

    scores = np.stack([np.asarray(first, dtype=float), np.asarray(second, dtype=float)])
    if ends is None and is_constant(scores[0] - scores[1]):
        return Estimate(float((scores[0] - scores[1]).mean()))
    state = sequential_comparison(scores, ("first", "second"), margin=_ANY_MARGIN, level=level, score_range=ends)
    return state.pairs[0].difference


def has_dropped(scores: ArrayLike, floor: float, *, alpha: float, ends: Ends = None) -> bool:
    """Whether (E,) scores have a mean below `floor`; the chance that this is ever said wrongly is at most `alpha`."""
    from daf.statistics import p_value_below

    return p_value_below(scores, floor, alpha=alpha, score_range=ends) <= alpha


def is_constant(scores: ArrayLike) -> bool:
    """Whether the mean over missions of (M, E) scores is the same in every episode."""
    rows = np.asarray(scores, dtype=float).mean(axis=0)
    return is_rounding(float(np.ptp(rows)), float(np.abs(rows).max()))


def is_rounding(difference: float, size: float) -> bool:
    """Whether a difference of numbers of a size is no more than their rounding."""
    return abs(difference) <= _ROUNDING * max(1.0, abs(size))
