"""Which episodes a config asks for."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from daf.bridge.devices import resolve_device
from daf.bridge.missions import agent_count
from daf.config.schemas import DAFConfig
from daf.execution.loading import offers_network
from daf.records import EpisodePlan, MissionSpec, PolicySpec
from daf.tracking.tracker import Tracker

#: Makes the plan of a match from its mission, policies, assignments and seed.
Planner = Callable[[MissionSpec, tuple[PolicySpec, ...], Sequence[int], int], EpisodePlan]


def planner(config: DAFConfig) -> Planner:
    """Plans that are played as `evaluation` and `device` say."""
    device = resolve_device(config.device)

    def plan(
        mission: MissionSpec, policies: tuple[PolicySpec, ...], assignments: Sequence[int], seed: int
    ) -> EpisodePlan:
        return EpisodePlan(
            mission=mission,
            policies=policies,
            assignments=tuple(assignments),
            seed=seed,
            max_action_time_ms=config.evaluation.max_action_time_ms,
            device=device,
        )

    return plan


def unique_names(policies: Sequence[PolicySpec]) -> list[PolicySpec]:
    """The policies, with a number behind every display name that stood earlier in the list."""
    taken: set[str] = set()
    named = []
    for policy in policies:
        numbered = (f"{policy.name} ({count})" for count in itertools.count(2))
        name = next(name for name in itertools.chain([policy.name], numbered) if name not in taken)
        taken.add(name)
        named.append(replace(policy, name=name))
    return named


def plan_episodes(config: DAFConfig, mission: MissionSpec, policy: PolicySpec) -> list[EpisodePlan]:
    """The held-out episodes of one policy, playing alone on one mission."""
    evaluation = config.evaluation
    return [
        EpisodePlan(
            mission=mission,
            policies=(policy,),
            assignments=(0,) * agent_count(mission),
            seed=evaluation.seed + index,
            max_action_time_ms=evaluation.max_action_time_ms,
            device=resolve_device(config.device),
        )
        for index in range(evaluation.episodes)
    ]


def warn_about_untrained(policies: Iterable[PolicySpec], tracker: Tracker) -> None:
    """Warns about every network without weights: what it scores is chance."""
    for policy in policies:
        if policy.weights is None and offers_network(policy):
            tracker.warn(f"{policy.name} has no weights: CoGames gives it new random ones for every episode.")
