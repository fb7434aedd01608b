"""The one place where a deployed policy is judged: an interval for a difference that holds at every look."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from daf.statistics import Estimate

#: The interval does not depend on it.
_ANY_MARGIN = 1.0


def watched_difference(first: ArrayLike, second: ArrayLike, *, level: float) -> "Estimate":
    """Mean difference of two policies' scores, (M, E) each, paired by seed, missions of equal weight.

    Its interval is a confidence sequence: the chance that the true difference ever lies outside, at whatever number of
    episodes somebody looks, is at most 1 - `level`. There is none while the episodes are too few for one.
    """
    from daf.statistics import sequential_comparison

    scores = np.stack([np.asarray(first, dtype=float), np.asarray(second, dtype=float)])
    state = sequential_comparison(scores, ("first", "second"), margin=_ANY_MARGIN, level=level)
    return state.pairs[0].difference
