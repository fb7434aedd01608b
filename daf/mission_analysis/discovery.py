"""Which missions and variants there are, and which of them can be played: found by building them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

from daf.bridge.catalogue import catalogue
from daf.bridge.inspection import mission_facts, reward_variant_names
from daf.bridge.missions import mission_digest, why_unplayable
from daf.config.names import expand_missions
from daf.records import MissionSpec


@dataclass(frozen=True, kw_only=True)
class Mission:
    """A mission that CoGames knows.

    Attributes:
        sets: the mission sets that it belongs to.
        agents: as declared; the map may have fewer places.
        max_steps: length of an episode.
        map_size: columns and rows with the border, or None where only building the map shows it.
        problem: why it cannot be played as it is; None if it can, or if nobody tried.
        playable_cogs: where there is a problem, the most agents with which it can be played after all.
    """

    name: str
    sets: tuple[str, ...]
    agents: int
    max_steps: int
    map_size: tuple[int, int] | None
    problem: str | None = None
    playable_cogs: int | None = None


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A variant on one mission.

    Attributes:
        reward: whether it only changes rewards. CoGames applies these after all others.
        changes: whether the mission's configuration differs with it; None if it cannot be built.
        problem: why the mission cannot be played with it, or None.
    """

    name: str
    reward: bool
    changes: bool | None
    problem: str | None


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """Two variants that cannot be played together in this order, though each can alone."""

    first: str
    second: str
    problem: str


#: Takes the number of things done and the name of the last.
OnDone = Callable[[int, str], None]


def daf_list_missions(
    patterns: Sequence[str] = (), *, check: bool = False, on_mission: OnDone | None = None
) -> tuple[Mission, ...]:
    """Missions by full name, pattern or set; all that CoGames knows if nothing is named.

    Args:
        check: whether to build a simulation of each, which alone shows whether it can be played. For most that takes
            a fraction of a second, for the largest map 20 s.
        on_mission: called with the number of missions done and the name of the last.
    """
    names = expand_missions(list(patterns)) if patterns else list(catalogue().missions)
    found = []
    for done, name in enumerate(names, start=1):
        found.append(_mission(name, check))
        if on_mission:
            on_mission(done, name)
    return tuple(found)


def _mission(name: str, check: bool) -> Mission:
    spec = MissionSpec(name=name)
    facts = mission_facts(spec)
    problem = why_unplayable(spec) if check else None
    fewer = (cogs for cogs in range(facts.agents - 1, 0, -1) if why_unplayable(replace(spec, cogs=cogs)) is None)
    return Mission(
        name=name,
        sets=tuple(key for key, names in catalogue().mission_sets.items() if name in names),
        agents=facts.agents,
        max_steps=facts.max_steps,
        map_size=facts.map_size,
        problem=problem,
        playable_cogs=next(fewer, None) if problem else None,
    )


def daf_list_variants(mission: MissionSpec, names: Sequence[str] = ()) -> tuple[Variant, ...]:
    """Variants (all that CoGames knows if none is named), each tried on a mission on top of those that it has."""
    plain = mission_digest(mission)
    return tuple(_variant(name, mission, plain) for name in names or catalogue().variants)


def _variant(name: str, mission: MissionSpec, plain: str) -> Variant:
    spec = replace(mission, variants=(*mission.variants, name))
    problem = why_unplayable(spec)
    return Variant(
        name=name,
        reward=name in reward_variant_names(),
        changes=None if problem else mission_digest(spec) != plain,
        problem=problem,
    )


def daf_find_variant_conflicts(
    mission: MissionSpec, variants: Sequence[str], *, on_pair: OnDone | None = None
) -> tuple[Conflict, ...]:
    """Pairs of variants, in both orders, with which a mission cannot be played. A pair takes about 0.1 s."""
    conflicts = []
    for done, pair in enumerate(permutations(variants, 2), start=1):
        problem = why_unplayable(replace(mission, variants=(*mission.variants, *pair)))
        if problem:
            conflicts.append(Conflict(first=pair[0], second=pair[1], problem=problem))
        if on_pair:
            on_pair(done, " + ".join(pair))
    return tuple(conflicts)
