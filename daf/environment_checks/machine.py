"""The machine: memory, cores, clock."""

import os
import time
from pathlib import Path
from tempfile import NamedTemporaryFile

from daf.config.schemas import DAFConfig
from daf.environment_checks.needs import existing_folder, memory_needs, size_text
from daf.environment_checks.requested import task_of
from daf.environment_checks.result import EnvironmentCheckResult, checked, skipped
from daf.errors import Problem

MEMORY, CORES, CLOCK = "memory", "cores", "clock"
#: An estimate may be wrong; beyond so many times of what there is, it is not by enough.
BEYOND_DOUBT = 2.0
#: Seconds by which the clocks of this machine and of its disk may differ.
SKEW_S = 5.0
#: This was written after it (Unix time of 2026-01-01): a clock that says less is wrong.
NOT_BEFORE = 1_767_225_600.0
CGROUP = Path("/sys/fs/cgroup")


def check_memory(config: DAFConfig) -> EnvironmentCheckResult:
    """Processes and environments must fit: more than is free is a warning, far more than there is an error."""
    import psutil

    task = task_of(config)
    if task is None:
        return skipped(MEMORY, "what is held in memory is not known without a task")
    needs = memory_needs(config, task, usable_cores())
    needed, memory = sum(need.size for need in needs), psutil.virtual_memory()
    limit = min(memory.total, _limit())
    free = min(memory.available, limit)
    found = f"{size_text(free)} free, about {size_text(needed)} needed: {' + '.join(need.what for need in needs)}"
    problem = Problem("memory", f"{found}.", "Fewer training.num_envs, evaluation.workers or sweep.n_jobs.")
    if needed > BEYOND_DOUBT * limit:
        return checked(MEMORY, "", [problem])
    return checked(MEMORY, found, warnings=[problem] if needed > free else [])


def _limit() -> int:
    """Bytes that the control group of this process may use."""
    try:
        text = (CGROUP / "memory.max").read_text().strip()
        return int(text)
    except (OSError, ValueError):  # another kind of system, or "max"
        return 2**63


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def check_cores(config: DAFConfig) -> EnvironmentCheckResult:
    """More processes than cores make nothing faster: a warning."""
    cores = usable_cores()
    asked = {
        "evaluation.workers": config.evaluation.workers or 0,
        "training.num_workers": config.training.num_workers or 0,
        "training.torch_threads": config.training.torch_threads,
        "sweep.n_jobs": config.sweep.n_jobs if config.sweep.space else 0,
    }
    warnings = [
        Problem(key, f"{count} on {cores} {'core' if cores == 1 else 'cores'}.", f"Give {key}={cores}.")
        for key, count in asked.items()
        if count > cores
    ]
    return checked(CORES, f"{cores} usable of {os.cpu_count()}", warnings=warnings)


def check_clock(config: DAFConfig) -> EnvironmentCheckResult:
    """Times of runs, logins and certificates depend on the clock; the output disk's must agree with it."""
    warnings = []
    if time.time() < NOT_BEFORE:
        warnings.append(Problem("clock", f"it says {time.ctime()}, which is before this version of DAF was made."))
    skew = _skew(existing_folder(Path(config.output_dir).absolute()))
    if skew is not None and abs(skew) > SKEW_S:
        warnings.append(Problem("clock", f"the disk of output_dir is {skew:+.0f} s away from it."))
    found = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    return checked(CLOCK, found, warnings=warnings, remedy="Set the clock (timedatectl set-ntp true).")


def _skew(folder: Path) -> float | None:
    """Seconds by which the disk's clock is ahead, or None where nothing can be written."""
    try:
        with NamedTemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime - time.time()
    except OSError:
        return None
