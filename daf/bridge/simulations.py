"""Missions made ready for many simulations: what depends on the mission alone is done once."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from daf.bridge.imports import contained
from daf.bridge.missions import build_mission, mission_digest
from daf.records import MissionSpec

if TYPE_CHECKING:
    from mettagrid import MettaGridConfig


@dataclass(frozen=True, kw_only=True)
class PreparedMission:
    """A mission and its translation for the C++ engine.

    Attributes:
        label: full label of the mission, variants included.
        config: the configuration, shared by all episodes: change nothing in it.
        translation: what `convert_to_cpp_game_config` returns for it.
    """

    label: str
    config: "MettaGridConfig"
    translation: tuple[Any, Any]

    def config_for(self, seed: int) -> "MettaGridConfig":
        """The same as `resolve_env_for_seed`, which copies some ten thousand objects to change one number."""
        from mettagrid.map_builder.map_builder import HasSeed

        game = self.config.game
        if not isinstance(game.map_builder, HasSeed) or game.map_builder.seed is not None:
            return self.config
        map_builder = game.map_builder.model_copy(update={"seed": seed})
        return self.config.model_copy(update={"game": game.model_copy(update={"map_builder": map_builder})})


def prepare_mission(spec: MissionSpec) -> PreparedMission:
    """Builds a mission and translates it for the C++ engine.

    Raises:
        ValueError: as `build_mission` does.
    """
    return _prepared(spec, mission_digest(spec))


@functools.lru_cache(maxsize=64)
def _prepared(spec: MissionSpec, mission: str) -> PreparedMission:
    with contained():
        from mettagrid.config.mettagrid_c_config import convert_to_cpp_game_config
    label, config = build_mission(spec)
    # It also completes `config.game`, so that every later copy of it is complete.
    translation = convert_to_cpp_game_config(config.game)
    return PreparedMission(label=label, config=config, translation=translation)


@contextmanager
def translated_once(prepared: PreparedMission) -> Iterator[None]:
    """Lets simulations of `prepared` share one translation; all others are translated as ever.

    The engine only reads it, while making it takes as long as a hundred steps of a simulation.
    """
    from mettagrid.config import mettagrid_c_config

    original = mettagrid_c_config.convert_to_cpp_game_config

    def convert(game: Any) -> tuple[Any, Any]:
        # Copies made by `config_for` share everything but the map builder.
        ours = getattr(game, "objects", None) is prepared.config.game.objects
        return prepared.translation if ours else original(game)

    mettagrid_c_config.convert_to_cpp_game_config = convert
    try:
        yield
    finally:
        mettagrid_c_config.convert_to_cpp_game_config = original
