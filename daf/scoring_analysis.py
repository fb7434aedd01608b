"""Scores of policies in mixed teams, and `task=vor`: value over replacement as `cogames.pickup` computes it."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daf.bridge import scoring
from daf.bridge.scoring import ScoredMatch
from daf.config.schemas import DAFConfig
from daf.environment_checks import mission_specs
from daf.errors import DAFError
from daf.evaluation import log_episodes, metric_name, tell_timeouts, unique_names, warn_about_untrained
from daf.matches import Planner, planner, play_matches, reliability
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec
from daf.results import ResultTable, TaskResult, level_text
from daf.tracking import Tracker
from daf.visualization import daf_plot_policy_comparison

if TYPE_CHECKING:
    from daf.statistics import Estimate


@dataclass(frozen=True, kw_only=True)
class VorCount:
    """One number of agents of the candidate.

    Attributes:
        candidate_agents: how many agents were the candidate's; the rest were the pool's.
        score: mean reward of the candidate's agents.
        vor: `score` less the mean reward of a team without the candidate.
    """

    candidate_agents: int
    score: "Estimate"
    vor: "Estimate"


@dataclass(frozen=True, kw_only=True)
class Vor:
    """Value over replacement on one mission. Rewards are means per agent; intervals are over seeds, paired.

    Attributes:
        mission: as the user named it.
        seeds: the seeds that every number of agents finished; nothing else is counted.
        replacement: mean reward of a team without the candidate.
        counts: one entry for each number of agents, most first.
        overall: the mean over all agents of the candidate in all scenarios.
    """

    mission: str
    seeds: tuple[int, ...]
    replacement: "Estimate"
    counts: tuple[VorCount, ...]
    overall: "Estimate"


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


def daf_allocate_agents(total: int, weights: Sequence[float]) -> list[int]:
    """Shares agents out among policies in proportion to `weights`, as CoGames does: by largest remainder.

    Ties go to the policy that stands first. No agents are shared out as zeros.

    Raises:
        ValueError: a negative total, no weights, or weights without a positive sum.
    """
    return scoring.allocate_counts(total, weights)


def daf_validate_proportions(proportions: Sequence[float] | None, num_policies: int) -> None:
    """Raises ValueError unless there is one proportion for each policy and their sum is positive; None passes."""
    scoring.validate_proportions(proportions, num_policies)


def scored_match(record: EpisodeRecord) -> ScoredMatch:
    """An episode as a season's match: every policy's mean reward per agent, and its number of agents.

    Two policies of one name count as one.
    """
    seats: dict[str, list[float]] = {}
    for assigned, reward in zip(record.assignments, record.rewards, strict=True):
        seats.setdefault(record.policies[assigned], []).append(reward)
    return ScoredMatch(
        policy_scores={name: fmean(rewards) for name, rewards in seats.items()},
        policy_agent_counts={name: len(rewards) for name, rewards in seats.items()},
    )


def daf_compute_weighted_score(records: Sequence[EpisodeRecord]) -> dict[str, float]:
    """A season's score of every policy that had an agent in one of the episodes.

    It is the mean of the policy's match scores (mean reward of its agents), weighted by its share of the agents
    (`metta_alo.scoring.compute_weighted_scores`).
    """
    matches = [scored_match(record) for record in records]
    names = list(dict.fromkeys(name for match in matches for name in match.policy_scores))
    return scoring.weighted_scores(names, matches)


def daf_compute_vor(
    records: Sequence[EpisodeRecord], *, level: float = 0.95, rng: np.random.Generator | None = None
) -> Vor:
    """Value over replacement of policy 0, from episodes of one mission.

    Episodes belong together by the number of agents that policy 0 controls: VOR(c) is its agents' mean reward among c
    of them, less the mean reward of teams without it; the overall value weighs each c by c. The point values are
    `metta_alo.scoring`'s. The unit of the intervals is the seed: VOR is a mean of differences on equal seeds.

    Args:
        records: for each number of agents and each seed one episode; seeds that a number lacks are left out.
        level: confidence level of the intervals, which need 5 seeds.
        rng: for the bootstrap in the intervals; seeded with 0 by default.

    Raises:
        ValueError: no seed was finished with and without the candidate.
    """
    rng = rng or np.random.default_rng(0)
    by_count = _by_count(records)
    seeds = sorted(set.intersection(*({r.seed for r in own} for own in by_count.values()))) if by_count else []
    scenarios = {count: [record for record in own if record.seed in seeds] for count, own in by_count.items()}
    scores = scoring.vor_scores(scenarios)
    samples = vor_samples(scenarios)
    replacement = np.array([fmean(record.rewards) for record in scenarios[0]])
    estimate = _Estimator(level, rng)
    return Vor(
        mission=records[0].mission_name,
        seeds=tuple(seeds),
        replacement=estimate(replacement, scores.replacement_mean),
        counts=tuple(
            VorCount(
                candidate_agents=count,
                score=estimate(samples[count] + replacement, scores.candidate_means[count]),
                vor=estimate(samples[count], scores.values[count]),
            )
            for count in sorted(samples, reverse=True)
        ),
        overall=estimate(overall_samples(samples), scores.overall),
    )


def vor_samples(scenarios: Mapping[int, Sequence[EpisodeRecord]]) -> dict[int, NDArray[np.float64]]:
    """For each number of agents of policy 0 the value over replacement on every seed; seeds in a common order."""
    replacement = np.array([fmean(record.rewards) for record in scenarios[0]])
    return {
        count: np.array([record.reward(0) for record in records]) - replacement
        for count, records in scenarios.items()
        if count
    }


def overall_samples(samples: Mapping[int, NDArray[np.float64]]) -> NDArray[np.float64]:
    """The overall value over replacement on every seed: each number of agents weighs by itself."""
    return np.average(list(samples.values()), axis=0, weights=list(samples))


def _candidate_agents(record: EpisodeRecord) -> int:
    return record.assignments.count(0)


@dataclass(frozen=True)
class _Estimator:
    """Puts intervals over seeds around values that are means of samples."""

    level: float
    rng: np.random.Generator

    def __call__(self, sample: NDArray[np.float64], value: float) -> "Estimate":
        from daf.statistics import mean_with_interval

        return replace(mean_with_interval(sample, level=self.level, rng=self.rng), value=value)


def vor_plans(
    mission: MissionSpec,
    policies: tuple[PolicySpec, ...],
    *,
    episodes: int,
    seed: int,
    fixed_map: bool,
    make_plan: Planner,
) -> list[EpisodePlan]:
    """The episodes of `cogames.pickup`, seats included, for the same seed.

    Args:
        policies: the candidate, then the pool.
        episodes: for each number of the candidate's agents, from all down to none.
        seed: of the first episode, of the shuffling of seats, and of the map if `fixed_map`.
    """
    from daf.bridge.missions import agent_count

    agents = agent_count(mission)
    played_on = replace(mission, map_seed=seed) if fixed_map else mission
    # One generator for all scenarios, and seats that are shuffled on from episode to episode: both as in pickup.
    rng = random.Random(seed)
    plans = []
    for count in range(agents, -1, -1):
        pool_counts = daf_allocate_agents(agents - count, [1.0] * (len(policies) - 1))
        seats = [index for index, own in enumerate([count, *pool_counts]) for _ in range(own)]
        for episode in range(episodes):
            rng.shuffle(seats)
            plans.append(make_plan(played_on, policies, seats, seed + episode))
    return plans


def pickup_plans(config: DAFConfig) -> list[EpisodePlan]:
    """All episodes of the configured policy, which is policy 0, beside `vor.pool`, on every evaluated mission."""
    policies = tuple(unique_names([policy.spec() for policy in (config.policy, *config.vor.pool)]))
    return [
        plan
        for mission in mission_specs(config)
        for plan in vor_plans(
            mission,
            policies,
            episodes=config.evaluation.episodes,
            seed=config.evaluation.seed,
            fixed_map=config.vor.fixed_map,
            make_plan=planner(config),
        )
    ]


def vor_by_seed(records: Sequence[EpisodeRecord]) -> dict[tuple[str, int], float]:
    """(mission, seed) to the overall value over replacement; every scenario must be there on every seed."""
    values = {}
    for mission in dict.fromkeys(record.mission_name for record in records):
        scenarios = _by_count([record for record in records if record.mission_name == mission])
        seeds = [record.seed for record in scenarios[0]]
        for seed, value in zip(seeds, overall_samples(vor_samples(scenarios)), strict=True):
            values[mission, seed] = float(value)
    return values


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


def _by_count(records: Sequence[EpisodeRecord]) -> dict[int, list[EpisodeRecord]]:
    scenarios: dict[int, list[EpisodeRecord]] = {}
    for record in sorted(records, key=lambda record: record.seed):
        scenarios.setdefault(_candidate_agents(record), []).append(record)
    return scenarios


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
                *estimate_cells(count.vor, sign=True),
            )
            for count in vor.counts
        ]
        baseline = ("0", mixes[vor.mission, 0], str(len(vor.seeds)), *estimate_cells(vor.replacement), "-", "-")
        tables.append(ResultTable(f"{candidate} on {vor.mission}", head, (*rows, baseline)))
    totals = [(vor.mission, *estimate_cells(vor.overall, sign=True)) for vor in missions]
    if len(missions) > 1:
        totals.append(("all missions", *estimate_cells(overall, sign=True)))
    return (*tables, ResultTable("Overall VOR", ("mission", "VOR", "interval"), tuple(totals)))


def _mix(plan: EpisodePlan) -> str:
    return "/".join(str(plan.assignments.count(index)) for index in range(1, len(plan.policies)))


def estimate_cells(estimate: "Estimate", *, sign: bool = False) -> tuple[str, str]:
    """A value and its interval as table cells; `sign` marks differences."""
    form = "+.4f" if sign else ".4f"
    interval = estimate.interval
    return (
        format(estimate.value, form),
        f"{format(interval.low, form)} to {format(interval.high, form)}" if interval else "-",
    )


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
