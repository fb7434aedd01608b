"""`task=vor`: value over replacement of a policy in mixed teams."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from daf.config.schemas import DAFConfig
from daf.episodes.plans import warn_about_untrained
from daf.episodes.played import log_episodes, play_matches, reliability, tell_timeouts
from daf.errors import DAFError
from daf.records import EpisodePlan, EpisodeRecord
from daf.results import ResultTable, TaskResult
from daf.scoring_analysis import Vor, _by_count, _Estimator, daf_compute_vor, overall_samples, pickup_plans, vor_samples
from daf.tasks import KeyedPolicy, Task, pool_policies, pool_problems
from daf.tracking.tracker import Tracker, metric_name
from daf.visualization import daf_plot_policy_comparison
from daf.visualization.text import estimate_cells, level_text

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
    candidate, *pool = plans[0].policies
    warn_about_untrained(plans[0].policies, tracker)
    played = play_matches(config, plans)
    log_episodes(tracker, "vor", played.records, played.failures)
    seeds = played.seeds
    if not seeds:
        raise DAFError("no seed was finished with every number of agents; vor/failures.txt tells why")
    finished: dict[str, list[EpisodeRecord]] = {}
    for record in played.records:
        if record.seed in seeds:
            finished.setdefault(record.mission_name, []).append(record)
    rng = np.random.default_rng(0)
    missions = tuple(daf_compute_vor(records, level=config.vor.level, rng=rng) for records in finished.values())
    # Missions weigh equally and are resampled each on its own.
    samples = np.stack([overall_samples(vor_samples(_by_count(records))) for records in finished.values()])
    overall = _Estimator(config.vor.level, rng)(samples, fmean(vor.overall.value for vor in missions))
    result = VorResult(
        objective=overall.value,
        tables=_tables(candidate.name, missions, overall, plans),
        notes=(
            *played.notes("vor"),
            *tell_timeouts(played.records),
            *_notes(config, missions, [spec.name for spec in pool]),
        ),
        candidate=candidate.name,
        pool=tuple(spec.name for spec in pool),
        missions=missions,
        overall=overall,
        records=played.records,
    )
    _log(result, finished, config, tracker)
    return result


def _tables(
    candidate: str, missions: Sequence[Vor], overall: "Estimate", plans: Sequence[EpisodePlan]
) -> tuple[ResultTable, ...]:
    mixes = {(plan.mission.name, plan.assignments.count(0)): _mix(plan) for plan in plans}
    head = ("candidate agents", "pool mix", "seeds", "score", "interval", "VOR", "VOR interval")
    tables = []
    for vor in missions:
        rows = [
            (
                str(count.candidate_agents),
                mixes[vor.mission, count.candidate_agents],
                str(len(vor.seeds)),
                *estimate_cells(count.score),
                *estimate_cells(count.vor, "+"),
            )
            for count in vor.counts
        ]
        baseline = ("0", mixes[vor.mission, 0], str(len(vor.seeds)), *estimate_cells(vor.replacement), "-", "-")
        tables.append(ResultTable(f"{candidate} on {vor.mission}", head, (*rows, baseline)))
    totals = [(vor.mission, *estimate_cells(vor.overall, "+")) for vor in missions]
    if len(missions) > 1:
        totals.append(("all missions", *estimate_cells(overall, "+")))
    return (*tables, ResultTable("Overall VOR", ("mission", "VOR", "interval"), tuple(totals)))


def _mix(plan: EpisodePlan) -> str:
    return "/".join(str(plan.assignments.count(index)) for index in range(1, len(plan.policies)))


def _notes(config: DAFConfig, missions: Sequence[Vor], pool: Sequence[str]) -> list[str]:
    notes = [
        f"Pool order: {', '.join(pool)}. Intervals at {level_text(config.vor.level)}, over seeds.",
        *_lost(config, missions),
    ]
    notes += reliability(len(missions[0].seeds))
    if config.vor.fixed_map:
        notes.append("All episodes of a mission share one map, as in cogames.pickup; vor.fixed_map=false varies it.")
    if all(count.vor.value == 0 for vor in missions for count in vor.counts):
        notes.append(
            "Every value is 0: this reward does not tell the policies apart. A variant such as credit or"
            " objective_mine may."
        )
    return notes


def _lost(config: DAFConfig, missions: Sequence[Vor]) -> list[str]:
    lost = config.evaluation.episodes - len(missions[0].seeds)
    return [f"{lost} seeds were left out, since an episode on them failed."] if lost else []


def _log(
    result: VorResult, finished: Mapping[str, Sequence[EpisodeRecord]], config: DAFConfig, tracker: Tracker
) -> None:
    metrics = {"vor/overall": result.overall.value}
    for vor in result.missions:
        metrics[metric_name("vor", vor.mission, "overall")] = vor.overall.value
        metrics[metric_name("vor", vor.mission, "replacement")] = vor.replacement.value
        for count in vor.counts:
            metrics[metric_name("vor", vor.mission, f"{count.candidate_agents} agents")] = count.vor.value
    tracker.log_metrics(metrics)
    data = {
        "candidate": result.candidate,
        "pool": result.pool,
        "overall": asdict(result.overall),
        "missions": [asdict(vor) for vor in result.missions],
    }
    tracker.log_text(json.dumps(data, indent=1) + "\n", "vor/vor.json")
    for vor in result.missions:
        samples = vor_samples(_by_count(finished[vor.mission]))
        names = {count.candidate_agents: f"{count.candidate_agents} of {_agents(vor)}" for count in vor.counts}
        plot = daf_plot_policy_comparison(
            {names[count]: list(sample) for count, sample in samples.items()},
            tracker.output_dir / "plots" / f"vor_{metric_name(vor.mission).replace('/', '_')}.png",
            intervals={
                names[count.candidate_agents]: (count.vor.interval.low, count.vor.interval.high)
                for count in vor.counts
                if count.vor.interval
            },
            level=config.vor.level,
            metric="value over replacement, reward per agent",
            units="seeds",
            title=f"{result.candidate}, agents of the team, on {vor.mission}",
        )
        tracker.log_file(plot, "plots")


def _agents(vor: Vor) -> int:
    return max(count.candidate_agents for count in vor.counts)


def _policies(config: DAFConfig) -> list[KeyedPolicy]:
    return [("policy", config.policy), *pool_policies(config)]


VOR = Task(name="vor", run=daf_compare_with_vor, policies=_policies, problems=pool_problems)
