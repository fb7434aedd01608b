"""Performance profiles: how often a policy scores above each threshold."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from daf.statistics.comparison import checked_level, checked_scores
from daf.statistics.resampling import Array
from daf.statistics.results import PerformanceProfiles
from daf.statistics.scores import PairedScores

THRESHOLDS = 101


def performance_profiles(
    scores: ArrayLike, policy_names: Sequence[str], thresholds: ArrayLike, *, level: float = 0.95
) -> PerformanceProfiles:
    """The share of episodes with a score above each threshold (Dolan and More 2002; Agarwal et al. 2021).

    `scores`: (policies, missions, episodes); `thresholds`: (T,), in the unit of the metric. Missions weigh equally. The
    band is Wilson's (1927) interval, for one threshold at a time; it is too wide where missions differ much.
    ValueError as `compare`.
    """
    missions = [str(number) for number in range(np.shape(scores)[1])] if np.ndim(scores) == 3 else []
    array = checked_scores(scores, policy_names, missions)
    grid = np.asarray(thresholds, dtype=np.float64)
    if grid.ndim != 1 or not np.isfinite(grid).all():
        raise ValueError(f"thresholds must be a list of finite numbers, not {thresholds!r}")
    count = array.shape[1] * array.shape[2]
    fractions = (array.reshape(len(array), -1)[..., None] > grid).mean(axis=1)
    reach = stats.norm.ppf((1 + checked_level(level)) / 2) ** 2 / count
    centre = (fractions + reach / 2) / (1 + reach)
    width = np.sqrt(reach * fractions * (1 - fractions) + reach**2 / 4) / (1 + reach)
    return PerformanceProfiles(
        policies=tuple(policy_names),
        thresholds=tuple(grid.tolist()),
        fractions=_rows(fractions),
        low=_rows(centre - width),
        high=_rows(centre + width),
        level=level,
    )


def score_profiles(scores: PairedScores, *, level: float = 0.95) -> PerformanceProfiles:
    """Performance profiles from just below the lowest score to the highest."""
    low, high = float(scores.values.min()), float(scores.values.max())
    margin = (high - low or 1.0) / (THRESHOLDS - 1)
    grid = np.linspace(low - margin, high, THRESHOLDS)
    return performance_profiles(scores.values, scores.policies, grid, level=level)


def _rows(table: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in table.tolist())
