"""`task=tournament`: a season in small. Policies share teams, and each is scored by what its agents earn.

Every policy fills a team alone, and every two policies meet in mixed teams, on the same seeds and maps. A match depends
on nothing but its two policies, its mission and its seed: a policy that joins later adds matches and changes none, so
that with the episode cache only what is missing is played.
"""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daf.bridge.scoring import vor_scores
from daf.config.missions import mission_specs
from daf.config.schemas import DAFConfig
from daf.episodes.plans import Planner, planner, unique_names, warn_about_untrained
from daf.episodes.played import Played, log_episodes, play_matches, reliability, tell_timeouts
from daf.errors import DAFConfigError, DAFError, Problem
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec, digest
from daf.results import ResultTable, TaskResult
from daf.scoring_analysis import daf_compute_weighted_score
from daf.tasks import KeyedPolicy, Task, keyed
from daf.tracking.tracker import Tracker, metric_name
from daf.visualization import daf_plot_policy_comparison
from daf.visualization.text import estimate_cells

if TYPE_CHECKING:
    from daf.statistics import Comparison, Estimate, PairResult

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One policy's place. Rewards are means per agent; intervals are over seeds, missions weighing equally.

    Attributes:
        rank: 1 is best by score; equal scores share a rank.
        score: the season's score (`daf_compute_weighted_score`) over all of its matches.
        vor: value over replacement with each other policy as the pool, averaged over these.
        rating: mean of its skill in OpenSkill's Plackett-Luce model; everyone starts at 25.
        rating_sd: standard deviation of that skill.
        matches: number of finished matches.
    """

    policy: str
    rank: int
    score: "Estimate"
    vor: "Estimate"
    rating: float
    rating_sd: float
    matches: int


@dataclass(frozen=True, kw_only=True)
class TournamentResult(TaskResult):
    """A finished tournament.

    Attributes:
        standings: best first.
        comparison: all pairs of policies by their scores, paired by seed.
        records: every finished match.
        disqualified: policies that could not finish a match on their own.
        cached: how many matches had been played before.
    """

    standings: tuple[Standing, ...]
    comparison: "Comparison"
    records: tuple[EpisodeRecord, ...]
    disqualified: tuple[str, ...]
    cached: int


def solo_plans(
    missions: Sequence[MissionSpec], policies: Sequence[PolicySpec], seeds: Sequence[int], make_plan: Planner
) -> list[EpisodePlan]:
    """Every policy with a team of its own, on every mission and seed."""
    from daf.bridge.missions import agent_count

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
    from daf.bridge.missions import agent_count
    from daf.bridge.policies import policy_digest

    digests = {policy.name: policy_digest(policy) for policy in policies}
    ordered = sorted(policies, key=lambda policy: (digests[policy.name], policy.name))
    plans = []
    for mission in missions:
        agents = agent_count(mission)
        for pair in combinations(ordered, 2):
            key = digest([mission.name, *(digests[policy.name] for policy in pair)])
            for seed in seeds:
                own = 1 + (seed + int(key, 16)) % (agents - 1)
                seats = [0] * own + [1] * (agents - own)
                random.Random(f"{key} {seed}").shuffle(seats)
                plans += [make_plan(mission, pair, taken, seed) for taken in (seats, [1 - seat for seat in seats])]
    return plans


def daf_run_tournament(config: DAFConfig, tracker: Tracker) -> TournamentResult:
    """Plays the tournament of `tournament.policies` and ranks them.

    A seed counts when all of its matches were finished. The unit of intervals and tests is the seed.

    Raises:
        DAFConfigError: a mission with a single agent, which no two policies can share.
        DAFError: fewer than two policies can finish a match on their own, or no seed was finished.
    """
    missions, policies = mission_specs(config), unique_names([p.spec() for p in config.tournament.policies])
    _check_teams(missions)
    warn_about_untrained(policies, tracker)
    seeds = range(config.evaluation.seed, config.evaluation.seed + config.tournament.seeds)
    make_plan = planner(config)
    solo = play_matches(config, solo_plans(missions, policies, seeds, make_plan))
    failed = {failure.plan.policies[0].name: failure.reason for failure in solo.failures}
    entrants = [policy for policy in policies if policy.name not in failed]
    if len(entrants) < 2:
        raise DAFError(f"fewer than two policies can finish a match. {'; '.join(_disqualifications(failed))}")
    mixed = play_matches(config, pair_plans(missions, entrants, seeds, make_plan))
    log_episodes(tracker, "tournament", (*solo.records, *mixed.records), (*solo.failures, *mixed.failures))
    finished = mixed.seeds
    if not finished:
        raise DAFError("no seed was finished with all of its matches; tournament/failures.txt tells why")
    names = [policy.name for policy in entrants]
    counted = [
        record for record in (*solo.records, *mixed.records) if record.seed in finished and record.policies[0] in names
    ]
    result = _result(counted, names, missions, config.tournament.level)
    result = replace(
        result,
        notes=(*_notes(solo, mixed, failed, config), *result.notes),
        disqualified=tuple(failed),
        cached=solo.cached + mixed.cached,
    )
    _log(result, missions, finished, tracker)
    return result


def _check_teams(missions: Sequence[MissionSpec]) -> None:
    from daf.bridge.missions import agent_count

    alone = [mission.name for mission in missions if agent_count(mission) < 2]
    if alone:
        what = f"{', '.join(alone)} has 1 agent, which no two policies can share."
        raise DAFConfigError([Problem("mission.cogs", what, "Use mission.cogs=2 or more.")])


def _disqualifications(failed: dict[str, str]) -> list[str]:
    return [f"{name} is disqualified, since it cannot finish a match on its own: {why}" for name, why in failed.items()]


def _notes(solo: Played, mixed: Played, failed: dict[str, str], config: DAFConfig) -> list[str]:
    total = len(solo.records) + len(mixed.records)
    lost = config.tournament.seeds - len(mixed.seeds)
    return [
        f"{total} matches, {solo.cached + mixed.cached} of them played before. Ranked by the season's score; rating:"
        " OpenSkill, mean ± standard deviation.",
        *_disqualifications(failed),
        *mixed.notes("tournament"),
        *tell_timeouts((*solo.records, *mixed.records)),
        *([f"{lost} seeds were left out, since a match on them failed."] if lost else []),
    ]


def _result(
    records: Sequence[EpisodeRecord], names: Sequence[str], missions: Sequence[MissionSpec], level: float
) -> TournamentResult:
    from daf.statistics import compare, mean_with_interval
    from daf.statistics.comparison import NORMAL_THEORY

    rng = np.random.default_rng(0)
    cells = _cells(records, missions)
    scores = season_scores(cells, names)
    comparison = compare(scores, names, [mission.name for mission in missions], level=level, rng=rng)
    ratings = rate(scores)
    means = [comparison.summary(name).mean for name in names]
    standings = [
        Standing(
            policy=name,
            rank=1 + sum(other.value > means[index].value + 1e-12 * abs(other.value) for other in means),
            score=means[index],
            vor=mean_with_interval(pairwise_vor(cells, name, names), level=level, rng=rng),
            rating=ratings[index][0],
            rating_sd=ratings[index][1],
            matches=sum(name in record.policies for record in records),
        )
        for index, name in enumerate(names)
    ]
    standings.sort(key=lambda standing: standing.rank)
    return TournamentResult(
        objective=None,
        tables=(leaderboard(standings, comparison),),
        notes=(*reliability(scores.shape[2]), *([NORMAL_THEORY] if NORMAL_THEORY in comparison.warnings else [])),
        standings=tuple(standings),
        comparison=comparison,
        records=tuple(records),
        disqualified=(),
        cached=0,
    )


Cells = list[list[list[EpisodeRecord]]]


def _cells(records: Iterable[EpisodeRecord], missions: Sequence[MissionSpec]) -> Cells:
    """The matches of each mission and, within it, each seed, in order."""
    by_cell: dict[tuple[str, int], list[EpisodeRecord]] = {}
    for record in records:
        by_cell.setdefault((record.mission_name, record.seed), []).append(record)
    seeds = sorted({seed for _, seed in by_cell})
    return [[by_cell[mission.name, seed] for seed in seeds] for mission in missions]


def season_scores(cells: Cells, names: Sequence[str]) -> Array:
    """The season's score of every policy on every mission and seed, (P, M, E).

    On each of them a policy has as many agents as any other, so that the mean of these scores is the score over all.
    """
    scored = [[daf_compute_weighted_score(matches) for matches in mission] for mission in cells]
    return np.array([[[scores[name] for scores in mission] for mission in scored] for name in names])


def pairwise_vor(cells: Cells, candidate: str, names: Sequence[str]) -> Array:
    """Overall value over replacement of a policy on every mission and seed, (M, E), averaged over the others.

    Against each of them: its agents in the mixed teams and in its own, less the other's own team.
    """
    others = [name for name in names if name != candidate]
    return np.array(
        [
            [fmean(_vor_against(matches, candidate, other) for other in others) for matches in mission]
            for mission in cells
        ]
    )


def _vor_against(matches: Sequence[EpisodeRecord], candidate: str, other: str) -> float:
    scenarios: dict[int, list[EpisodeRecord]] = {}
    for record in matches:
        if set(record.policies) <= {candidate, other}:
            seats = tuple(int(record.policies[seat] != candidate) for seat in record.assignments)
            scenarios.setdefault(seats.count(0), []).append(replace(record, assignments=seats))
    return vor_scores(scenarios).overall


def rate(scores: Array) -> list[tuple[float, float]]:
    """Skill of every policy as (mean, standard deviation), from (P, M, E) scores.

    Each seed of each mission is one game that ranks all policies by their scores; scores that differ by rounding alone
    are ties. OpenSkill's Plackett-Luce model (Weng and Lin 2011) with tau = 0: policies do not change between games.
    """
    from openskill.models import PlackettLuce

    model = PlackettLuce(tau=0.0)
    ratings = [model.rating() for _ in scores]
    for game in scores.transpose(2, 1, 0).reshape(-1, len(scores)):
        ranked = [float(f"{score:.10g}") for score in game]
        ratings = [team[0] for team in model.rate([[rating] for rating in ratings], scores=ranked)]
    return [(rating.mu, rating.sigma) for rating in ratings]


def leaderboard(standings: Sequence[Standing], comparison: "Comparison") -> ResultTable:
    """One row a policy, best first."""
    head = ("policy", "rank", "score", "interval", "VOR", "VOR interval", "rating", "matches", "against the leader")
    leader = standings[0].policy
    rows = [
        (
            standing.policy,
            str(standing.rank),
            *estimate_cells(standing.score),
            *estimate_cells(standing.vor, "+"),
            f"{standing.rating:.1f} ± {standing.rating_sd:.1f}",
            str(standing.matches),
            _verdict(_pair(comparison, leader, standing.policy)) if standing.policy != leader else "-",
        )
        for standing in standings
    ]
    return ResultTable("Tournament", head, tuple(rows))


def _pair(comparison: "Comparison", first: str, second: str) -> "PairResult":
    in_order = comparison.policies.index(first) < comparison.policies.index(second)
    return comparison.pair(first, second) if in_order else comparison.pair(second, first)


def _verdict(pair: "PairResult") -> str:
    if pair.p_value is None:
        return pair.decision
    return f"{'lower' if pair.significant else 'no significant difference'} (p {pair.p_value:.2g})"


def _log(result: TournamentResult, missions: Sequence[MissionSpec], seeds: Sequence[int], tracker: Tracker) -> None:
    metrics: dict[str, float] = {"tournament/matches": len(result.records), "tournament/cached": result.cached}
    for standing in result.standings:
        values = {"score": standing.score.value, "vor": standing.vor.value, "rank": standing.rank}
        values |= {"rating": standing.rating, "rating_sd": standing.rating_sd}
        metrics |= {metric_name("tournament", name, standing.policy): value for name, value in values.items()}
    tracker.log_metrics(metrics)
    data = {
        "missions": [mission.name for mission in missions],
        "seeds": list(seeds),
        "standings": [asdict(standing) for standing in result.standings],
        "disqualified": list(result.disqualified),
    }
    tracker.log_text(json.dumps(data, indent=1) + "\n", "tournament/leaderboard.json")
    names = [standing.policy for standing in result.standings]
    samples = season_scores(_cells(result.records, missions), names).mean(axis=1)
    plot = daf_plot_policy_comparison(
        {name: sample.tolist() for name, sample in zip(names, samples, strict=True)},
        tracker.output_dir / "plots" / "tournament.png",
        intervals={
            s.policy: (s.score.interval.low, s.score.interval.high) for s in result.standings if s.score.interval
        },
        level=result.comparison.level,
        metric="season score, reward per agent",
        units="seeds",
        title="Tournament",
    )
    tracker.log_file(plot, "plots")


def _policies(config: DAFConfig) -> list[KeyedPolicy]:
    return keyed("tournament.policies", config.tournament.policies)


def _problems(config: DAFConfig) -> list[Problem]:
    if len(config.tournament.policies) > 1:
        return []
    hint = "For example: tournament.policies=[starter,random,noop]."
    return [Problem("tournament.policies", "holds fewer than two policies.", hint)]


TOURNAMENT = Task(name="tournament", run=daf_run_tournament, policies=_policies, problems=_problems)
