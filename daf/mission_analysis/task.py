"""`task=missions`: missions and variants with what is wrong with them, and behaviour on the selected missions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from daf.bridge.catalogue import catalogue
from daf.bridge.inspection import mission_facts
from daf.config.commands import command_for
from daf.config.missions import mission_specs
from daf.config.schemas import DAFConfig
from daf.episodes.kept import RECORDS
from daf.episodes.plans import plan_episodes, unique_names, warn_about_untrained
from daf.episodes.played import Played, log_episodes, play_matches, timeout_notes
from daf.execution.progress import progress
from daf.mission_analysis.behaviour import MissionBehaviour, SuccessCriterion, mission_behaviour
from daf.mission_analysis.behaviour_tables import behaviour_table, correlation_table
from daf.mission_analysis.correlations import Correlation, daf_metric_correlations
from daf.mission_analysis.discovery import daf_find_variant_conflicts, daf_list_missions, daf_list_variants
from daf.mission_analysis.discovery_tables import conflict_table, mission_table, variant_table
from daf.records import EpisodeRecord, MissionSpec, PolicySpec
from daf.results import ResultTable, TaskResult
from daf.tasks import Task, played_policies
from daf.tracking.tracker import Tracker, metric_name

SHOWN_CORRELATIONS = 10
NOOP = PolicySpec(name="noop", class_path="noop")


@dataclass(frozen=True, kw_only=True)
class MissionFindings:
    """What the episodes on one mission say.

    Attributes:
        mission: as the user named it.
        correlations: policy to what goes with the success metric; empty where nothing does.
        gaps: sentences about policies without correlations.
    """

    mission: str
    behaviour: MissionBehaviour
    correlations: dict[str, tuple[Correlation, ...]]
    gaps: tuple[str, ...]


def daf_show_missions(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Lists missions and variants with what is wrong with them, and shows how policies behave on the selected missions.

    Raises:
        DAFError: not one episode could be played.
    """
    from daf.statistics import reliability

    missions = mission_specs(config)
    listings = _listings(missions[0], config.analysis.check == "all")
    policies = unique_names([policy.spec() for _, policy in played_policies(config)])
    # Apart from the list of policies, whatever is called noop there.
    *_, idle = unique_names([*policies, NOOP])
    played = _play(missions, policies, idle, config, tracker)
    findings = _findings(missions, played.records, idle, config)
    for found in findings:
        _log(found, tracker)
    return TaskResult(
        objective=None,
        tables=(*listings, *(table for found in findings for table in _tables(found))),
        notes=(
            *played.notes("missions"),
            *timeout_notes(played.records),
            *reliability(config.evaluation.episodes, "episodes a mission"),
            *(gap for found in findings for gap in found.gaps),
        ),
        files={"records": tracker.output_dir / "missions" / RECORDS},
        next=command_for(config, "evaluate"),
    )


def _listings(mission: MissionSpec, everything: bool) -> list[ResultTable]:
    with progress("reading missions", len(catalogue().missions)) as advance:
        listed = daf_list_missions(check=everything, on_mission=advance)
    variants = daf_list_variants(mission)
    tables = [mission_table(listed, everything), variant_table(mission, variants)]
    if everything:
        effective = [variant.name for variant in variants if variant.changes and not variant.reward]
        with progress("trying pairs of variants", len(effective) * (len(effective) - 1)) as advance:
            tables.append(conflict_table(mission, daf_find_variant_conflicts(mission, effective, on_pair=advance)))
    return tables


def _play(
    missions: Sequence[MissionSpec],
    policies: Sequence[PolicySpec],
    idle: PolicySpec,
    config: DAFConfig,
    tracker: Tracker,
) -> Played:
    """Plays and keeps the policies' episodes, and those of `idle` where they are what success is measured against."""
    warn_about_untrained(policies, tracker)
    players = [*policies, *([idle] if config.analysis.success_threshold is None else [])]
    plans = [plan for mission in missions for policy in players for plan in plan_episodes(config, mission, policy)]
    played = play_matches(config, plans, "missions")
    log_episodes(tracker, "missions", played.records, played.failures)
    return played


def _findings(
    missions: Sequence[MissionSpec], records: Sequence[EpisodeRecord], idle: PolicySpec, config: DAFConfig
) -> list[MissionFindings]:
    """What the episodes of all policies but `idle` say, for every mission on which there are any."""
    found = []
    for mission in missions:
        episodes: dict[str, list[EpisodeRecord]] = {}
        for record in records:
            if record.mission_name == mission.name:
                episodes.setdefault(record.policies[0], []).append(record)
        of_idle = episodes.pop(idle.name, [])
        if episodes:
            found.append(_mission_findings(mission, episodes, of_idle, config))
    return found


def _mission_findings(
    mission: MissionSpec,
    episodes: Mapping[str, Sequence[EpisodeRecord]],
    of_idle: Sequence[EpisodeRecord],
    config: DAFConfig,
) -> MissionFindings:
    metric = config.analysis.success_metric
    reference = {record.seed: record.value(metric) for record in of_idle}
    criterion = SuccessCriterion(metric=metric, threshold=config.analysis.success_threshold, reference=reference)
    move_energy = mission_facts(mission).move_energy
    correlations, gaps = _correlations(episodes, mission, metric, config.level)
    return MissionFindings(
        mission=mission.name,
        behaviour=mission_behaviour(episodes, criterion, move_energy=move_energy, level=config.level),
        correlations=correlations,
        gaps=tuple(gaps),
    )


def _correlations(
    records: Mapping[str, Sequence[EpisodeRecord]], mission: MissionSpec, metric: str, level: float
) -> tuple[dict[str, tuple[Correlation, ...]], list[str]]:
    """Correlations of each policy, and a sentence for each that has none."""
    found: dict[str, tuple[Correlation, ...]] = {}
    gaps = []
    for policy, episodes in records.items():
        try:
            found[policy] = daf_metric_correlations(episodes, metric, level=level)
        except ValueError as error:
            gaps.append(f"{policy} on {mission.name}: {error}.")
            continue
        if not found[policy]:
            gaps.append(f"{policy} on {mission.name}: {metric} is the same in all {len(episodes)} episodes.")
    return found, gaps


def _tables(found: MissionFindings) -> list[ResultTable]:
    tables = [behaviour_table(found.behaviour)]
    return [*tables, _correlation_table(found, most=SHOWN_CORRELATIONS)] if any(found.correlations.values()) else tables


def _correlation_table(found: MissionFindings, most: int | None) -> ResultTable:
    behaviour = found.behaviour
    return correlation_table(
        found.correlations, metric=behaviour.criterion.metric, mission=found.mission, level=behaviour.level, most=most
    )


def _log(found: MissionFindings, tracker: Tracker) -> None:
    tracker.log_metrics(
        {
            metric_name("behaviour", name, policy, found.mission): mean.value
            for policy, behaviour in found.behaviour.policies.items()
            for name, mean in behaviour.means.items()
        }
    )
    if any(found.correlations.values()):
        path = f"missions/correlations_{metric_name(found.mission).replace('/', '_')}.csv"
        tracker.log_text(_correlation_table(found, most=None).to_csv(), path)


MISSIONS = Task(name="missions", run=daf_show_missions, policies=played_policies, gives=frozenset({"records"}))
