"""What each part contributes and how two parts interact, computed from the metric in every condition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daf.comparison.ablation.conditions import Condition, Parts
from daf.records import EpisodeRecord, PolicySpec

if TYPE_CHECKING:
    from daf.statistics import Effect, Estimate

Array = NDArray[np.float64]

# Contrasts that are smaller, relative to the values that they come from, are rounding noise.
ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class Contributions:
    """What each part contributes to a metric.

    Attributes:
        metric: a metric of `EpisodeRecord.value`.
        level: confidence level of the intervals and tests.
        parts: one effect a part, the largest contribution first; positive where the part raises the metric.
        interactions: one effect for every two parts (``a + b``), the strongest first. Positive: switching both off
            costs more than the sum, since each makes up for the other. Negative: each needs the other.
        means: parts that are off to the mean of the metric, missions weighing equally; ``()`` is the baseline.
    """

    metric: str
    level: float
    parts: "tuple[Effect, ...]"
    interactions: "tuple[Effect, ...]"
    means: "dict[Parts, Estimate]"


def metric_by_condition(
    records: Sequence[EpisodeRecord], conditions: Sequence[Condition], seeds: Sequence[int], metric: str
) -> dict[Parts, Array]:
    """Parts that are off to the metric, paired by seed: (M, E) of one policy, or the trainings' means, (1, trainings).

    Args:
        records: of every policy on every mission and seed.
        seeds: those of the episodes.
    """
    found = {(r.policies[0], r.mission_name, r.seed): r.value(metric) for r in records}

    def values(condition: Condition, policy: PolicySpec) -> Array:
        return np.array([[found[policy.name, mission.name, seed] for seed in seeds] for mission in condition.missions])

    def paired(condition: Condition) -> Array:
        if condition.config.ablation.trainings:
            return np.array([[values(condition, policy).mean() for policy in condition.policies]])
        return values(condition, condition.policies[0])

    return {condition.off: paired(condition) for condition in conditions}


def contributions(values: Mapping[Parts, Array], parts: Sequence[str], *, level: float, metric: str) -> Contributions:
    """Contributions and interactions.

    Args:
        values: parts that are off to the metric, (M, E), paired by seed: ``()`` for the baseline, one entry a part and,
            for interactions, one for every two parts in the order of `parts`.
    """
    from daf.statistics import mean_with_interval, paired_effects

    rng = np.random.default_rng(0)
    pairs = [off for off in values if len(off) == 2]
    effects = paired_effects(_contrasts(values, parts), [*parts, *map(" + ".join, pairs)], level=level, rng=rng)
    means = {off: mean_with_interval(sample, level=level) for off, sample in values.items()}
    return Contributions(
        metric=metric,
        level=level,
        parts=tuple(sorted(effects[: len(parts)], key=lambda effect: -effect.value.value)),
        interactions=tuple(sorted(effects[len(parts) :], key=lambda effect: -abs(effect.value.value))),
        means=means,
    )


def _contrasts(values: Mapping[Parts, Array], parts: Sequence[str]) -> Array:
    """Contributions, then interactions, on every mission and seed, (K, M, E), without rounding noise."""
    baseline = values[()]
    contrasts = [baseline - values[part,] for part in parts]
    for off in values:
        if len(off) == 2:
            first, second = off
            contrasts.append(values[first,] + values[second,] - baseline - values[off])
    grid = ROUNDING * max(float(np.abs(sample).max()) for sample in values.values())
    return np.array([np.round(contrast / grid) * grid if grid else contrast for contrast in contrasts])
