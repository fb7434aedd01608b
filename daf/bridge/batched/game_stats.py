"""Game stats averaged over time, without reading every stat of every agent at every step."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mettagrid import MettaGridConfig
    from mettagrid.mettagrid_c import MettaGrid

STEPS_PER_BLOCK = 128
# Counted while the map is laid out and constant from then on.
LAYOUT_PREFIX = "objects."


class UnforeseenStatsError(Exception):
    """Game stats changed that were not sampled: the averages of this episode are incomplete."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        super().__init__(", ".join(sorted(self.names)))


def likely_game_stats(config: "MettaGridConfig") -> set[str]:
    """Names in a mission's configuration that look like game stats, such as ``cogs/heart.withdrawn``.

    CoGames puts the team before the slash. The engine adds a stat when it first changes, so that no list of all names
    exists; `TimeAverages` finds out when one was missing.
    """
    names: set[str] = set()
    unseen: list[Any] = [config.game.model_dump(mode="json", exclude={"map_builder"}, warnings=False)]
    while unseen:
        value = unseen.pop()
        if isinstance(value, dict):
            unseen += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            unseen += value
        elif isinstance(value, str) and "/" in value:
            names.add(value)
    return names


class TimeAverages:
    """The averages that mettagrid's `TimeAveragedStatsHandler` would give, for one simulation.

    That handler has the engine build a dictionary of all game and agent stats at every step.
    """

    def __init__(self, engine: "MettaGrid", likely: Iterable[str]) -> None:
        self._read = engine.get_game_stat
        start: dict[str, float] = engine.get_episode_stats()["game"]
        self._names = sorted({*likely, *(name for name in start if not name.startswith(LAYOUT_PREFIX))})
        self._constant = {name: value for name, value in start.items() if name not in self._names}
        self._block: list[list[float | None]] = []
        self._totals = np.zeros(len(self._names))
        self._steps = 0

    def sample(self) -> None:
        """Takes the values after one step."""
        self._block.append(list(map(self._read, self._names)))
        if len(self._block) == STEPS_PER_BLOCK:
            self._fold()

    def _fold(self) -> None:
        block = np.array(self._block, dtype=np.float64)  # None, a stat that does not exist yet, becomes NaN
        # One row after the other, as the handler adds them up, since the order of additions is part of a sum.
        self._totals = np.add.reduce(np.vstack([self._totals, np.nan_to_num(block)]), axis=0)
        self._steps += len(block)
        self._block.clear()

    def result(self, final: dict[str, float]) -> dict[str, float]:
        """The averages over all steps sampled; `final` are the game stats after the last one.

        Raises:
            UnforeseenStatsError: a stat that was not sampled appeared or changed.
        """
        if self._block:
            self._fold()
        averages = dict(zip(self._names, (self._totals / self._steps).tolist(), strict=True))
        unforeseen = [n for n, value in final.items() if n not in averages and self._constant.get(n) != value]
        if unforeseen:
            raise UnforeseenStatsError(unforeseen)
        return {name: averages.get(name, value) for name, value in final.items()}
