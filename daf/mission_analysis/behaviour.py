"""How policies behave on a mission, how often they succeed, and what goes with success: from episode records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from daf.evaluation.task import LEVEL
from daf.records import EpisodeRecord
from daf.results import ResultTable
from daf.visualization.text import level_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from daf.statistics import Interval

RESOURCES = ("carbon", "oxygen", "germanium", "silicon")
#: An agent is stuck if it once stood still for this share of the episode or longer.
STUCK_SHARE = 0.5
#: With fewer episodes than this, a rank correlation is noise and none is told.
MIN_CORRELATION_EPISODES = 10
#: What the simulator notes about itself.
BOOKKEEPING = ("game/tokens_",)


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """Spearman's rank correlation of one metric with another over the episodes of one policy on one mission.

    Attributes:
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


def episode_behaviour(record: EpisodeRecord, move_energy: float) -> dict[str, float]:
    """What the agents did in an episode, as means over agents and, where said, shares of agents.

    Args:
        move_energy: energy that a step costs; an agent that ends with less cannot move.
    """
    stats = record.agent_stats()
    agents = record.stats["agent"]
    moves, bumps = stats.get("action.move.success", 0.0), stats.get("action.move.failed", 0.0)

    def share(fails: Callable[[Mapping[str, float]], bool]) -> float:
        return sum(map(fails, agents)) / len(agents)

    return {
        "resources gained per agent": sum(stats.get(f"{name}.gained", 0.0) for name in RESOURCES),
        "hearts gained per agent": stats.get("heart.gained", 0.0),
        "energy spent per step": stats.get("energy.lost", 0.0) / record.steps,
        "energy at the end": stats.get("energy.amount", 0.0),
        "moves per step": moves / record.steps,
        "share of moves that fail": bumps / (moves + bumps) if moves + bumps else 0.0,
        "deaths per agent": stats.get("death", 0.0),
        "junctions held by cogs, mean over time": _junctions_held(record),
        "share of agents stuck": share(
            lambda own: own.get("status.max_steps_without_motion", 0.0) >= STUCK_SHARE * record.steps
        ),
        "share of agents out of energy at the end": share(lambda own: own.get("energy.amount", 0.0) < move_energy),
        "share of agents that died": share(lambda own: own.get("death", 0.0) > 0),
        "actions timed out per agent": sum(record.action_timeouts) / len(agents),
    }


def _junctions_held(record: EpisodeRecord) -> float:
    """Of every team but the clips: CoGames counts their ships as junctions."""
    held = record.stats["game"].items()
    ends = "/aligned.junction.held"
    return sum(n for name, n in held if name.endswith(ends) and not name.startswith("clips/")) / record.steps


def daf_analyze_mission(
    records: Mapping[str, Sequence[EpisodeRecord]],
    *,
    move_energy: float,
    success_metric: str = "reward",
    success_threshold: float | None = None,
    reference: Mapping[int, float] | None = None,
) -> ResultTable:
    """How policies behave on one mission: means over episodes with intervals, and how often they succeed.

    Args:
        records: policy to its episodes on the mission.
        move_energy: energy that a step costs.
        success_metric: a metric of `EpisodeRecord.value`.
        success_threshold: an episode succeeds if the metric exceeds this.
        reference: seed to the value that the metric has to exceed instead, if there is no threshold.

    Raises:
        ValueError: no episodes, or neither threshold nor reference.
    """
    if not any(records.values()):
        raise ValueError("no episodes to analyse")
    if success_threshold is None and reference is None:
        raise ValueError("success needs a threshold or a reference")
    first = next(own[0] for own in records.values() if own)
    policies = [policy for policy, own in records.items() if own]
    told = [_Column(own, move_energy, success_metric) for own in records.values() if own]
    limit = "noop's on the same seed" if success_threshold is None else f"{success_threshold:g}"
    rows = [(name, *(column.cell(name) for column in told)) for name in told[0].names]
    rows.append(("episodes", *(str(len(records[policy])) for policy in policies)))
    success = [_successes(records[policy], success_metric, success_threshold, reference) for policy in policies]
    rows.append((f"success: {success_metric} > {limit}", *(_share_cell(*counts) for counts in success)))
    title = f"Behaviour on {first.mission} ({level_text(LEVEL)} intervals over episodes)"
    return ResultTable(title, ("behaviour", *policies), tuple(rows))


def _successes(
    records: Sequence[EpisodeRecord], metric: str, threshold: float | None, reference: Mapping[int, float] | None
) -> tuple[int, int]:
    """Successful episodes, and those that could be judged."""
    limits = {r.seed: threshold for r in records} if threshold is not None else dict(reference or {})
    judged = [r for r in records if r.seed in limits]
    return sum(r.value(metric) > limits[r.seed] for r in judged), len(judged)


class _Column:
    """One policy's column of the table."""

    def __init__(self, records: Sequence[EpisodeRecord], move_energy: float, metric: str) -> None:
        self._behaviour = [episode_behaviour(record, move_energy) for record in records]
        self._metric = f"mean {metric}", np.array([record.value(metric) for record in records])
        self.names = (*self._behaviour[0], self._metric[0])

    def cell(self, name: str) -> str:
        """Mean over episodes with its interval."""
        if name == self._metric[0]:
            return _mean_cell(self._metric[1], -np.inf, np.inf)
        # Amounts are not negative and shares end at 1, and so do their means.
        return _mean_cell(np.array([row[name] for row in self._behaviour]), 0, 1 if "share" in name else np.inf)


def _mean_cell(sample: "NDArray[np.float64]", least: float, most: float) -> str:
    from daf.statistics import mean_with_interval

    interval = mean_with_interval(sample, level=LEVEL, rng=np.random.default_rng(0)).interval
    if interval is None or interval.low == interval.high:
        return f"{sample.mean():.3g}"
    return f"{sample.mean():.3g} ({max(interval.low, least):.3g} to {min(interval.high, most):.3g})"


def _share_cell(successes: int, episodes: int) -> str:
    """A share with Wilson's interval, which holds its level near 0 and 1."""
    from scipy.stats import binomtest

    if not episodes:
        return "-"
    low, high = binomtest(successes, episodes).proportion_ci(LEVEL, method="wilson")
    return f"{successes / episodes:.0%} ({low:.0%} to {high:.0%}), {successes} of {episodes}"


def daf_metric_correlations(
    records: Sequence[EpisodeRecord], metric: str = "reward", *, level: float = LEVEL
) -> tuple[Correlation, ...]:
    """Spearman's correlation of every metric that varies with `metric`, the strongest first.

    Give it episodes of one policy on one mission: over several, a correlation would mostly tell them apart.

    Raises:
        ValueError: fewer than `MIN_CORRELATION_EPISODES` episodes.
    """
    from scipy import stats

    from daf.statistics import Interval

    episodes = len(records)
    if episodes < MIN_CORRELATION_EPISODES:
        raise ValueError(f"not enough episodes for correlations ({episodes} of {MIN_CORRELATION_EPISODES})")
    target = np.array([record.value(metric) for record in records])
    metrics = {name: np.array([record.value(name) for record in records]) for name in _metric_names(records)}
    varying = {name: own for name, own in metrics.items() if name != metric and np.ptp(own) > 0}
    if not np.ptp(target) or not varying:
        return ()
    results = {name: stats.spearmanr(own, target) for name, own in varying.items()}
    corrected = stats.false_discovery_control([float(result.pvalue) for result in results.values()])
    found = []
    for (name, result), p_value in zip(results.items(), corrected, strict=True):
        rho = float(result.statistic)
        reach = stats.norm.ppf((1 + level) / 2) * np.sqrt((1 + rho**2 / 2) / (episodes - 3))
        interval = None
        if abs(rho) < 1 - 1e-9:
            low, high = np.tanh(np.arctanh(rho) + np.array([-reach, reach]))
            interval = Interval(float(low), float(high), level)
        found.append(Correlation(metric=name, value=rho, interval=interval, p_value=float(p_value), episodes=episodes))
    return tuple(sorted(found, key=lambda one: (-abs(one.value), one.metric)))


def _metric_names(records: Sequence[EpisodeRecord]) -> list[str]:
    names = {"reward", "steps"}
    for record in records:
        names |= {f"game/{name}" for name in record.stats["game"]}
        names |= {f"agent/{name}" for own in record.stats["agent"] for name in own}
    return sorted(name for name in names if not name.startswith(BOOKKEEPING))
