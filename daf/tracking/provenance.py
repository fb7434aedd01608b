"""Where a result came from: code, packages, machine."""

import contextlib
import functools
import getpass
import importlib.metadata
import math
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from daf.config.override_secrets import override_without_secrets
from daf.redaction import redactor
from daf.tracking.tracker import Tracker

if TYPE_CHECKING:
    from daf.config.schemas import DAFConfig

PACKAGES = ("daf", "cogames", "mettagrid", "pufferlib-core", "torch", "numpy", "mlflow", "hydra-core", "optuna")


def git_state(folder: Path) -> tuple[str, str] | None:
    """The commit that is checked out and everything that differs from it, or None outside a git checkout.

    Untracked files are listed by name only: nobody said that they belong to the project.
    """
    try:
        commit = _git(folder, "rev-parse", "HEAD").strip()
        diff = _git(folder, "diff", "HEAD")
        untracked = _git(folder, "ls-files", "--others", "--exclude-standard")
    except (OSError, subprocess.CalledProcessError):
        return None
    listing = "".join(f"# untracked: {name}\n" for name in untracked.splitlines())
    return commit, listing + diff


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, errors="replace").stdout


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide a result."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def installed_packages() -> str:
    """Every installed distribution as ``name==version``, a line each; they are looked for once in a process."""
    lines = {f"{item.metadata['Name']}=={item.version}" for item in importlib.metadata.distributions()}
    return "\n".join(sorted(lines, key=str.lower)) + "\n"


def hardware() -> dict[str, str]:
    """Processor, cores, memory, load and GPU of this machine."""
    import psutil

    facts = {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpu": _cpu_name(),
        "cores": str(psutil.cpu_count()),
        "memory_gib": f"{psutil.virtual_memory().total / 2**30:.1f}",
        "load_average": " ".join(f"{load:.2f}" for load in psutil.getloadavg()),
    }
    if gpus := _gpu_names():
        facts["gpu"] = ", ".join(gpus)
    return facts


def _gpu_names() -> list[str]:
    """NVIDIA's own tool is asked: torch takes seconds to import."""
    if not shutil.which("nvidia-smi"):
        return []
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else []


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.+)", info.read_text()) if info.is_file() else []
    return names[0] if names else platform.processor()


def log_provenance(tracker: Tracker, config: "DAFConfig", overrides: Sequence[str]) -> None:
    """Logs what a run is and where it comes from: config, overrides, code, packages, hardware, seeds."""
    data = redactor().tree(config.model_dump(mode="json"))
    tracker.log_params(dict(flatten(data)))
    tracker.log_text(yaml.safe_dump(data, sort_keys=False), "config.yaml")
    clean = [override_without_secrets(override) for override in overrides]
    tracker.log_text(yaml.safe_dump(clean, width=math.inf), "overrides.yaml")
    tracker.log_text(installed_packages(), "packages.txt")
    tags, diff = origin_tags()
    if diff is not None:
        tracker.log_text(diff, "uncommitted.diff")
    tags |= _source()
    tags |= {"daf.task": config.task.name, "daf.output_dir": str(tracker.output_dir), "daf.seed": str(config.seed)}
    tracker.set_tags(tags)


def origin_tags() -> tuple[dict[str, str], str | None]:
    """Versions, hardware and commit as tags of a run that begins here, and what differs from the commit if any is."""
    tags = {f"version.{name}": version for name, version in package_versions().items()}
    tags |= {f"hardware.{name}": fact for name, fact in hardware().items()}
    state = git_state(Path.cwd())
    if state is None:
        return tags, None
    commit, diff = state
    return {**tags, "mlflow.source.git.commit": commit, "git.dirty": str(bool(diff)).lower()}, diff


def _source() -> dict[str, str]:
    """Who began the run and with which program, under the names that MLflow's UI shows."""
    tags = {"mlflow.source.name": Path(sys.argv[0]).name or "python", "mlflow.source.type": "LOCAL"}
    with contextlib.suppress(KeyError, OSError):  # a user without a name, as in some containers
        tags["mlflow.user"] = getpass.getuser()
    return tags


def flatten(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) for every leaf of a nested mapping; lists and empty mappings are leaves."""
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
