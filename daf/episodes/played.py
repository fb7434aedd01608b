"""Matches: episodes in which several policies may share a team, played and kept with the run."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from daf.config.schemas import DAFConfig
from daf.episodes.outcomes import EpisodeFailure, OnEpisode, Outcome
from daf.episodes.play import daf_play_episodes
from daf.errors import DAFError
from daf.execution.progress import progress
from daf.records import EpisodePlan, EpisodeRecord
from daf.tracking.tracker import Tracker


@dataclass(frozen=True, kw_only=True)
class Played:
    """What became of matches.

    Attributes:
        records: finished matches, in the order of their plans.
        failures: matches that could not be played.
        cached: how many of the records came from the cache.
    """

    records: tuple[EpisodeRecord, ...]
    failures: tuple[EpisodeFailure, ...]
    cached: int

    @property
    def seeds(self) -> list[int]:
        """Seeds on which every match was finished, in order."""
        return sorted({record.seed for record in self.records} - {failure.plan.seed for failure in self.failures})

    def notes(self, folder: str) -> list[str]:
        """What the user is told about failures, which `log_episodes` has kept in `folder`."""
        return list(tell_failures(self.failures, folder))


def play_matches(config: DAFConfig, plans: Sequence[EpisodePlan]) -> Played:
    """Plays matches on all workers; those that were played before come from the cache.

    Raises:
        DAFError: there are matches, and not one could be played.
    """
    cached = 0

    def count(outcome: Outcome, from_cache: bool) -> None:
        nonlocal cached
        cached += from_cache

    outcomes = play_with_progress(config, plans, also=count)
    played = Played(
        records=tuple(outcome for outcome in outcomes if isinstance(outcome, EpisodeRecord)),
        failures=tuple(outcome for outcome in outcomes if isinstance(outcome, EpisodeFailure)),
        cached=cached,
    )
    if played.failures and not played.records:
        raise DAFError(f"no episode could be played. The first failed with:\n{played.failures[0].traceback}")
    return played


# Workers take about five seconds to import what they need; one process plays this much in ten to twenty.
AGENT_STEPS_WORTH_A_POOL = 100_000


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
