"""`task=tournament`: a season in small. Policies share teams, and each is scored by what its agents earn.

Every policy fills a team alone, and every two policies meet in mixed teams, on the same seeds and maps.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from daf.comparison.checkpoints import weights_notes
from daf.comparison.tournament.matches import check_teams, pair_plans, solo_plans
from daf.comparison.tournament.season_table import disqualification_notes, season_notes, season_table
from daf.comparison.tournament.standings import Season, Standing, rank_policies
from daf.comparison.winners import packing_command, standing_facts
from daf.config.missions import mission_specs
from daf.config.schemas import DAFConfig
from daf.episodes.kept import RECORDS
from daf.episodes.plans import planner, unique_names, warn_about_untrained
from daf.episodes.played import Played, log_episodes, play_matches, timeout_notes
from daf.errors import DAFError, Problem
from daf.records import EpisodeRecord, MissionSpec, PolicySpec
from daf.results import TaskResult
from daf.tasks import KeyedPolicy, Task, keyed
from daf.tracking.tracker import Tracker, metric_name
from daf.visualization import daf_plot_policy_comparison
from daf.visualization.drawing import draw_files
from daf.visualization.replays.recording import daf_record_replays

if TYPE_CHECKING:
    from daf.statistics import Comparison


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


@dataclass(frozen=True, kw_only=True)
class _PlayedSeason:
    """The matches of a tournament.

    Attributes:
        solo: every policy with a team of its own.
        mixed: every two entrants in mixed teams.
        entrants: the policies that finished all of their solo matches.
        disqualified: the other policies, with the reason.
    """

    solo: Played
    mixed: Played
    entrants: tuple[str, ...]
    disqualified: dict[str, str]

    @property
    def records(self) -> tuple[EpisodeRecord, ...]:
        return (*self.solo.records, *self.mixed.records)

    @property
    def cached(self) -> int:
        return self.solo.cached + self.mixed.cached

    @property
    def counted(self) -> list[EpisodeRecord]:
        """The entrants' matches on the seeds on which every mixed match was finished."""
        seeds = set(self.mixed.seeds)
        return [record for record in self.records if record.seed in seeds and record.policies[0] in self.entrants]


def daf_run_tournament(config: DAFConfig, tracker: Tracker) -> TournamentResult:
    """Plays the tournament of `tournament.policies` and ranks them.

    A seed counts when all of its matches were finished. The unit of intervals and tests is the seed.

    Raises:
        DAFConfigError: a mission with a single agent, which no two policies can share.
        DAFError: fewer than two policies can finish a match on their own, or no seed was finished.
    """
    missions = mission_specs(config)
    check_teams(missions)
    played = _play(missions, config, tracker)
    log_episodes(tracker, "tournament", played.records, (*played.solo.failures, *played.mixed.failures))
    if not played.mixed.seeds:
        raise DAFError("no seed was finished with all of its matches; tournament/failures.txt tells why")
    counted, names = played.counted, [mission.name for mission in missions]
    season = rank_policies(counted, played.entrants, names, level=config.tournament.level)
    _log(season, played, names, tracker)
    draw_files(tracker, "plots", {"tournament.png": partial(plot_season, season)})
    folder = tracker.output_dir / "tournament"
    return TournamentResult(
        objective=None,
        tables=(season_table(season),),
        notes=(
            *_match_notes(played, config),
            *weights_notes(_entrants(config)),
            *season_notes(season),
            *_replay_notes(played, missions, config, tracker),
        ),
        facts=_facts(season),
        files={"leaderboard": folder / "leaderboard.json", "records": folder / RECORDS},
        next=_next(config, season.standings[0].policy),
        standings=season.standings,
        comparison=season.comparison,
        records=tuple(counted),
        disqualified=tuple(played.disqualified),
        cached=played.cached,
    )


def _facts(season: Season) -> dict[str, str]:
    """Who won, in words for programs."""
    means = {standing.policy: standing.score.value for standing in season.standings}
    return standing_facts(means, [pair for pair in season.comparison.pairs if pair.mission is None], "maximize")


def _next(config: DAFConfig, best: str) -> str | None:
    """How the first of the ranking is packed."""
    names = [spec.name for spec in _entrants(config)]
    return packing_command(config, config.tournament.policies[names.index(best)])


def _replay_notes(
    played: _PlayedSeason, missions: Sequence[MissionSpec], config: DAFConfig, tracker: Tracker
) -> list[str]:
    """Where replays of every policy with a team of its own can be seen, if any were asked for."""
    if not config.evaluation.replays:
        return []
    policies = [policy for policy in _entrants(config) if policy.name in played.entrants]
    recorded = daf_record_replays(config, played.solo.records, policies, missions, tracker)
    return list(dict.fromkeys(f"Replays: {episode.viewer}" for episode in recorded))


def _play(missions: Sequence[MissionSpec], config: DAFConfig, tracker: Tracker) -> _PlayedSeason:
    """Plays all matches. DAFError if fewer than two policies can finish one on their own."""
    policies = _entrants(config)
    warn_about_untrained(policies, tracker)
    seeds = range(config.evaluation.seed, config.evaluation.seed + config.tournament.seeds)
    make_plan = planner(config)
    solo = play_matches(config, solo_plans(missions, policies, seeds, make_plan), "tournament")
    failed = {failure.plan.policies[0].name: failure.reason for failure in solo.failures}
    entrants = [policy for policy in policies if policy.name not in failed]
    if len(entrants) < 2:
        raise DAFError(f"fewer than two policies can finish a match. {'; '.join(disqualification_notes(failed))}")
    mixed = play_matches(config, pair_plans(missions, entrants, seeds, make_plan), "tournament")
    names = tuple(policy.name for policy in entrants)
    return _PlayedSeason(solo=solo, mixed=mixed, entrants=names, disqualified=failed)


def _entrants(config: DAFConfig) -> list[PolicySpec]:
    return unique_names([policy.spec() for policy in config.tournament.policies])


def _match_notes(played: _PlayedSeason, config: DAFConfig) -> list[str]:
    lost = config.tournament.seeds - len(played.mixed.seeds)
    return [
        f"{len(played.records)} matches, {played.cached} of them played before. Ranked by the season's score; rating:"
        " OpenSkill, mean ± standard deviation.",
        *disqualification_notes(played.disqualified),
        *played.mixed.notes("tournament"),
        *timeout_notes(played.records),
        *([f"{lost} seeds were left out, since a match on them failed."] if lost else []),
    ]


def _log(season: Season, played: _PlayedSeason, missions: Sequence[str], tracker: Tracker) -> None:
    metrics: dict[str, float] = {"tournament/matches": len(played.counted), "tournament/cached": played.cached}
    for standing in season.standings:
        metrics |= {metric_name("tournament", name, standing.policy): value for name, value in _values(standing)}
    tracker.log_metrics(metrics)
    data = {
        "missions": list(missions),
        "seeds": played.mixed.seeds,
        "standings": [asdict(standing) for standing in season.standings],
        "disqualified": list(played.disqualified),
    }
    tracker.log_text(json.dumps(data, indent=1) + "\n", "tournament/leaderboard.json")


def _values(standing: Standing) -> list[tuple[str, float]]:
    return [
        ("score", standing.score.value),
        ("vor", standing.vor.value),
        ("rank", standing.rank),
        ("rating", standing.rating),
        ("rating_sd", standing.rating_sd),
    ]


def plot_season(season: Season, path: Path) -> Path:
    """Draws the scores of all policies."""
    scores = {standing.policy: standing.score for standing in season.standings}
    return daf_plot_policy_comparison(
        {name: sample.tolist() for name, sample in season.samples.items()},
        path,
        intervals={name: (s.interval.low, s.interval.high) for name, s in scores.items() if s.interval},
        level=season.comparison.level,
        metric="season score, reward per agent",
        units="seeds",
        title="Tournament",
    )


def _policies(config: DAFConfig) -> list[KeyedPolicy]:
    return keyed("tournament.policies", config.tournament.policies)


def _problems(config: DAFConfig) -> list[Problem]:
    if len(config.tournament.policies) > 1:
        return []
    hint = "For example: tournament.policies=[starter,random,noop]."
    return [Problem("tournament.policies", "holds fewer than two policies.", hint)]


TOURNAMENT = Task(
    name="tournament",
    run=daf_run_tournament,
    policies=_policies,
    problems=_problems,
    gives=frozenset({"leaderboard", "records"}),
)
