"""The missions that a config evaluates on."""

from daf.bridge.mission_names import UNPLAYABLE
from daf.config.names import expand_missions
from daf.config.schemas import DAFConfig
from daf.records import MissionSpec


def mission_specs(config: DAFConfig) -> list[MissionSpec]:
    """The missions that the config evaluates on, without those of a set or pattern that nobody can play."""
    left_out = left_out_missions(config)
    names = expand_missions(list(config.evaluation.missions)) if config.evaluation.missions else [config.mission.name]
    return [config.mission_spec(name) for name in names if name not in left_out]


def left_out_missions(config: DAFConfig) -> list[str]:
    """What the sets and patterns of `evaluation.missions` hold that cannot be played, if they hold anything else."""
    asked = list(config.evaluation.missions)
    found = expand_missions(asked)
    unplayable = [name for name in found if name in UNPLAYABLE and name not in asked]
    return unplayable if len(unplayable) < len(found) else []
