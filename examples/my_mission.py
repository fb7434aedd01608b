"""A mission of your own: a function `get_config()` that returns what the simulator takes.

    python -m daf.run task=evaluate policy=starter mission.name=examples/my_mission.py

The file decides everything about the mission. `mission.cogs`, `mission.difficulty` and `variant` are refused with it,
because CoGames would ignore them.
"""

from cogames.cli.mission import get_mission
from mettagrid import MettaGridConfig

COGS = 4
STEPS = 200


def get_config() -> MettaGridConfig:
    """CoGames' arena for four cogs and 200 steps, with the reward variant `miner`."""
    _, config, _ = get_mission("cogsguard_arena.basic", variants_arg=["miner"], cogs=COGS, steps=STEPS)
    return config
