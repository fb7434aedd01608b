"""What a policy is called where nobody gave it a name: after its run, wherever it is shown."""

import re
from pathlib import Path

from daf.bridge.bundles import ARCHIVES
from daf.bridge.catalogue import catalogue

#: The folder of the checkpoints below a run's output folder.
CHECKPOINTS = "checkpoints"
#: An output folder as `output_dir` names it by default: a day, and below it a time to the microsecond.
_DAY, _TIME = re.compile(r"\d{4}-\d\d-\d\d"), re.compile(r"(\d\d-\d\d-\d\d)-\d+")


def display_name(class_path: str, weights: str | None) -> str:
    """A policy's name: its class's short name without weights, with them the name of the run that they are from."""
    short = short_name(class_path)
    if weights is None:
        return short
    path = Path(weights).expanduser().absolute()
    suffix = next((suffix for suffix in ARCHIVES if path.name.endswith(suffix)), path.suffix)
    if path.parent.name == CHECKPOINTS and suffix:  # one of a run's checkpoints
        return f"{run_name(path.parent.parent, short)} {path.name.removesuffix(suffix)}"
    if path.name == CHECKPOINTS:
        return run_name(path.parent, short)
    return path.name.removesuffix(suffix) if suffix in {*ARCHIVES, ".pt"} else run_name(path, short)


def short_name(class_path: str) -> str:
    """CoGames' short name of a class, or else the class's own."""
    known = (short for short, path in catalogue().policies.items() if class_path in (short, path))
    return next(known, class_path.rpartition(".")[2])


def run_name(output_dir: Path, short: str) -> str:
    """What a run is called after its output folder; one that is named by the time alone says what was trained."""
    if (clock := _TIME.fullmatch(output_dir.name)) and _DAY.fullmatch(output_dir.parent.name):
        return f"{short} {output_dir.parent.name} {clock[1]}"
    if output_dir.name.isdigit():  # of a sweep
        return f"{run_name(output_dir.parent, short)} trial {output_dir.name}"
    return output_dir.name or short
