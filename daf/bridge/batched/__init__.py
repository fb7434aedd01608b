"""Episodes of network policies, many at a time: the same numbers as the official rollout, without its waiting.

All episodes of a group go step by step together, and one forward pass serves the agents of all of them. Every episode
draws its actions from a separate generator, in the state in which the official rollout would find the global one. So
an episode is the same episode whatever else is in flight, and on a CPU it is the one that `play_official` plays, save
for the rare draw that falls between two roundings of one probability.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from daf.bridge.batched.game_stats import likely_game_stats
from daf.bridge.batched.lockstep import play_group
from daf.bridge.batched.support import manner_of
from daf.bridge.episode import check_assignments
from daf.bridge.simulations import prepare_mission
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, digest

__all__ = ["play_batched", "why_not_batched"]


def why_not_batched(plan: EpisodePlan) -> str | None:
    """Why the batched backend cannot play a plan, for a person to read; None if it can.

    CoGames' own networks are known to it. Any other class with a network, or with `step_batch`, is tried out for a few
    steps, once per mission: it must choose the same actions as its agents do one by one.

    Raises:
        ValueError: the mission cannot be built.
    """
    for index in sorted(set(plan.assignments)):
        spec = plan.policies[index]
        manner = manner_of(plan.mission, spec)
        if isinstance(manner, str):
            return f"policy {spec.name}: {manner}"
        if not manner.shares_team and set(plan.assignments) != {index}:
            return f"policy {spec.name}: its step_batch acts for the whole team, and here it shares one"
    return None


def play_batched(
    plans: Sequence[EpisodePlan], lanes: int = 16, on_step: Callable[[int], None] = lambda playing: None
) -> Iterator[EpisodeRecord]:
    """Plays plans, up to `lanes` of them at the same time.

    Actions cannot time out here: `EpisodePlan.max_action_time_ms` is not used.

    Args:
        on_step: called after every step with the number of episodes that took it.

    Returns:
        Records in the order in which the episodes end. Their wall time is a share of the time that they took together.

    Raises:
        ValueError: a plan that `why_not_batched` refuses, assignments that do not fit its mission, or less than 1 lane.
    """
    if lanes < 1:
        raise ValueError(f"lanes must be at least 1, not {lanes}")
    for plan in plans:
        check_assignments(plan, prepare_mission(plan.mission).config.game.num_agents)
        if reason := why_not_batched(plan):
            raise ValueError(f"the batched backend cannot play this plan: {reason}")
    return _play(plans, lanes, on_step)


def _play(plans: Sequence[EpisodePlan], lanes: int, on_step: Callable[[int], None]) -> Iterator[EpisodeRecord]:
    groups: defaultdict[str, list[EpisodePlan]] = defaultdict(list)
    for plan in plans:
        groups[_group_key(plan)].append(plan)
    likely: dict[MissionSpec, set[str]] = {}
    for group in groups.values():
        mission = group[0].mission
        if mission not in likely:
            likely[mission] = likely_game_stats(prepare_mission(mission).config)
        yield from play_group(group, lanes, likely[mission], on_step)


def _group_key(plan: EpisodePlan) -> str:
    counts = [plan.assignments.count(index) for index in range(len(plan.policies))]
    policies = [dataclasses.asdict(spec) for spec in plan.policies]
    return digest([dataclasses.asdict(plan.mission), policies, counts, plan.device])
