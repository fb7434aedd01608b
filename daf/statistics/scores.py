"""The scores that a comparison rests on, as plain data."""

from dataclasses import dataclass

from daf.statistics.resampling import Array


@dataclass(frozen=True, kw_only=True)
class PairedScores:
    """One metric of all episodes that every policy finished.

    Attributes:
        values: (policies, missions, seeds), in the unit of the metric.
        seeds: in the order played; the same for every policy and mission.
        incomplete: seeds left out because an episode failed somewhere.
    """

    metric: str
    policies: tuple[str, ...]
    missions: tuple[str, ...]
    seeds: tuple[int, ...]
    values: Array
    incomplete: tuple[int, ...] = ()

    def sample(self, policy: int, mission: int | None) -> Array:
        """A policy's episodes in one mission, or in all of them."""
        values = self.values[policy]
        return values.ravel() if mission is None else values[mission]
