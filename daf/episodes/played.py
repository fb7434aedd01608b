"""What was played: records and failures, behind one progress bar, kept with the run."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from daf.bridge.missions import max_steps
from daf.config.schemas import DAFConfig
from daf.episodes.kept import RECORDS, KeptRecords
from daf.episodes.limits import Limits
from daf.episodes.outcomes import EpisodeFailure, Outcome
from daf.episodes.play import daf_play_episodes
from daf.errors import DAFError
from daf.execution.progress import progress
from daf.records import EpisodePlan, EpisodeRecord
from daf.tracking.tracker import Tracker

# Workers take about five seconds to import what they need; one process plays this much in ten to twenty.
AGENT_STEPS_WORTH_WORKERS = 100_000
#: Folder of the records, beneath a run's output folder and among its artifacts.
EVALUATION = "evaluation"
#: Which policies a run evaluated, so that what was measured of one can be found.
EVALUATED_TAG = "daf.evaluated"
#: MLflow takes tags of some thousand characters.
MOST_TAGGED = 100


def evaluated(policy_digest: str) -> str:
    """How `EVALUATED_TAG` names a policy."""
    return policy_digest[:16]


@dataclass(frozen=True, kw_only=True)
class Played:
    """What became of episodes.

    Attributes:
        records: finished episodes, in the order of their plans.
        failures: episodes that could not be played, in the order of their plans.
        cached: how many of the records came from the cache, as far as that was counted.
    """

    records: tuple[EpisodeRecord, ...]
    failures: tuple[EpisodeFailure, ...]
    cached: int = 0

    @classmethod
    def of(cls, outcomes: Iterable[Outcome], *, cached: int = 0) -> Self:
        """Splits outcomes into records and failures."""
        outcomes = list(outcomes)
        return cls(
            records=tuple(outcome for outcome in outcomes if isinstance(outcome, EpisodeRecord)),
            failures=tuple(outcome for outcome in outcomes if isinstance(outcome, EpisodeFailure)),
            cached=cached,
        )

    @property
    def seeds(self) -> list[int]:
        """Seeds on which every episode was finished, in order."""
        return sorted({record.seed for record in self.records} - {failure.plan.seed for failure in self.failures})

    def notes(self, folder: str) -> list[str]:
        """Notes about failures, which `log_episodes` has kept in `folder`."""
        return failure_notes(self.failures, folder)


def play_with_progress(config: DAFConfig, plans: Sequence[EpisodePlan], folder: str | None = None) -> Played:
    """Plays plans as `evaluation` says, on all workers, behind one progress bar.

    Args:
        folder: below the output folder, where `log_episodes` will write the records: until then they are kept there
            as they come. None keeps none.
    """
    evaluation = config.evaluation
    kept = KeptRecords(Path(config.output_dir) / folder) if folder else None
    done = from_cache = 0
    with progress("evaluating", len(plans)) as advance:

        def on_episode(outcome: Outcome, cached: bool) -> None:
            nonlocal done, from_cache
            if kept and isinstance(outcome, EpisodeRecord):
                kept.add(outcome)
            done += 1
            from_cache += cached
            names = outcome.policies if isinstance(outcome, EpisodeRecord) else ("failed",)
            advance(done, ", ".join(names) + (" (cached)" if cached else ""))

        outcomes = daf_play_episodes(
            plans,
            backend=evaluation.backend,
            workers=evaluation.workers or worker_count(plans),
            cache=evaluation.cache,
            limits=Limits(evaluation.time_limit_s, evaluation.start_limit_s),
            on_episode=on_episode,
        )
    return Played.of(outcomes, cached=from_cache)


def play_matches(config: DAFConfig, plans: Sequence[EpisodePlan], folder: str) -> Played:
    """Plays plans with `play_with_progress`.

    Raises:
        DAFError: there are plans, and not one could be played.
    """
    played = play_with_progress(config, plans, folder)
    if played.failures and not played.records:
        raise DAFError(f"no episode could be played. The first failed with:\n{played.failures[0].traceback}")
    return played


def worker_count(plans: Sequence[EpisodePlan]) -> int:
    """One process a core, or this one alone for work that would be done before the others had started."""
    agent_steps = sum(max_steps(plan.mission) * len(plan.assignments) for plan in plans)
    return 1 if agent_steps < AGENT_STEPS_WORTH_WORKERS else len(os.sched_getaffinity(0))


def timeout_notes(records: Iterable[EpisodeRecord]) -> list[str]:
    """A sentence about actions that were too slow, if there were any."""
    slow = sum(sum(record.action_timeouts) for record in records)
    if not slow:
        return []
    return [f"{slow:,} actions took longer than evaluation.max_action_time_ms and were replaced by noop."]


def failure_notes(failures: Sequence[EpisodeFailure], folder: str) -> list[str]:
    """A sentence about the episodes that failed, if any did, which `log_episodes` has kept in `folder`."""
    if not failures:
        return []
    first = failures[0]
    names = ", ".join(dict.fromkeys(first.plan.policies[index].name for index in first.plan.assignments))
    return [
        f"{len(failures)} episodes failed, the first with {names} on {first.plan.mission.name}"
        f" (seed {first.plan.seed}): {first.reason}. All tracebacks: {folder}/failures.txt"
    ]


def log_episodes(
    tracker: Tracker, folder: str, records: Iterable[EpisodeRecord], failures: Sequence[EpisodeFailure]
) -> None:
    """Keeps records as JSON lines, and failures with their tracebacks, below `folder`."""
    lines = [json.dumps(record.to_dict()) for record in records]
    tracker.log_text("".join(f"{line}\n" for line in lines), f"{folder}/{RECORDS}")
    if failures:
        text = "\n".join(f"{failure.plan}\n{failure.traceback}" for failure in failures)
        tracker.log_text(text, f"{folder}/failures.txt")
    tracker.log_metrics({f"{folder}/failed_episodes": len(failures)})
