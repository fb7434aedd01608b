"""How an episode can end."""

from collections.abc import Callable
from dataclasses import dataclass

from daf.records import EpisodePlan, EpisodeRecord


@dataclass(frozen=True, kw_only=True)
class EpisodeFailure:
    """An episode that could not be played to its end.

    Attributes:
        plan: what was to be played.
        traceback: where it failed, as text.
        attempts: how often it was tried.
    """

    plan: EpisodePlan
    traceback: str
    attempts: int

    @property
    def reason(self) -> str:
        """What went wrong, in one line: the last of an error's, the first of what is said about a lost process."""
        first, *others = self.traceback.strip().splitlines() or [""]
        return others[-1] if others and first.startswith("Traceback") else first


Outcome = EpisodeRecord | EpisodeFailure


OnEpisode = Callable[[Outcome, bool], None]
