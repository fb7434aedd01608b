"""How policies behave on a mission, and how often they succeed: computed from episode records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daf.records import EpisodeRecord

if TYPE_CHECKING:
    from daf.statistics import Estimate

RESOURCES = ("carbon", "oxygen", "germanium", "silicon")
#: An agent is stuck if it once stood still for this share of the episode or longer.
STUCK_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class SuccessCriterion:
    """When an episode is a success: if a metric exceeds a limit.

    Attributes:
        metric: a metric of `EpisodeRecord.value`.
        threshold: the limit of every episode, or None for that of `reference`.
        reference: seed to the limit of its episodes; an episode on another seed is not judged.
    """

    metric: str = "reward"
    threshold: float | None = None
    reference: Mapping[int, float] | None = None

    def limit(self, seed: int) -> float | None:
        """What an episode on this seed has to exceed; None if it is not judged."""
        return (self.reference or {}).get(seed) if self.threshold is None else self.threshold


@dataclass(frozen=True, kw_only=True)
class PolicyBehaviour:
    """How one policy behaved over its episodes on a mission.

    Attributes:
        episodes: their number.
        means: every quantity of `episode_behaviour` to its mean over episodes.
        metric: mean of the criterion's metric.
        judged: number of episodes that the criterion judges.
        successes: number of those that succeeded.
        success_share: their share, with Wilson's interval, which holds its level near 0 and 1; None if none is judged.
    """

    episodes: int
    means: "dict[str, Estimate]"
    metric: "Estimate"
    judged: int
    successes: int
    success_share: "Estimate | None"


@dataclass(frozen=True, kw_only=True)
class MissionBehaviour:
    """How policies behaved on one mission.

    Attributes:
        mission: its full label, variants included.
        criterion: what decided about success.
        level: confidence level of the intervals.
        policies: policy to its behaviour.
    """

    mission: str
    criterion: SuccessCriterion
    level: float
    policies: dict[str, PolicyBehaviour]


def mission_behaviour(
    records: Mapping[str, Sequence[EpisodeRecord]], criterion: SuccessCriterion, *, move_energy: float, level: float
) -> MissionBehaviour:
    """What the episodes on one mission say about every policy that has some.

    Args:
        records: policy to its episodes on the mission.
        move_energy: energy that a step costs.
        level: confidence level of the intervals, whose unit is the episode.

    Raises:
        ValueError: no episodes, or neither threshold nor reference.
    """
    played = {policy: episodes for policy, episodes in records.items() if episodes}
    if not played:
        raise ValueError("no episodes to analyse")
    if criterion.threshold is None and criterion.reference is None:
        raise ValueError("success needs a threshold or a reference")
    return MissionBehaviour(
        mission=next(iter(played.values()))[0].mission,
        criterion=criterion,
        level=level,
        policies={
            policy: _policy_behaviour(episodes, criterion, move_energy, level) for policy, episodes in played.items()
        },
    )


def _policy_behaviour(
    records: Sequence[EpisodeRecord], criterion: SuccessCriterion, move_energy: float, level: float
) -> PolicyBehaviour:
    rows = [episode_behaviour(record, move_energy) for record in records]
    limits = [(record.value(criterion.metric), criterion.limit(record.seed)) for record in records]
    judged = [value > limit for value, limit in limits if limit is not None]
    return PolicyBehaviour(
        episodes=len(records),
        means={name: _mean_amount(name, np.array([row[name] for row in rows]), level) for name in rows[0]},
        metric=_mean(np.array([value for value, _ in limits]), level),
        judged=len(judged),
        successes=sum(judged),
        success_share=_share(sum(judged), len(judged), level) if judged else None,
    )


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
            lambda agent: agent.get("status.max_steps_without_motion", 0.0) >= STUCK_SHARE * record.steps
        ),
        "share of agents out of energy at the end": share(lambda agent: agent.get("energy.amount", 0.0) < move_energy),
        "share of agents that died": share(lambda agent: agent.get("death", 0.0) > 0),
        "actions timed out per agent": sum(record.action_timeouts) / len(agents),
    }


def _junctions_held(record: EpisodeRecord) -> float:
    """Of every team but the clips: CoGames counts their ships as junctions."""
    held = record.stats["game"].items()
    ends = "/aligned.junction.held"
    return sum(n for name, n in held if name.endswith(ends) and not name.startswith("clips/")) / record.steps


def _mean(sample: NDArray[np.float64], level: float, low: float = -np.inf, high: float = np.inf) -> "Estimate":
    """Mean of a sample of episodes, (E,), with an interval that ends at what a mean can be."""
    from daf.statistics import Estimate, Interval, mean_with_interval

    estimate = mean_with_interval(sample, level=level)
    interval = estimate.interval
    if interval is None or interval.low == interval.high:
        return Estimate(estimate.value)
    return Estimate(estimate.value, Interval(max(interval.low, low), min(interval.high, high), level))


def _mean_amount(name: str, sample: NDArray[np.float64], level: float) -> "Estimate":
    # Amounts are not negative and shares end at 1, and so do their means.
    return _mean(sample, level, 0, 1 if "share" in name else np.inf)


def _share(successes: int, episodes: int, level: float) -> "Estimate":
    from scipy.stats import binomtest

    from daf.statistics import Estimate, Interval

    low, high = binomtest(successes, episodes).proportion_ci(level, method="wilson")
    return Estimate(successes / episodes, Interval(float(low), float(high), level))
