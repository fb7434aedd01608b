"""`task=evaluate`: many policies on many missions, every policy on the same seeds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from daf.config.commands import OF_COMPARISON, command_for
from daf.config.missions import mission_specs
from daf.config.schemas import DAFConfig, DAFPolicyConfig
from daf.config.sections import OF_TRIALS
from daf.episodes.kept import RECORDS
from daf.episodes.outcomes import EpisodeFailure
from daf.episodes.plans import plan_episodes, unique_names, warn_about_untrained
from daf.episodes.played import (
    EVALUATED_TAG,
    EVALUATION,
    MOST_TAGGED,
    evaluated,
    failure_notes,
    log_episodes,
    play_with_progress,
    timeout_notes,
)
from daf.errors import DAFError
from daf.records import EpisodeRecord, MissionSpec, PolicySpec
from daf.results import ResultTable, TaskResult
from daf.tasks import Task, played_policies
from daf.tracking.tracker import Tracker, metric_name
from daf.visualization.evaluation_tables import episodes_csv, evaluation_table
from daf.visualization.replays.recording import daf_record_replays

if TYPE_CHECKING:
    from daf.statistics import Estimate

#: One line an episode, for spreadsheets.
EPISODES = "episodes.csv"


@dataclass(frozen=True, kw_only=True)
class EvaluationResult(TaskResult):
    """Played episodes.

    Attributes:
        records: one for each finished episode, in the order policy, mission, seed.
        failures: episodes that could not be played.
        policies: display names, the policy under test first.
        missions: mission names as the user gave them.
        records_path: the records as JSON lines.
    """

    records: tuple[EpisodeRecord, ...]
    failures: tuple[EpisodeFailure, ...]
    policies: tuple[str, ...]
    missions: tuple[str, ...]
    records_path: Path

    def rewards(self, policy: str, mission: str) -> dict[int, float]:
        """Mean reward per agent of every finished episode, by seed."""
        return {
            record.seed: record.reward()
            for record in self.records
            if record.policies == (policy,) and record.mission_name == mission
        }


@dataclass(frozen=True, kw_only=True)
class RewardSummary:
    """A policy's rewards on a mission.

    Attributes:
        episodes: how many were finished; at least one.
        mean: mean reward per agent and episode, with its interval over episodes.
        std: standard deviation over episodes; None for a single one.
    """

    policy: str
    mission: str
    episodes: int
    mean: "Estimate"
    std: float | None


@dataclass(frozen=True)
class _Played:
    """The finished and the failed episodes of all policies on all missions."""

    records: tuple[EpisodeRecord, ...]
    failures: tuple[EpisodeFailure, ...]
    policies: tuple[str, ...]
    missions: tuple[str, ...]

    def rewards(self, policy: str, mission: str) -> list[float]:
        return [r.reward() for r in self.records if r.policies == (policy,) and r.mission_name == mission]

    def cells(self) -> Iterator[tuple[str, str, list[float]]]:
        """Policy, mission and rewards, where there are any; mission by mission."""
        for mission in self.missions:
            for policy in self.policies:
                if rewards := self.rewards(policy, mission):
                    yield policy, mission, rewards


def daf_evaluate(config: DAFConfig, tracker: Tracker) -> EvaluationResult:
    """Plays `evaluation.episodes` episodes of every policy on every mission and logs records, summary and table.

    Each policy plays alone, so that its reward is its own; all play the same seeds and therefore the same maps.

    Raises:
        DAFError: not one episode of the first policy, the one under test, could be played.
    """
    evaluation = config.evaluation
    asked = evaluation.policies or (config.policy,)
    policies = unique_names([policy.spec() for policy in (*asked, *evaluation.baselines)])
    missions = mission_specs(config)
    warn_about_untrained(policies, tracker)
    played = _play(config, policies, missions)
    records_path = _log(played, tracker)
    objective = _objective(played)
    replays = _record_replays(config, played.records, policies, missions, tracker)
    shown = [policy for _, policy in played_policies(config)]
    return EvaluationResult(
        objective=objective,
        tables=(_table(played, config.level),),
        notes=(*failure_notes(played.failures, "evaluation"), *timeout_notes(played.records), *replays),
        failed=len(played.failures),
        facts={"policy": played.policies[0]},
        files={"records": records_path, "episodes": tracker.output_dir / EVALUATION / EPISODES},
        next=command_for(_comparing(config, shown), "compare", OF_COMPARISON) if len(shown) > 1 else None,
        records=played.records,
        failures=played.failures,
        policies=played.policies,
        missions=played.missions,
        records_path=records_path,
    )


def table_of_records(
    records: Sequence[EpisodeRecord], policies: Sequence[str], missions: Sequence[str], level: float
) -> ResultTable:
    """The table of an evaluation, from what was played; policies and missions by the names that records have."""
    played = _Played(tuple(records), (), tuple(policies), tuple(missions))
    return _table(played, level)


def _table(played: _Played, level: float) -> ResultTable:
    return evaluation_table(_summaries(played, level), played.missions, level)


def _play(config: DAFConfig, policies: Sequence[PolicySpec], missions: Sequence[MissionSpec]) -> _Played:
    plans = [plan for policy in policies for mission in missions for plan in plan_episodes(config, mission, policy)]
    played = play_with_progress(config, plans, "evaluation")
    return _Played(
        records=played.records,
        failures=played.failures,
        policies=tuple(policy.name for policy in policies),
        missions=tuple(mission.name for mission in missions),
    )


def _objective(played: _Played) -> float:
    """Mean reward of the first policy over all its episodes."""
    tested = played.policies[:1]
    if rewards := [record.reward() for record in played.records if record.policies == tested]:
        return fmean(rewards)
    traceback = next(failure.traceback for failure in played.failures if failure.plan.policies[0].name == tested[0])
    raise DAFError(f"no episode could be played by {tested[0]}. The first failed with:\n{traceback}")


def _summaries(played: _Played, level: float) -> list[RewardSummary]:
    """The rewards of every policy on every mission of which an episode was finished."""
    from daf.statistics import mean_with_interval

    return [
        RewardSummary(
            policy=policy,
            mission=mission,
            episodes=len(rewards),
            mean=mean_with_interval(rewards, level=level),
            std=float(np.std(rewards, ddof=1)) if len(rewards) > 1 else None,
        )
        for policy, mission, rewards in played.cells()
    ]


def _record_replays(
    config: DAFConfig,
    records: Sequence[EpisodeRecord],
    policies: Sequence[PolicySpec],
    missions: Sequence[MissionSpec],
    tracker: Tracker,
) -> list[str]:
    """Where the replays can be seen, if any were asked for."""
    if not config.evaluation.replays:
        return []
    recorded = daf_record_replays(config, records, policies, missions, tracker)
    return list(dict.fromkeys(f"Replays: {episode.viewer}" for episode in recorded))


def _comparing(config: DAFConfig, policies: Sequence[DAFPolicyConfig]) -> DAFConfig:
    """The config that compares these policies on the episodes that were played."""
    comparison = config.comparison.model_copy(update={"policies": tuple(policies)})
    evaluation = config.evaluation.model_copy(update={"policies": (), "baselines": ()})
    return config.model_copy(update={"comparison": comparison, "evaluation": evaluation})


def _log(played: _Played, tracker: Tracker) -> Path:
    """Keeps records, failures and means with the run; returns where the records are."""
    log_episodes(tracker, EVALUATION, played.records, played.failures)
    tracker.log_text(episodes_csv(played.records), f"{EVALUATION}/{EPISODES}")
    digests = dict.fromkeys(digest for record in played.records for digest in record.policy_digests)
    tracker.set_tags({EVALUATED_TAG: " ".join(map(evaluated, list(digests)[:MOST_TAGGED]))})
    tracker.log_metrics(
        {
            metric_name("evaluation/reward", policy, mission): fmean(rewards)
            for policy, mission, rewards in played.cells()
        }
    )
    return tracker.output_dir / EVALUATION / RECORDS


EVALUATE = Task(
    name="evaluate",
    run=daf_evaluate,
    policies=played_policies,
    decided_by=OF_TRIALS,
    scored_by_sweeps=True,
    gives=frozenset({"records", "episodes"}),
)
