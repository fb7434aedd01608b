"""`task=evaluate`: many policies on many missions, every policy on the same seeds."""

import itertools
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np

from daf.config.schemas import DAFConfig
from daf.environment_checks import mission_specs
from daf.episodes import EpisodeFailure, OnEpisode, daf_play_episodes
from daf.errors import DAFError
from daf.progress import progress
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec
from daf.results import ResultTable, TaskResult
from daf.tracking import Tracker, legal_key

LEVEL = 0.95
# Workers take about five seconds to import what they need; one process plays this much in ten to twenty.
AGENT_STEPS_WORTH_A_POOL = 100_000


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
        from daf.replays import daf_record_replays

        recorded = daf_record_replays(config, result.records, policies, missions, tracker)
        viewers = dict.fromkeys(f"Replays: {episode.viewer}" for episode in recorded)
        result = replace(result, notes=(*result.notes, *viewers))
    return result


def unique_names(policies: Sequence[PolicySpec]) -> list[PolicySpec]:
    """The policies, with a number behind every display name that stood earlier in the list."""
    taken: set[str] = set()
    named = []
    for policy in policies:
        numbered = (f"{policy.name} ({count})" for count in itertools.count(2))
        name = next(name for name in itertools.chain([policy.name], numbered) if name not in taken)
        taken.add(name)
        named.append(replace(policy, name=name))
    return named


def plan_episodes(config: DAFConfig, mission: MissionSpec, policy: PolicySpec) -> list[EpisodePlan]:
    """The held-out episodes of one policy, playing alone on one mission."""
    from daf.bridge.missions import agent_count
    from daf.bridge.trainer import resolve_device

    evaluation = config.evaluation
    return [
        EpisodePlan(
            mission=mission,
            policies=(policy,),
            assignments=(0,) * agent_count(mission),
            seed=evaluation.seed + index,
            max_action_time_ms=evaluation.max_action_time_ms,
            device=resolve_device(config.device),
        )
        for index in range(evaluation.episodes)
    ]


def play_with_progress(
    config: DAFConfig, plans: Sequence[EpisodePlan], *, also: OnEpisode = lambda outcome, cached: None
) -> list[EpisodeRecord | EpisodeFailure]:
    """Plays plans as `evaluation` says, behind one progress bar; `also` hears of every outcome as it comes."""
    evaluation = config.evaluation
    done = 0
    with progress("evaluating", len(plans)) as advance:

        def on_episode(outcome: EpisodeRecord | EpisodeFailure, cached: bool) -> None:
            nonlocal done
            done += 1
            also(outcome, cached)
            names = outcome.policies if isinstance(outcome, EpisodeRecord) else ("failed",)
            advance(done, ", ".join(names) + (" (cached)" if cached else ""))

        return daf_play_episodes(
            plans,
            backend=evaluation.backend,
            workers=evaluation.workers or worker_count(plans),
            cache=evaluation.cache,
            time_limit_s=evaluation.time_limit_s,
            on_episode=on_episode,
        )


def worker_count(plans: Sequence[EpisodePlan]) -> int:
    """One process a core, or this one alone for work that would be done before the others had started."""
    from daf.bridge.missions import max_steps

    agent_steps = sum(max_steps(plan.mission) * len(plan.assignments) for plan in plans)
    return 1 if agent_steps < AGENT_STEPS_WORTH_A_POOL else len(os.sched_getaffinity(0))


def warn_about_untrained(policies: Iterable[PolicySpec], tracker: Tracker) -> None:
    """Warns about every network without weights: what it scores is chance."""
    from daf.bridge.policies import has_network

    for policy in policies:
        if policy.weights is None and has_network(policy.class_path):
            tracker.warn(f"{policy.name} has no weights: CoGames gives it new random ones for every episode.")


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


def tell_timeouts(records: Sequence[EpisodeRecord]) -> Iterable[str]:
    """A sentence about actions that were too slow, if there were any."""
    slow = sum(sum(record.action_timeouts) for record in records)
    if slow:
        yield f"{slow:,} actions took longer than evaluation.max_action_time_ms and were replaced by noop."


def tell_failures(failures: Sequence[EpisodeFailure], folder: str) -> Iterable[str]:
    """A sentence about the episodes that failed, if any did, which `log_episodes` has kept in `folder`."""
    if failures:
        first = failures[0]
        names = ", ".join(dict.fromkeys(first.plan.policies[index].name for index in first.plan.assignments))
        yield (
            f"{len(failures)} episodes failed, the first with {names} on {first.plan.mission.name}"
            f" (seed {first.plan.seed}): {first.reason}. All tracebacks: {folder}/failures.txt"
        )


def log_episodes(
    tracker: Tracker, folder: str, records: Iterable[EpisodeRecord], failures: Sequence[EpisodeFailure]
) -> None:
    """Keeps records as JSON lines, and failures with their tracebacks, below `folder`."""
    lines = [json.dumps(record.to_dict()) for record in records]
    tracker.log_text("".join(f"{line}\n" for line in lines), f"{folder}/episodes.jsonl")
    if failures:
        text = "\n".join(f"{failure.plan}\n{failure.traceback}" for failure in failures)
        tracker.log_text(text, f"{folder}/failures.txt")
    tracker.log_metrics({f"{folder}/failed_episodes": len(failures)})


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


def metric_name(*parts: str) -> str:
    """A metric name from parts, with what MLflow does not allow in one replaced or, as in a path, left out."""
    segments = [segment for segment in "/".join(parts).split("/") if segment not in ("", ".", "..")]
    return legal_key("/".join(segments))


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
