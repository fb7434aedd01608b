"""Can this experiment run here? Every check gathers what it finds; none stops at the first."""

import importlib.metadata
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from packaging.requirements import Requirement

from daf.auth_integration import RefusedTokenError, account_of, auth_problems, daf_get_auth_token
from daf.bridge.mission_names import is_mission_file
from daf.bridge.missions import why_unplayable
from daf.bridge.policies import brings_code
from daf.config.held_out import held_out_problems
from daf.config.missions import left_out_missions
from daf.config.schemas import DAFConfig
from daf.errors import DAFConfigError, DAFError, Problem
from daf.execution.loading import has_network
from daf.execution.progress import say
from daf.files import is_file, is_there, user_path, why_no_files
from daf.records import MissionSpec
from daf.tasks import KeyedPolicy, Task, find_task, pool_policies, pool_problems
from daf.tracking.store import is_run_id, tracking_problems
from daf.training.resume import resume_problems

LEAST_FREE_GIB = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EnvironmentCheckResult:
    """What a check found.

    Attributes:
        errors: what keeps the experiment from running here.
        warnings: sentences on what does not.
    """

    errors: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the experiment can run here."""
        return not self.errors

    def __add__(self, other: "EnvironmentCheckResult") -> "EnvironmentCheckResult":
        errors = dict.fromkeys((*self.errors, *other.errors))
        return EnvironmentCheckResult(tuple(errors), (*self.warnings, *other.warnings))


def daf_check_environment(config: DAFConfig) -> EnvironmentCheckResult:
    """All checks; warnings are logged as well.

    Simulations are built only if files, disk, device and the task are right, policies only if the missions are.
    """
    try:
        task = find_task(config.task)
    except DAFConfigError as error:
        return EnvironmentCheckResult(tuple(error.problems))
    found = _checked(config, task)
    for warning in found.warnings:
        logger.warning("%s", warning)
    return found


def _checked(config: DAFConfig, task: Task) -> EnvironmentCheckResult:
    found = daf_check_files(config) + daf_check_disk_space(config) + daf_check_cuda_availability(config)
    found += EnvironmentCheckResult(tuple(tracking_problems(config.tracking.uri, config.tracking.experiment)))
    found += EnvironmentCheckResult((*task.problems(config), *(pool_problems(config) if _needs_pool(config) else ())))
    found += EnvironmentCheckResult(tuple(held_out_problems(config)) if task.trains(config) else ())
    found += daf_check_auth(config) if task.needs_account else EnvironmentCheckResult()
    if found.passed and task.trains(config):
        found += EnvironmentCheckResult(tuple(resume_problems(config)))
    if found.passed:
        found += daf_check_mission_configs(config)
    return found + daf_check_policies(config) if found.passed else found


def daf_check_dependencies() -> EnvironmentCheckResult:
    """Every package that DAF requires must be installed; another version than it was made for is a warning.

    It is no part of `daf_check_environment`: where a package is missing, that would not have come so far.
    """
    found = EnvironmentCheckResult()
    for requirement in map(Requirement, importlib.metadata.requires("daf") or ()):
        if requirement.marker is None or requirement.marker.evaluate():
            found += _check_dependency(requirement)
    return found


def _check_dependency(requirement: Requirement) -> EnvironmentCheckResult:
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return _error(requirement.name, "is not installed.", f"Install {requirement}, or run ./scripts/setup.")
    if requirement.specifier.contains(version, prereleases=True):
        return EnvironmentCheckResult()
    return EnvironmentCheckResult((), (f"{requirement.name} is {version}, but DAF was made for {requirement}.",))


def daf_check_files(config: DAFConfig) -> EnvironmentCheckResult:
    """Weights that are named must exist, and a folder to resume from must hold a training's state."""
    errors = [
        Problem(f"{key}.weights", problem)
        for key, policy in _policies(config, find_task(config.task))
        if policy.weights and (problem := _weights_problem(policy.weights))
    ]
    resume = config.training.resume
    if resume and not is_run_id(resume) and not is_file(user_path(resume) / "trainer_state.pt"):
        hint = "Give an MLflow run id or a checkpoint folder (<output_dir>/checkpoints)."
        errors.append(Problem("training.resume", f"{resume!r} holds no trainer_state.pt.", hint))
    return EnvironmentCheckResult(tuple(errors))


def _weights_problem(weights: str) -> str | None:
    path = user_path(weights)
    if not is_there(path):
        return f"there is nothing at {weights!r}."
    if not (path.is_file() or path.is_dir()):  # a pipe would keep its reader waiting for ever
        return f"{weights!r} is neither a file nor a folder."
    return None


def daf_check_disk_space(config: DAFConfig) -> EnvironmentCheckResult:
    """The output folder must be creatable, with `LEAST_FREE_GIB` on its disk."""
    folder = Path(config.output_dir).absolute()
    existing = next(path for path in [folder, *folder.parents] if os.path.lexists(path))
    if why := why_no_files(existing):
        return _error("output_dir", f"{existing} is not a folder that can be written to: {why}.")
    free = shutil.disk_usage(existing).free / 2**30
    if free < LEAST_FREE_GIB:
        return _error(
            "output_dir", f"only {free:.1f} GiB are free there.", f"At least {LEAST_FREE_GIB:.0f} GiB, please."
        )
    return EnvironmentCheckResult()


def daf_check_cuda_availability(config: DAFConfig) -> EnvironmentCheckResult:
    """The device that is asked for must exist."""
    if config.device in {"auto", "cpu"}:
        return EnvironmentCheckResult()
    import torch

    if config.device == "mps":
        exists = torch.backends.mps.is_available()
    else:
        exists = torch.cuda.is_available() and int(config.device.partition(":")[2] or 0) < torch.cuda.device_count()
    if exists:
        return EnvironmentCheckResult()
    return _error("device", f"torch finds no {config.device!r} here.", "Use device=auto or device=cpu.")


def daf_check_auth(config: DAFConfig) -> EnvironmentCheckResult:
    """The season's server must know whose the token is; that it cannot be asked just now is a warning.

    Nothing is sent where there is no token, or where the server may not have it.
    """
    if errors := auth_problems(config):
        return EnvironmentCheckResult(tuple(errors))
    try:
        account_of(config, daf_get_auth_token(config))
    except RefusedTokenError as error:
        return _error("tournament.season.login_server", f"{error}.")
    except DAFError as error:
        return EnvironmentCheckResult((), (f"{error}.",))
    return EnvironmentCheckResult()


def daf_check_mission_configs(config: DAFConfig) -> EnvironmentCheckResult:
    """Every mission must build, and give every agent a place: only a simulation shows that."""
    reasons = ((key, spec, _why_unplayable(spec)) for spec, key in _missions(config, find_task(config.task)).items())
    errors = tuple(_unbuildable(key, spec, reason) for key, spec, reason in reasons if reason)
    left_out = ", ".join(left_out_missions(config))
    warning = f"evaluation.missions: {left_out} is left out, since no number of cogs can play it."
    return EnvironmentCheckResult(errors, (warning,) if left_out else ())


def _why_unplayable(spec: MissionSpec) -> str | None:
    say(f"building {spec.name}")
    return why_unplayable(spec)


def daf_check_policies(config: DAFConfig) -> EnvironmentCheckResult:
    """Every policy must load on a mission that can be built, and the one to be trained must have a network."""
    task = find_task(config.task)
    missions = list(_missions(config, task))
    if not missions:  # a task that plays nothing
        return EnvironmentCheckResult()
    return EnvironmentCheckResult(tuple(_unusable_policies(_policies(config, task), missions[0], task.trains(config))))


def _unusable_policies(policies: Iterable[KeyedPolicy], mission: MissionSpec, trains: bool) -> Iterator[Problem]:
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
        return error


def _unbuildable(key: str, spec: MissionSpec, reason: str) -> Problem:
    hint = "Usually mission.cogs (1 to 8, diagnostics 4) or a variant is at fault."
    return Problem(key, f"cannot be built: {reason.rstrip('.')}.", "" if is_mission_file(spec.name) else hint)


def _error(where: str, what: str, hint: str = "") -> EnvironmentCheckResult:
    return EnvironmentCheckResult((Problem(where, what, hint),))


def _missions(config: DAFConfig, task: Task) -> dict[MissionSpec, str]:
    """Every mission that must be playable, with what a problem of it is filed under; the one trained on comes first."""
    missions = {config.mission_spec(): "mission"} if task.trains(config) else {}
    for spec in task.missions(config):
        missions.setdefault(spec, f"mission {spec.name}")
    return missions


def _needs_pool(config: DAFConfig) -> bool:
    """Whether a sweep judges its trials by their value over replacement."""
    return "vor" in config.objective.metric


def _policies(config: DAFConfig, task: Task) -> list[KeyedPolicy]:
    """The policies that the config really uses, with the key that names them, each key once."""
    pool = pool_policies(config) if _needs_pool(config) else []
    return list(dict([*task.policies(config), *pool]).items())
