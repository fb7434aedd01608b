"""`task=vor`: value over replacement of a policy in mixed teams."""

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from daf.comparison.checkpoints import weights_notes
from daf.comparison.vor.values import VorFindings, vor_findings
from daf.comparison.vor.vor_tables import vor_notes, vor_tables
from daf.comparison.winners import packing_command
from daf.config.schemas import DAFConfig
from daf.episodes.kept import RECORDS
from daf.episodes.plans import warn_about_untrained
from daf.episodes.played import log_episodes, play_matches, timeout_notes
from daf.errors import DAFError
from daf.records import EpisodeRecord
from daf.results import TaskResult
from daf.scoring_analysis import Vor, pickup_plans
from daf.tasks import KeyedPolicy, Task, pool_policies, pool_problems
from daf.tracking.tracker import Tracker, metric_name
from daf.visualization import daf_plot_policy_comparison
from daf.visualization.drawing import draw_files

if TYPE_CHECKING:
    from daf.statistics import Estimate


@dataclass(frozen=True, kw_only=True)
class VorResult(TaskResult):
    """Value over replacement on one or more missions.

    Attributes:
        candidate: display name of the policy that was measured.
        pool: display names of those that replace it.
        missions: the result on each mission.
        overall: the missions' mean, missions weighing equally.
        records: every finished episode; policy 0 is the candidate.
    """

    candidate: str
    pool: tuple[str, ...]
    missions: tuple[Vor, ...]
    overall: "Estimate"
    records: tuple[EpisodeRecord, ...]


def daf_compare_with_vor(config: DAFConfig, tracker: Tracker) -> VorResult:
    """Plays the configured policy with 0 to all agents of a team beside `vor.pool`, and reports its value.

    The numbers are those that `cogames.pickup` prints for the same seed, pool and number of episodes, with intervals
    over seeds. Policies that draw from global generators play other episodes here: DAF seeds them, pickup does not.

    Raises:
        DAFError: no seed was finished with every number of agents on every mission.
    """
    plans = pickup_plans(config)
    warn_about_untrained(plans[0].policies, tracker)
    candidate, *pool = (policy.name for policy in plans[0].policies)
    played = play_matches(config, plans, "vor")
    log_episodes(tracker, "vor", played.records, played.failures)
    seeds = set(played.seeds)
    if not seeds:
        raise DAFError("no seed was finished with every number of agents; vor/failures.txt tells why")
    findings = vor_findings([record for record in played.records if record.seed in seeds], level=config.vor.level)
    _log(findings, candidate, pool, tracker)
    plots = {_file(vor): partial(_plot, candidate, vor, findings, config) for vor in findings.missions}
    draw_files(tracker, "plots", plots)
    return VorResult(
        objective=findings.overall.value,
        tables=vor_tables(candidate, findings, plans),
        notes=(
            *played.notes("vor"),
            *timeout_notes(played.records),
            *vor_notes(findings, pool, config),
            *weights_notes(plans[0].policies[:1]),
        ),
        facts={"candidate": candidate},
        files={"data": tracker.output_dir / "vor" / "vor.json", "records": tracker.output_dir / "vor" / RECORDS},
        next=packing_command(config, config.policy),
        candidate=candidate,
        pool=tuple(pool),
        missions=findings.missions,
        overall=findings.overall,
        records=played.records,
    )


def _log(findings: VorFindings, candidate: str, pool: list[str], tracker: Tracker) -> None:
    metrics = {"vor/overall": findings.overall.value}
    for vor in findings.missions:
        metrics[metric_name("vor", vor.mission, "overall")] = vor.overall.value
        metrics[metric_name("vor", vor.mission, "replacement")] = vor.replacement.value
        for count in vor.counts:
            metrics[metric_name("vor", vor.mission, f"{count.candidate_agents} agents")] = count.vor.value
    tracker.log_metrics(metrics)
    data = {
        "candidate": candidate,
        "pool": pool,
        "overall": asdict(findings.overall),
        "missions": [asdict(vor) for vor in findings.missions],
    }
    tracker.log_text(json.dumps(data, indent=1) + "\n", "vor/vor.json")


def _file(vor: Vor) -> str:
    return f"vor_{metric_name(vor.mission).replace('/', '_')}.png"


def _plot(candidate: str, vor: Vor, findings: VorFindings, config: DAFConfig, path: Path) -> Path:
    """The values on one mission, one row for each number of the candidate's agents."""
    agents = max(count.candidate_agents for count in vor.counts)
    names = {count.candidate_agents: f"{count.candidate_agents} of {agents}" for count in vor.counts}
    return daf_plot_policy_comparison(
        {names[count]: list(sample) for count, sample in findings.samples[vor.mission].items()},
        path,
        intervals={
            names[count.candidate_agents]: (count.vor.interval.low, count.vor.interval.high)
            for count in vor.counts
            if count.vor.interval
        },
        level=config.vor.level,
        metric="value over replacement, reward per agent",
        units="seeds",
        title=f"{candidate}, agents of the team, on {vor.mission}",
    )


def _policies(config: DAFConfig) -> list[KeyedPolicy]:
    return [("policy", config.policy), *pool_policies(config)]


VOR = Task(
    name="vor",
    run=daf_compare_with_vor,
    policies=_policies,
    problems=pool_problems,
    gives=frozenset({"data", "records"}),
)
