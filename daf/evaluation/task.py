"""`task=evaluate`: many policies on many missions, every policy on the same seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np

from daf.config.missions import mission_specs
from daf.config.schemas import DAFConfig
from daf.config.sections import OF_TRIALS
from daf.episodes.outcomes import EpisodeFailure
from daf.episodes.plans import plan_episodes, unique_names, warn_about_untrained
from daf.episodes.played import log_episodes, play_with_progress, tell_failures, tell_timeouts
from daf.errors import DAFError
from daf.records import EpisodeRecord, MissionSpec, PolicySpec
from daf.results import ResultTable, TaskResult
from daf.tasks import Task, played_policies
from daf.tracking.tracker import Tracker, metric_name

LEVEL = 0.95


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
    plans = [plan for policy in policies for mission in missions for plan in plan_episodes(config, mission, policy)]
    warn_about_untrained(policies, tracker)
    outcomes = play_with_progress(config, plans)
    result = _collect(outcomes, policies, missions, tracker)
    _log(result, tracker)
    if result.objective is None:
        traceback = next(failure.traceback for failure in result.failures if failure.plan.policies == (policies[0],))
        raise DAFError(f"no episode could be played by {policies[0].name}. The first failed with:\n{traceback}")
    if evaluation.replays:
        from daf.evaluation.recording import daf_record_replays

        recorded = daf_record_replays(config, result.records, policies, missions, tracker)
        viewers = dict.fromkeys(f"Replays: {episode.viewer}" for episode in recorded)
        result = replace(result, notes=(*result.notes, *viewers))
    return result


def _collect(
    outcomes: Sequence[EpisodeRecord | EpisodeFailure],
    policies: Sequence[PolicySpec],
    missions: Sequence[MissionSpec],
    tracker: Tracker,
) -> EvaluationResult:
    records = tuple(outcome for outcome in outcomes if isinstance(outcome, EpisodeRecord))
    failures = tuple(outcome for outcome in outcomes if isinstance(outcome, EpisodeFailure))
    names = tuple(policy.name for policy in policies)
    mission_names = tuple(mission.name for mission in missions)
    own = [record.reward() for record in records if record.policies == names[:1]]
    return EvaluationResult(
        objective=fmean(own) if own else None,
        tables=(summary_table(records, names, mission_names),),
        notes=(*tell_failures(failures, "evaluation"), *tell_timeouts(records)),
        records=records,
        failures=failures,
        policies=names,
        missions=mission_names,
        records_path=tracker.output_dir / "evaluation" / "episodes.jsonl",
    )


def summary_table(records: Sequence[EpisodeRecord], policies: Sequence[str], missions: Sequence[str]) -> ResultTable:
    """Mean reward per agent with its interval over episodes, for every policy and mission."""
    rows = []
    many = len(missions) > 1
    for mission in missions:
        for policy in policies:
            own = [r for r in records if r.policies == (policy,) and r.mission_name == mission]
            if own:
                rows.append((policy, *([mission] if many else []), *_summary_cells(own)))
    columns = ("episodes", "mean reward", f"{LEVEL:.0%} interval", "sd")
    title = "Evaluation" if many else f"Evaluation on {missions[0]}"
    return ResultTable(title, ("policy", *(["mission"] if many else []), *columns), tuple(rows))


def _summary_cells(records: Sequence[EpisodeRecord]) -> tuple[str, ...]:
    from daf.statistics import mean_with_interval

    rewards = np.array([record.reward() for record in records])
    interval = mean_with_interval(rewards, level=LEVEL, rng=np.random.default_rng(0)).interval
    spread = f"{rewards.std(ddof=1):.4f}" if len(rewards) > 1 else "-"
    return (
        str(len(records)),
        f"{rewards.mean():.4f}",
        f"{interval.low:.4f} to {interval.high:.4f}" if interval else "-",
        spread,
    )


def _log(result: EvaluationResult, tracker: Tracker) -> None:
    log_episodes(tracker, "evaluation", result.records, result.failures)
    tracker.log_text(_records_csv(result.records), "evaluation/episodes.csv")
    metrics: dict[str, float] = {}
    for mission in result.missions:
        for policy in result.policies:
            rewards = list(result.rewards(policy, mission).values())
            if rewards:
                metrics[metric_name("evaluation/reward", policy, mission)] = fmean(rewards)
    tracker.log_metrics(metrics)


def _records_csv(records: Sequence[EpisodeRecord]) -> str:
    """One row an episode: what was played, the reward, and every game and mean agent stat."""
    import pandas as pd

    rows = [
        {
            "policy": " + ".join(record.policies),
            "mission": record.mission,
            "seed": record.seed,
            "reward": record.reward(),
            "steps": record.steps,
            "timeouts": sum(record.action_timeouts),
            "wall_time_s": record.wall_time_s,
            "backend": record.backend,
            **{f"game/{name}": value for name, value in record.stats["game"].items()},
            **{f"agent/{name}": value for name, value in record.agent_stats().items()},
        }
        for record in records
    ]
    return pd.DataFrame(rows).to_csv(index=False)


EVALUATE = Task(
    name="evaluate", run=daf_evaluate, policies=played_policies, decided_by=OF_TRIALS, scored_by_sweeps=True
)
