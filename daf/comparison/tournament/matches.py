"""Who meets whom, on which seats.

A match depends on nothing but its two policies, its mission and its seed: a policy that joins later adds matches and
changes none, so that with the episode cache only what is missing is played.
"""

import random
from collections.abc import Sequence
from itertools import combinations

from daf.bridge.missions import agent_count
from daf.bridge.policies import policy_digest
from daf.episodes.plans import Planner
from daf.errors import DAFConfigError, Problem
from daf.records import EpisodePlan, MissionSpec, PolicySpec, digest


def check_teams(missions: Sequence[MissionSpec]) -> None:
    """Raises DAFConfigError if a mission has a single agent, which no two policies can share."""
    alone = [mission.name for mission in missions if agent_count(mission) < 2]
    if alone:
        what = f"{', '.join(alone)} has 1 agent, which no two policies can share."
        raise DAFConfigError([Problem("mission.cogs", what, "Use mission.cogs=2 or more.")])


def solo_plans(
    missions: Sequence[MissionSpec], policies: Sequence[PolicySpec], seeds: Sequence[int], make_plan: Planner
) -> list[EpisodePlan]:
    """Every policy with a team of its own, on every mission and seed."""
    return [
        make_plan(mission, (policy,), (0,) * agent_count(mission), seed)
        for mission in missions
        for seed in seeds
        for policy in policies
    ]


def pair_plans(
    missions: Sequence[MissionSpec], policies: Sequence[PolicySpec], seeds: Sequence[int], make_plan: Planner
) -> list[EpisodePlan]:
    """Every two policies in mixed teams: twice on every mission and seed, the second time with their seats swapped.

    Seats are drawn by a generator that knows the two policies' digests, the mission and the seed. From seed to seed the
    number of seats goes through all proportions. Together the two matches give each policy one whole team, so that
    nobody gains by having more agents on an easy map.
    """
    digests = {policy.name: policy_digest(policy) for policy in policies}
    ordered = sorted(policies, key=lambda policy: (digests[policy.name], policy.name))
    plans = []
    for mission in missions:
        agents = agent_count(mission)
        for pair in combinations(ordered, 2):
            key = digest([mission.name, *(digests[policy.name] for policy in pair)])
            for seed in seeds:
                seats = _draw_seats(agents, key, seed)
                plans += [make_plan(mission, pair, taken, seed) for taken in (seats, [1 - seat for seat in seats])]
    return plans


def _draw_seats(agents: int, key: str, seed: int) -> list[int]:
    """For every agent 0 or 1, the policy that controls it; each policy has one agent at least."""
    first = 1 + (seed + int(key, 16)) % (agents - 1)
    seats = [0] * first + [1] * (agents - first)
    random.Random(f"{key} {seed}").shuffle(seats)
    return seats
