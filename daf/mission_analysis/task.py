"""`task=missions`: missions and variants with what is wrong with them, and behaviour on the selected missions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from daf.config.missions import mission_specs
from daf.config.schemas import DAFConfig
from daf.episodes.plans import plan_episodes, unique_names, warn_about_untrained
from daf.episodes.played import log_episodes, play_matches, tell_timeouts
from daf.evaluation.task import LEVEL
from daf.execution.progress import progress
from daf.mission_analysis.behaviour import Correlation, daf_analyze_mission, daf_metric_correlations, episode_behaviour
from daf.mission_analysis.discovery import (
    conflict_table,
    daf_find_variant_conflicts,
    daf_list_missions,
    daf_list_variants,
    mission_table,
    variant_table,
)
from daf.records import EpisodeRecord, MissionSpec, PolicySpec
from daf.results import ResultTable, TaskResult
from daf.tasks import Task, played_policies
from daf.tracking.tracker import Tracker, metric_name
from daf.visualization.text import level_text

TOLD_CORRELATIONS = 10


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
    tables = [mission_table(listed, everything), variant_table(mission, variants)]
    if everything:
        effective = [variant.name for variant in variants if variant.changes and not variant.reward]
        with progress("trying pairs of variants", len(effective) * (len(effective) - 1)) as advance:
            tables.append(conflict_table(mission, daf_find_variant_conflicts(mission, effective, on_pair=advance)))
    return tables


def _behaviours(
    config: DAFConfig, missions: Sequence[MissionSpec], tracker: Tracker
) -> tuple[list[ResultTable], list[str]]:
    """Plays, logs, and returns tables of behaviour and correlations with notes on what is missing."""
    from daf.bridge.inspection import mission_facts

    evaluation, analysis = config.evaluation, config.analysis
    asked = (*(evaluation.policies or (config.policy,)), *evaluation.baselines)
    policies = unique_names([policy.spec() for policy in asked])
    warn_about_untrained(policies, tracker)
    # Apart from the list of policies, whatever is called noop there.
    *_, idle = unique_names([*policies, PolicySpec(name="noop", class_path="noop")])
    players = [*policies, *([idle] if analysis.success_threshold is None else [])]
    plans = [plan for mission in missions for policy in players for plan in plan_episodes(config, mission, policy)]
    played = play_matches(config, plans)
    log_episodes(tracker, "missions", played.records, played.failures)
    tables: list[ResultTable] = []
    notes = [*played.notes("missions"), *tell_timeouts(played.records), *_tell_few(evaluation.episodes)]
    for mission in missions:
        own: dict[str, list[EpisodeRecord]] = {}
        for record in played.records:
            if record.mission_name == mission.name:
                own.setdefault(record.policies[0], []).append(record)
        reference = {record.seed: record.value(analysis.success_metric) for record in own.get(idle.name, [])}
        by_policy = {policy.name: own[policy.name] for policy in policies if policy.name in own}
        if not by_policy:
            continue
        move_energy = mission_facts(mission).move_energy
        tables.append(
            daf_analyze_mission(
                by_policy,
                move_energy=move_energy,
                success_metric=analysis.success_metric,
                success_threshold=analysis.success_threshold,
                reference=reference,
            )
        )
        _log_behaviour(by_policy, mission, move_energy, tracker)
        correlations, missing = _correlations(by_policy, mission, analysis.success_metric, tracker)
        tables += correlations
        notes += missing
    return tables, notes


def _tell_few(episodes: int) -> list[str]:
    from daf.statistics.estimates import RELIABLE_EPISODES

    few = f"Intervals from fewer than {RELIABLE_EPISODES} episodes (here {episodes}) may be too narrow."
    return [few] if episodes < RELIABLE_EPISODES else []


def _log_behaviour(
    records: Mapping[str, Sequence[EpisodeRecord]], mission: MissionSpec, move_energy: float, tracker: Tracker
) -> None:
    for policy, own in records.items():
        rows = [episode_behaviour(record, move_energy) for record in own]
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
    title = f"What goes with {metric} on {mission.name} (Spearman, {level_text(LEVEL)} intervals)"
    columns = ("policy", "metric", "correlation", "interval", "p (corrected)", "episodes")
    complete = ResultTable(title, columns, tuple(row for part in rows for row in part))
    tracker.log_text(complete.to_csv(), f"missions/correlations_{metric_name(mission.name).replace('/', '_')}.csv")
    return [replace(complete, rows=tuple(row for part in rows for row in part[:TOLD_CORRELATIONS]))], notes


def _correlation_cells(one: Correlation) -> tuple[str, ...]:
    interval = f"{one.interval.low:+.2f} to {one.interval.high:+.2f}" if one.interval else "-"
    return (one.metric, f"{one.value:+.2f}", interval, f"{one.p_value:.2g}", str(one.episodes))


MISSIONS = Task(name="missions", run=daf_show_missions, policies=played_policies)
