"""Which missions and variants there are and what is wrong with them, and how policies behave: `task=missions`."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from daf.config.names import expand_missions
from daf.config.schemas import DAFConfig
from daf.environment_checks import mission_specs
from daf.episodes import EpisodeFailure
from daf.errors import DAFError
from daf.evaluation import (
    LEVEL,
    metric_name,
    plan_episodes,
    play_with_progress,
    tell_failures,
    unique_names,
    warn_about_untrained,
)
from daf.progress import progress
from daf.records import EpisodeRecord, MissionSpec, PolicySpec
from daf.results import ResultTable, TaskResult
from daf.tracking import Tracker

if TYPE_CHECKING:
    from daf.statistics import Interval

RESOURCES = ("carbon", "oxygen", "germanium", "silicon")
#: An agent is stuck if it once stood still for this share of the episode or longer.
STUCK_SHARE = 0.5
#: With fewer episodes than this, a rank correlation is noise and none is told.
MIN_CORRELATION_EPISODES = 10
TOLD_CORRELATIONS = 10
#: What the simulator notes about itself.
BOOKKEEPING = ("game/tokens_",)


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


Told = Callable[[int, str], None]


def daf_list_missions(
    patterns: Sequence[str] = (), *, check: bool = False, on_mission: Told | None = None
) -> tuple[Mission, ...]:
    """Missions by full name, pattern or set; all that CoGames knows if nothing is named.

    Args:
        check: whether to build a simulation of each, which alone shows whether it can be played. For most that takes
            a fraction of a second, for the largest map 20 s.
        on_mission: called with the number of missions done and the name of the last.
    """
    from daf.bridge.catalogue import catalogue

    names = expand_missions(list(patterns)) if patterns else list(catalogue().missions)
    found = []
    for done, name in enumerate(names, start=1):
        found.append(_mission(name, check))
        if on_mission:
            on_mission(done, name)
    return tuple(found)


def _mission(name: str, check: bool) -> Mission:
    from daf.bridge.catalogue import catalogue
    from daf.bridge.inspection import mission_facts
    from daf.bridge.missions import why_unplayable

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
    from daf.bridge.catalogue import catalogue
    from daf.bridge.missions import mission_digest

    plain = mission_digest(mission)
    return tuple(_variant(name, mission, plain) for name in names or catalogue().variants)


def _variant(name: str, mission: MissionSpec, plain: str) -> Variant:
    from daf.bridge.inspection import reward_variant_names
    from daf.bridge.missions import mission_digest, why_unplayable

    spec = replace(mission, variants=(*mission.variants, name))
    problem = why_unplayable(spec)
    return Variant(
        name=name,
        reward=name in reward_variant_names(),
        changes=None if problem else mission_digest(spec) != plain,
        problem=problem,
    )


def daf_find_variant_conflicts(
    mission: MissionSpec, variants: Sequence[str], *, on_pair: Told | None = None
) -> tuple[Conflict, ...]:
    """Pairs of variants, in both orders, with which a mission cannot be played. A pair takes about 0.1 s."""
    from daf.bridge.missions import why_unplayable

    conflicts = []
    for done, pair in enumerate(permutations(variants, 2), start=1):
        problem = why_unplayable(replace(mission, variants=(*mission.variants, *pair)))
        if problem:
            conflicts.append(Conflict(first=pair[0], second=pair[1], problem=problem))
        if on_pair:
            on_pair(done, " + ".join(pair))
    return tuple(conflicts)


def behaviour(record: EpisodeRecord, move_energy: float) -> dict[str, float]:
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
        "agents stuck (share)": share(
            lambda own: own.get("status.max_steps_without_motion", 0.0) >= STUCK_SHARE * record.steps
        ),
        "agents out of energy at the end (share)": share(lambda own: own.get("energy.amount", 0.0) < move_energy),
        "agents that died (share)": share(lambda own: own.get("death", 0.0) > 0),
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
    columns = {
        policy: [
            behaviour(record, move_energy) | {f"mean {success_metric}": record.value(success_metric)} for record in own
        ]
        for policy, own in records.items()
        if own
    }
    limit = "noop's on the same seed" if success_threshold is None else f"{success_threshold:g}"
    rows = [
        (name, *(_mean_cell([row[name] for row in columns[p]]) for p in policies)) for name in columns[policies[0]][0]
    ]
    rows.append(("episodes", *(str(len(columns[policy])) for policy in policies)))
    success = [_successes(records[policy], success_metric, success_threshold, reference) for policy in policies]
    rows.append((f"success: {success_metric} > {limit}", *(_share_cell(*counts) for counts in success)))
    return ResultTable(
        f"Behaviour on {first.mission} ({LEVEL:.0%} intervals over episodes)", ("behaviour", *policies), tuple(rows)
    )


def _successes(
    records: Sequence[EpisodeRecord], metric: str, threshold: float | None, reference: Mapping[int, float] | None
) -> tuple[int, int]:
    """Successful episodes, and those that could be judged."""
    limits = {r.seed: threshold for r in records} if threshold is not None else dict(reference or {})
    judged = [r for r in records if r.seed in limits]
    return sum(r.value(metric) > limits[r.seed] for r in judged), len(judged)


def _mean_cell(values: Sequence[float]) -> str:
    from daf.statistics import mean_with_interval

    sample = np.array(values)
    interval = mean_with_interval(sample, level=LEVEL, rng=np.random.default_rng(0)).interval
    if interval is None or interval.low == interval.high:
        return f"{sample.mean():.3g}"
    return f"{sample.mean():.3g} ({interval.low:.3g} to {interval.high:.3g})"


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


def daf_show_missions(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Lists missions and variants with what is wrong with them, and tells how policies behave on the selected missions.

    Raises:
        DAFError: not one episode could be played.
    """
    missions = mission_specs(config)
    tables = _discovery(missions[0], config.analysis.check == "all")
    behaviours, notes = _behaviours(config, missions, tracker)
    return TaskResult(objective=None, tables=(*tables, *behaviours), notes=tuple(notes))


def _discovery(mission: MissionSpec, everything: bool) -> list[ResultTable]:
    from daf.bridge.catalogue import catalogue

    with progress("reading missions", len(catalogue().missions)) as advance:
        listed = daf_list_missions(check=everything, on_mission=advance)
    variants = daf_list_variants(mission)
    tables = [_mission_table(listed, everything), _variant_table(mission, variants)]
    if everything:
        effective = [variant.name for variant in variants if variant.changes and not variant.reward]
        with progress("trying pairs of variants", len(effective) * (len(effective) - 1)) as advance:
            tables.append(_conflict_table(mission, daf_find_variant_conflicts(mission, effective, on_pair=advance)))
    return tables


def _mission_table(missions: Sequence[Mission], checked: bool) -> ResultTable:
    rows = tuple(
        (
            mission.name,
            ", ".join(mission.sets) or "-",
            str(mission.agents),
            f"{mission.max_steps:,}",
            "x".join(map(str, mission.map_size)) if mission.map_size else "-",
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


def _variant_table(mission: MissionSpec, variants: Sequence[Variant]) -> ResultTable:
    def effect(variant: Variant) -> str:
        if variant.problem:
            return f"cannot be played: {variant.problem}"
        return "changes the mission" if variant.changes else "changes nothing"

    rows = tuple((variant.name, "reward" if variant.reward else "mission", effect(variant)) for variant in variants)
    return ResultTable(f"Variants on {mission.name}", ("variant", "kind", "effect"), rows)


def _conflict_table(mission: MissionSpec, conflicts: Sequence[Conflict]) -> ResultTable:
    rows = tuple((conflict.first, conflict.second, conflict.problem) for conflict in conflicts)
    return ResultTable(f"Variants that conflict on {mission.name}", ("first", "then", "problem"), rows)


def _behaviours(
    config: DAFConfig, missions: Sequence[MissionSpec], tracker: Tracker
) -> tuple[list[ResultTable], list[str]]:
    """Plays, logs, and returns tables of behaviour and correlations with notes on what is missing."""
    from daf.bridge.inspection import mission_facts

    evaluation, analysis = config.evaluation, config.analysis
    asked = (*(evaluation.policies or (config.policy,)), *evaluation.baselines)
    policies = unique_names([policy.spec() for policy in asked])
    warn_about_untrained(policies, tracker)
    # Not in the list of policies, whatever else is called noop there.
    idle = PolicySpec(name="noop", class_path="noop")
    players = [*policies, *([idle] if analysis.success_threshold is None else [])]
    pairs = [(mission, policy) for mission in missions for policy in players]
    plans = [plan_episodes(config, mission, policy) for mission, policy in pairs]
    outcomes = iter(play_with_progress(config, [plan for part in plans for plan in part]))
    played = [[next(outcomes) for _ in part] for part in plans]
    failures = [outcome for part in played for outcome in part if isinstance(outcome, EpisodeFailure)]
    records = [[outcome for outcome in part if isinstance(outcome, EpisodeRecord)] for part in played]
    if not any(records):
        raise DAFError(f"no episode could be played. The first failed with:\n{failures[0].traceback}")
    lines = [json.dumps(record.to_dict()) for part in records for record in part]
    tracker.log_text("".join(f"{line}\n" for line in lines), "missions/episodes.jsonl")
    tables, notes = [], list(tell_failures(failures))
    for mission in missions:
        own = [part for (where, _), part in zip(pairs, records, strict=True) if where == mission]
        by_policy = {policy.name: part for policy, part in zip(policies, own, strict=False) if part}
        if not by_policy:
            continue
        move_energy = mission_facts(mission).move_energy
        tables.append(
            daf_analyze_mission(
                by_policy,
                move_energy=move_energy,
                success_metric=analysis.success_metric,
                success_threshold=analysis.success_threshold,
                reference={record.seed: record.value(analysis.success_metric) for record in own[-1]},
            )
        )
        _log_behaviour(by_policy, mission, move_energy, tracker)
        correlations, missing = _correlations(by_policy, mission, analysis.success_metric, tracker)
        tables += correlations
        notes += missing
    return tables, notes


def _log_behaviour(
    records: Mapping[str, Sequence[EpisodeRecord]], mission: MissionSpec, move_energy: float, tracker: Tracker
) -> None:
    for policy, own in records.items():
        rows = [behaviour(record, move_energy) for record in own]
        means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        tracker.log_metrics(
            {metric_name("behaviour", name, policy, mission.name): value for name, value in means.items()}
        )


def _correlations(
    records: Mapping[str, Sequence[EpisodeRecord]], mission: MissionSpec, metric: str, tracker: Tracker
) -> tuple[list[ResultTable], list[str]]:
    """Logs all correlations; returns a table of each policy's strongest, and notes where there are none."""
    notes, rows = [], []
    for policy, own in records.items():
        try:
            found = daf_metric_correlations(own, metric)
        except ValueError as error:
            notes.append(f"{policy} on {mission.name}: {error}.")
            continue
        if not found:
            notes.append(f"{policy} on {mission.name}: {metric} is the same in all {len(own)} episodes.")
        rows.append([(policy, *_correlation_cells(one)) for one in found])
    if not any(rows):
        return [], notes
    title = f"What goes with {metric} on {mission.name} (Spearman, {LEVEL:.0%} intervals)"
    columns = ("policy", "metric", "correlation", "interval", "p (corrected)", "episodes")
    complete = ResultTable(title, columns, tuple(row for part in rows for row in part))
    tracker.log_text(complete.to_csv(), f"missions/correlations_{metric_name(mission.name).replace('/', '_')}.csv")
    return [replace(complete, rows=tuple(row for part in rows for row in part[:TOLD_CORRELATIONS]))], notes


def _correlation_cells(one: Correlation) -> tuple[str, ...]:
    interval = f"{one.interval.low:+.2f} to {one.interval.high:+.2f}" if one.interval else "-"
    return (one.metric, f"{one.value:+.2f}", interval, f"{one.p_value:.2g}", str(one.episodes))
