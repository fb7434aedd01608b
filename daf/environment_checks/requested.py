"""Which task, policies and missions a config really uses."""

from daf.config.schemas import DAFConfig
from daf.errors import DAFConfigError
from daf.records import MissionSpec
from daf.tasks import KeyedPolicy, Task, find_task, pool_policies


def task_of(config: DAFConfig) -> Task | None:
    """The task, or None where there is none of the kind, which a check of its own says."""
    try:
        return find_task(config.task)
    except DAFConfigError:
        return None


def needs_pool(config: DAFConfig) -> bool:
    """Whether a sweep judges its trials by their value over replacement."""
    return "vor" in config.objective.metric


def used_policies(config: DAFConfig, task: Task) -> list[KeyedPolicy]:
    """The policies that the config really uses, with the key that names them, each key once."""
    pool = pool_policies(config) if needs_pool(config) else []
    return list(dict([*task.policies(config), *pool]).items())


def used_missions(config: DAFConfig, task: Task) -> dict[MissionSpec, str]:
    """Every mission that must be playable, with what a problem of it is filed under; the one trained on comes first.

    Raises:
        DAFConfigError: a pattern or set that the task plays names none.
    """
    missions = {config.mission_spec(): "mission"} if task.trains(config) else {}
    for spec in task.missions(config):
        missions.setdefault(spec, f"mission {spec.name}")
    return missions
