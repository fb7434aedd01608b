"""How behaviour, success and correlations are shown."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from daf.mission_analysis.behaviour import MissionBehaviour, PolicyBehaviour, SuccessCriterion, mission_behaviour
from daf.mission_analysis.correlations import Correlation
from daf.records import EpisodeRecord
from daf.results import ResultTable
from daf.visualization.text import (
    NO_VALUE,
    count_text,
    estimate_cells,
    level_text,
    p_text,
    quantity_text,
    share_text,
)

if TYPE_CHECKING:
    from daf.statistics import Estimate


def daf_analyze_mission(
    records: Mapping[str, Sequence[EpisodeRecord]],
    *,
    move_energy: float,
    success_metric: str = "reward",
    success_threshold: float | None = None,
    reference: Mapping[int, float] | None = None,
    level: float = 0.95,
) -> ResultTable:
    """How policies behave on one mission: means over episodes with intervals, and how often they succeed.

    Args:
        records: policy to its episodes on the mission.
        move_energy: energy that a step costs.
        success_metric: a metric of `EpisodeRecord.value`.
        success_threshold: an episode succeeds if the metric exceeds this.
        reference: seed to the value that the metric has to exceed instead, if there is no threshold.
        level: confidence level of the intervals.

    Raises:
        ValueError: no episodes, or neither threshold nor reference.
    """
    criterion = SuccessCriterion(metric=success_metric, threshold=success_threshold, reference=reference)
    return behaviour_table(mission_behaviour(records, criterion, move_energy=move_energy, level=level))


def behaviour_table(behaviour: MissionBehaviour) -> ResultTable:
    """One column a policy."""
    policies = list(behaviour.policies.values())
    criterion = behaviour.criterion
    limit = "noop's on the same seed" if criterion.threshold is None else f"{criterion.threshold:g}"
    rows = [
        *((name, *(_mean_cell(policy.means[name]) for policy in policies)) for name in policies[0].means),
        (f"mean {criterion.metric}", *(_mean_cell(policy.metric) for policy in policies)),
        ("episodes", *(count_text(policy.episodes) for policy in policies)),
        (f"success: {criterion.metric} > {limit}", *map(_success_cell, policies)),
    ]
    title = f"Behaviour on {behaviour.mission} ({level_text(behaviour.level)} intervals over episodes)"
    return ResultTable(title, ("behaviour", *behaviour.policies), tuple(rows))


def _mean_cell(mean: "Estimate") -> str:
    bounds = mean.interval
    interval = f" ({quantity_text(bounds.low)} to {quantity_text(bounds.high)})" if bounds else ""
    return f"{quantity_text(mean.value)}{interval}"


def _success_cell(policy: PolicyBehaviour) -> str:
    share = policy.success_share
    if share is None or share.interval is None:
        return NO_VALUE
    bounds = f"{share_text(share.interval.low)} to {share_text(share.interval.high)}"
    return f"{share_text(share.value)} ({bounds}), {policy.successes} of {policy.judged}"


def correlation_table(
    correlations: Mapping[str, Sequence[Correlation]], *, metric: str, mission: str, level: float, most: int | None
) -> ResultTable:
    """One row a policy and a metric, the strongest first.

    Args:
        correlations: policy to its correlations with `metric`.
        mission: its name.
        most: how many rows of each policy; None for all.
    """
    rows = tuple((policy, *_cells(each)) for policy, found in correlations.items() for each in found[:most])
    title = f"What goes with {metric} on {mission} (Spearman, {level_text(level)} intervals)"
    return ResultTable(title, ("policy", "metric", "correlation", "interval", "p (corrected)", "episodes"), rows)


def _cells(correlation: Correlation) -> tuple[str, ...]:
    cells = estimate_cells(correlation.estimate, "+")
    return (correlation.metric, *cells, p_text(correlation.p_value), count_text(correlation.episodes))
