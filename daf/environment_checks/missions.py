"""Missions are built, and policies are loaded for one of them."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from daf.bridge.mission_names import is_mission_file
from daf.bridge.missions import why_unplayable
from daf.bridge.policies import brings_code
from daf.config.missions import left_out_missions
from daf.config.schemas import DAFConfig
from daf.environment_checks.files import missing_weights
from daf.environment_checks.requested import task_of, used_missions, used_policies
from daf.environment_checks.result import EnvironmentCheckResult, checked, skipped
from daf.errors import Problem, missing_requirement
from daf.execution.loading import has_network
from daf.execution.progress import say
from daf.records import MissionSpec
from daf.tasks import KeyedPolicy, Task

MISSIONS, POLICIES = "missions", "policies"


def daf_check_mission_configs(config: DAFConfig) -> EnvironmentCheckResult:
    """Every mission must build, and give every agent a place: only a simulation shows that."""
    task = task_of(config)
    return _missions(config, task)[0] if task else skipped(MISSIONS, "which are played is not known without a task")


def daf_check_policies(config: DAFConfig) -> EnvironmentCheckResult:
    """Every policy must load on a mission that can be built, and the one to be trained must have a network."""
    task = task_of(config)
    if task is None:
        return skipped(POLICIES, "which are used is not known without a task")
    return _policies(config, task, [spec for spec in used_missions(config, task) if not why_unplayable(spec)])


def check_missions_and_policies(config: DAFConfig) -> EnvironmentCheckResult:
    """Both, every mission built once."""
    task = task_of(config)
    if task is None:
        return daf_check_mission_configs(config) + daf_check_policies(config)
    found, playable = _missions(config, task)
    return found + _policies(config, task, playable)


def _missions(config: DAFConfig, task: Task) -> tuple[EnvironmentCheckResult, list[MissionSpec]]:
    """What is wrong with the missions, and those with which nothing is."""
    asked = used_missions(config, task)
    reasons = {spec: _why_unplayable(spec) for spec in asked}
    errors = [_unbuildable(asked[spec], spec, reason) for spec, reason in reasons.items() if reason]
    left_out = ", ".join(left_out_missions(config))
    what = f"{left_out} is left out, since no number of cogs can play it."
    warnings = [Problem("evaluation.missions", what, "Name others, or let it be.")] if left_out else []
    playable = [spec for spec, reason in reasons.items() if not reason]
    return checked(MISSIONS, f"{len(playable)} built with their cogs and variants", errors, warnings), playable


def _why_unplayable(spec: MissionSpec) -> str | None:
    say(f"building {spec.name}")
    return why_unplayable(spec)


def _unbuildable(key: str, spec: MissionSpec, reason: str) -> Problem:
    hint = "Usually mission.cogs or a variant is at fault."
    return Problem(key, f"cannot be built: {reason.rstrip('.')}.", "" if is_mission_file(spec.name) else hint)


def _policies(config: DAFConfig, task: Task, playable: list[MissionSpec]) -> EnvironmentCheckResult:
    if not used_missions(config, task):
        return checked(POLICIES, "the task plays nothing")
    if not playable:
        return skipped(POLICIES, "no mission can be built to load them for")
    # Of what is not there is said so already.
    missing = missing_weights(config, task)
    there = [(key, policy) for key, policy in used_policies(config, task) if f"{key}.weights" not in missing]
    errors = list(_unusable(there, playable[0], task.trains(config)))
    remedy = "Give another policy: task=policies lists them."
    return checked(POLICIES, f"{len(there)} can be loaded", errors, remedy=remedy)


def _unusable(policies: Iterable[KeyedPolicy], mission: MissionSpec, trains: bool) -> Iterator[Problem]:
    for key, policy in policies:
        found = _result_or_error(partial(has_network, mission, policy.spec()))
        if isinstance(found, Exception):
            yield Problem(key, f"{policy.class_path} cannot be loaded: {found}")
        elif trains and key == "policy" and brings_code(policy.spec()):
            hint = "Unpack it, put its folder on PYTHONPATH and name its class."
            yield Problem(key, f"{policy.weights} brings its own class, which is played but not trained.", hint)
        elif trains and key == "policy" and not found:
            hint = "Trainable: lstm, puffer, stateless, pufferlib_cogs."
            yield Problem(key, f"{policy.class_path} has no network to train.", hint)


def _result_or_error(action: Callable[[], object]) -> object:
    try:
        return action()
    except Exception as error:  # a policy is anybody's code
        if missing_requirement(error):
            raise
        return error
