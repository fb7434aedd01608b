"""What goes with a metric over the episodes of a policy on a mission."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from daf.records import EpisodeRecord

if TYPE_CHECKING:
    from daf.statistics import Estimate, Interval

#: With fewer episodes than this, a rank correlation is noise and none is given.
MIN_CORRELATION_EPISODES = 10
#: What the simulator notes about itself.
BOOKKEEPING = ("game/tokens_",)


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """Spearman's rank correlation of one metric with another over the episodes of one policy on one mission.

    Attributes:
        value: between -1 and 1.
        interval: on Fisher's z scale with the standard error of Bonett and Wright (Psychometrika 65, 2000); None at
            -1 and 1, where it has none.
        p_value: of the test of no correlation, corrected for all metrics looked at (Benjamini and Hochberg 1995).
        episodes: their number.
    """

    metric: str
    value: float
    interval: "Interval | None"
    p_value: float
    episodes: int

    @property
    def estimate(self) -> "Estimate":
        """The value with its interval."""
        from daf.statistics import Estimate

        return Estimate(self.value, self.interval)


def daf_metric_correlations(
    records: Sequence[EpisodeRecord], metric: str = "reward", *, level: float = 0.95
) -> tuple[Correlation, ...]:
    """Spearman's correlation of every metric that varies with `metric`, the strongest first.

    Give it episodes of one policy on one mission: over several, a correlation would mostly tell them apart.

    Raises:
        ValueError: fewer than `MIN_CORRELATION_EPISODES` episodes.
    """
    from scipy import stats

    episodes = len(records)
    if episodes < MIN_CORRELATION_EPISODES:
        raise ValueError(f"not enough episodes for correlations ({episodes} of {MIN_CORRELATION_EPISODES})")
    target = np.array([record.value(metric) for record in records])
    samples = {name: np.array([record.value(name) for record in records]) for name in _metric_names(records)}
    varying = {name: sample for name, sample in samples.items() if name != metric and np.ptp(sample) > 0}
    if not np.ptp(target) or not varying:
        return ()
    results = [stats.spearmanr(sample, target) for sample in varying.values()]
    corrected = stats.false_discovery_control([float(result.pvalue) for result in results])
    found = []
    for name, result, p_value in zip(varying, results, corrected, strict=True):
        rho = float(result.statistic)
        interval = _interval(rho, episodes, level)
        found.append(Correlation(metric=name, value=rho, interval=interval, p_value=float(p_value), episodes=episodes))
    return tuple(sorted(found, key=lambda each: (-abs(each.value), each.metric)))


def _interval(rho: float, episodes: int, level: float) -> "Interval | None":
    from scipy import stats

    from daf.statistics import Interval

    if abs(rho) >= 1 - 1e-9:
        return None
    reach = stats.norm.ppf((1 + level) / 2) * np.sqrt((1 + rho**2 / 2) / (episodes - 3))
    low, high = np.tanh(np.arctanh(rho) + np.array([-reach, reach]))
    return Interval(float(low), float(high), level)


def _metric_names(records: Sequence[EpisodeRecord]) -> list[str]:
    names = {"reward", "steps"}
    for record in records:
        names |= {f"{kind}/{name}" for kind in ("game", "agent") for name in record.stat_names(kind)}
    return sorted(name for name in names if not name.startswith(BOOKKEEPING))
