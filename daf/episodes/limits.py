"""How long episodes may take before they count as hanging."""

import functools
from dataclasses import dataclass

from daf.bridge.missions import max_steps
from daf.episodes.worker import LANES, Chunk
from daf.records import EpisodePlan, MissionSpec

# Several times what the slowest policies of CoGames' take on a machine with too much to do.
SECONDS_PER_EPISODE, SECONDS_PER_ACTION = 60.0, 0.25


@dataclass(frozen=True)
class Limits:
    """Seconds after which work is ended.

    Attributes:
        episode_s: for an episode; None for `default_limit_s`.
        start_s: for loading a policy and trying it out.
    """

    episode_s: float | None = None
    start_s: float = 300.0

    def of(self, chunk: Chunk) -> float:
        """Seconds until the next of a chunk's episodes: side by side, the first may be finished no sooner than all."""
        plan = chunk.episodes[0][1]
        return (self.episode_s or default_limit_s(plan)) * min(len(chunk.episodes), LANES)


DEFAULT_LIMITS = Limits()


def default_limit_s(plan: EpisodePlan) -> float:
    """Seconds after which an episode hangs: much more than it takes, by the length of its mission."""
    return SECONDS_PER_EPISODE + SECONDS_PER_ACTION * mission_steps(plan.mission) * len(plan.assignments)


def agent_steps(chunk: Chunk) -> int:
    """How much there is to do, in steps of one agent."""
    return sum(mission_steps(plan.mission) * len(plan.assignments) for _, plan in chunk.episodes)


@functools.cache
def mission_steps(mission: MissionSpec) -> int:
    """The length of a mission's episodes, or 0 where it cannot be known."""
    if mission.max_steps is not None:
        return mission.max_steps
    try:
        return max_steps(mission)
    except Exception:  # variants that conflict raise whatever they like; playing the episode tells
        return 0
