"""Matches: episodes in which several policies may share a team, played and kept with the run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from daf.config.schemas import DAFConfig
from daf.episodes import EpisodeFailure, Outcome
from daf.errors import DAFError
from daf.evaluation import play_with_progress, tell_failures
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec

RELIABLE_EPISODES = 20

#: Makes the plan of a match from its mission, policies, assignments and seed.
Planner = Callable[[MissionSpec, tuple[PolicySpec, ...], Sequence[int], int], EpisodePlan]


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


def planner(config: DAFConfig) -> Planner:
    """Plans that are played as `evaluation` and `device` say."""
    from daf.bridge.trainer import resolve_device

    device = resolve_device(config.device)

    def plan(
        mission: MissionSpec, policies: tuple[PolicySpec, ...], assignments: Sequence[int], seed: int
    ) -> EpisodePlan:
        return EpisodePlan(
            mission=mission,
            policies=policies,
            assignments=tuple(assignments),
            seed=seed,
            max_action_time_ms=config.evaluation.max_action_time_ms,
            device=device,
        )

    return plan


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


def reliability(episodes: int, what: str = "seeds") -> list[str]:
    """What the user is told about samples that are small for an interval."""
    if episodes < 5:
        return [f"no intervals: not enough {what} ({episodes} of 5)"]
    if episodes < RELIABLE_EPISODES:
        return [f"{episodes} {what}: intervals are only reliable from {RELIABLE_EPISODES} on"]
    return []
