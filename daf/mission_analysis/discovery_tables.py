"""How missions, variants and conflicts are shown."""

from collections.abc import Sequence

from daf.mission_analysis.discovery import Conflict, Mission, Variant
from daf.records import MissionSpec
from daf.results import ResultTable
from daf.visualization.text import NO_VALUE


def mission_table(missions: Sequence[Mission], checked: bool) -> ResultTable:
    """One row a mission; whether it can be played, if that was `checked`."""
    rows = tuple(
        (
            mission.name,
            ", ".join(mission.sets) or NO_VALUE,
            str(mission.agents),
            f"{mission.max_steps:,}",
            "x".join(map(str, mission.map_size)) if mission.map_size else NO_VALUE,
            *([_playable(mission)] if checked else []),
        )
        for mission in missions
    )
    columns = ("mission", "sets", "agents", "max_steps", "map", *(["playable"] if checked else []))
    return ResultTable("Missions", columns, rows)


def _playable(mission: Mission) -> str:
    if mission.problem is None:
        return "yes"
    return f"with mission.cogs={mission.playable_cogs}" if mission.playable_cogs else f"no: {mission.problem}"


def variant_table(mission: MissionSpec, variants: Sequence[Variant]) -> ResultTable:
    """One row a variant: what it does to the mission."""
    rows = tuple((variant.name, "reward" if variant.reward else "mission", _effect(variant)) for variant in variants)
    return ResultTable(f"Variants on {mission.name}", ("variant", "kind", "effect"), rows)


def _effect(variant: Variant) -> str:
    if variant.problem:
        return f"cannot be played: {variant.problem}"
    return "changes the mission" if variant.changes else "changes nothing"


def conflict_table(mission: MissionSpec, conflicts: Sequence[Conflict]) -> ResultTable:
    """One row a pair of variants, in the order in which they fail."""
    rows = tuple((conflict.first, conflict.second, conflict.problem) for conflict in conflicts)
    return ResultTable(f"Variants that conflict on {mission.name}", ("first", "then", "problem"), rows)
