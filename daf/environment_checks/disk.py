"""Whether what a config writes finds room."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from daf.config.schemas import DAFConfig
from daf.environment_checks.needs import GIB, Need, by_disk, disk_needs, existing_folder, size_text
from daf.environment_checks.requested import task_of
from daf.environment_checks.result import EnvironmentCheckResult, checked
from daf.errors import Problem
from daf.files import why_no_files

DISK, OUTPUT = "disk", "output folder"
LEAST_FREE_GIB = 1.0
LESS = "Free some, give another output_dir, or write less (fewer checkpoints, episodes or replays)."


def daf_check_disk_space(config: DAFConfig) -> EnvironmentCheckResult:
    """The output folder must be creatable, and its disk must have room for what this very config writes.

    That is the sum of what `disk_needs` estimates, and `LEAST_FREE_GIB` for the rest; the same for the disk of MLflow's
    files where that is another one.
    """
    folder = Path(config.output_dir).absolute()
    existing = existing_folder(folder)
    if why := why_no_files(existing):
        what = f"{existing} is not a folder that can be written to: {why}."
        return checked(OUTPUT, "", [Problem("output_dir", what)], remedy="Give an output_dir that can be written.")
    task = task_of(config)
    spare = Need(f"to spare {size_text(LEAST_FREE_GIB * GIB)}", int(LEAST_FREE_GIB * GIB), folder)
    disks = by_disk([spare, *(disk_needs(config, task) if task else [])])
    rooms = [_room(needs) for needs in disks.values()]
    errors = [Problem("output_dir", what, LESS) for what, enough in rooms if not enough]
    found = checked(DISK, "; ".join(what for what, _ in rooms), errors)
    return checked(OUTPUT, f"{existing} can be written") + found


def _room(needs: Sequence[Need]) -> tuple[str, bool]:
    """The arithmetic of one disk, and whether it is enough."""
    folder = needs[0].folder
    assert folder is not None, "needs of a disk have a folder"
    free, needed = shutil.disk_usage(existing_folder(folder)).free, sum(need.size for need in needs)
    parts = " + ".join(f"{need.what} = {size_text(need.size)}" if ":" in need.what else need.what for need in needs)
    if free < needed:
        return f"only {size_text(free)} are free there, and {size_text(needed)} are needed: {parts}.", False
    return f"{size_text(free)} free, {size_text(needed)} needed: {parts}", True
