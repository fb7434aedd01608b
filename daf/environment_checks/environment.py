"""All checks of a config, none of which ends another."""

import logging
from collections.abc import Callable

from daf.config.held_out import held_out_problems
from daf.config.schemas import DAFConfig
from daf.environment_checks.account import daf_check_auth
from daf.environment_checks.device import DEVICE, daf_check_cuda_availability, device_named
from daf.environment_checks.disk import DISK, daf_check_disk_space
from daf.environment_checks.files import FILES, daf_check_files
from daf.environment_checks.machine import CLOCK, CORES, MEMORY, check_clock, check_cores, check_memory
from daf.environment_checks.missions import MISSIONS, check_missions_and_policies
from daf.environment_checks.optional import OPTIONAL, check_optional_parts
from daf.environment_checks.packages import PACKAGES, daf_check_dependencies, require_packages
from daf.environment_checks.requested import needs_pool
from daf.environment_checks.result import EnvironmentCheckResult, checked, skipped, together
from daf.environment_checks.stores import STORE, STUDIES, check_study_storage, check_tracking_store
from daf.errors import DAFConfigError, Problem, first_line
from daf.tasks import find_task, pool_problems

logger = logging.getLogger(__name__)

TASK = "task"

#: A check's name, and the check.
Check = tuple[str, Callable[[DAFConfig], EnvironmentCheckResult]]


def daf_check_environment(config: DAFConfig, *, missions: bool = True, machine: bool = False) -> EnvironmentCheckResult:
    """All checks, each of them whatever the others find; warnings are logged as well.

    What cannot be checked, since what it needs is wrong itself, is skipped, and its row says so.

    Args:
        missions: whether missions are built and policies loaded, which takes seconds.
        machine: whether packages, cores, clock and study storage are looked at, too, as `task=check` does. Before each
            run they are not: what is odd about them does not change from one run to the next.

    Raises:
        DAFError: without `machine`, where torch, MLflow or CoGames is not installed.
    """
    if not machine:
        require_packages()
    checks = [(TASK, check_task), *(_OF_THE_MACHINE if machine else ()), *_of_the_run(machine)]
    checks += [(MISSIONS, check_missions_and_policies)] if missions else []
    found = together(_guarded(*check, config, strict=not machine) for check in checks)
    for warning in found.warnings:
        logger.warning("%s", warning)
    return found


def check_task(config: DAFConfig) -> EnvironmentCheckResult:
    """There must be the task, and it must be able to do what the config asks."""
    try:
        task = find_task(config.task)
    except DAFConfigError as error:
        return checked(TASK, "", error.problems, remedy="task=train, for example.")
    problems = [*task.problems(config), *(pool_problems(config) if needs_pool(config) else ())]
    problems += held_out_problems(config) if task.trains(config) else []
    account = daf_check_auth(config) if task.needs_account else EnvironmentCheckResult()
    return checked(TASK, config.task.name, problems) + account


_OF_THE_MACHINE: tuple[Check, ...] = (
    (PACKAGES, lambda config: daf_check_dependencies()),
    (OPTIONAL, check_optional_parts),
    (CORES, check_cores),
    (CLOCK, check_clock),
    (STUDIES, check_study_storage),
)


def _of_the_run(machine: bool) -> tuple[Check, ...]:
    return (
        (DEVICE, daf_check_cuda_availability if machine else device_named),
        (MEMORY, check_memory),
        (DISK, daf_check_disk_space),
        (STORE, check_tracking_store),
        (FILES, daf_check_files),
    )


def _guarded(
    name: str, check: Callable[[DAFConfig], EnvironmentCheckResult], config: DAFConfig, *, strict: bool
) -> EnvironmentCheckResult:
    """The check's result, also where it fails.

    Args:
        strict: only what is wrong with the request counts as a result. What else goes wrong is raised: no run begins
            with a check that could not be made.
    """
    try:
        return check(config)
    except DAFConfigError as error:
        return checked(name, "", error.problems)
    except ModuleNotFoundError as error:
        if strict:
            raise
        return skipped(name, f"{error.name} is missing; see {PACKAGES}")
    except Exception as error:  # tasks and policies are anybody's code
        if strict:
            raise
        why = f"could not be checked: {type(error).__name__}: {first_line(error).rstrip('.')}."
        return checked(name, "", [Problem(name, why)])
