"""Training seeds and evaluation seeds are apart, whichever of them is moved."""

from collections.abc import Callable

import pytest

from daf.bridge.imports import contained
from daf.bridge.missions import build_mission
from daf.config import DAFConfig
from daf.config.held_out import held_out_problems

Load = Callable[..., DAFConfig]


@pytest.mark.parametrize(
    ("overrides", "keys"),
    [
        ((), []),
        (("seed=1000000",), ["seed"]),
        (("seed=999999",), ["seed"]),
        (("seed=500000",), ["seed"]),
        (("training.map_seed=1000000", "seed=0"), ["training.map_seed"]),
        (("training.map_seed=999900", "seed=42", "training.num_envs=64"), ["training.map_seed"]),
        (("evaluation.seed=85",), ["seed"]),
        (("evaluation.seed=80", "evaluation.episodes=10"), ["seed"]),
        (("seed=15625", "training.num_envs=64", "device=auto"), ["seed"]),
        (("seed=15625", "training.num_envs=64", "device=cpu"), []),
        (("seed=2000000",), []),
    ],
)
def test_a_training_on_evaluation_seeds_is_found(tiny: Load, overrides: tuple[str, ...], keys: list[str]) -> None:
    problems = held_out_problems(tiny(*overrides))
    assert [problem.where for problem in problems] == keys
    assert all("evaluation" in problem.what for problem in problems)


def test_maps_are_seeded_as_the_check_assumes(tiny: Load) -> None:
    """CoGames adds the environment's seed to the map's: the maps of seed 500,000 begin at 1,000,000."""
    with contained():
        from cogames.train import _EnvCreator

    config = build_mission(tiny("mission=arena").mission_spec())[1]
    for map_seed, expected in ((None, 1_000_003), (70, 500_073)):
        env = _EnvCreator(config, None, map_seed, 500_000)(seed=500_003)
        assert env.env_cfg.game.map_builder.seed == expected
