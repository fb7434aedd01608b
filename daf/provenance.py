"""Where a result came from: code, packages, machine. And what must never be told: secrets."""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

SECRET_KEY = re.compile(
    r"(token|secret|passwd|password|passphrase|api_?key|access_?key|secret_?key|private_?key|credential)s?$",
    re.IGNORECASE,
)
USER_INFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
QUERY_SECRET = re.compile(r"([?&][^=&\s]*(?:token|secret|passw|key)[^=&\s]*=)[^&\s]+", re.IGNORECASE)
HIDDEN = "***"
PACKAGES = ("daf", "cogames", "mettagrid", "pufferlib-core", "torch", "numpy", "mlflow", "hydra-core", "optuna")


class Redactor:
    """Blanks secrets: values under telling keys, credentials in addresses, and the values of secret-looking
    environment variables wherever they turn up."""

    def __init__(self) -> None:
        self._known = sorted(
            {value for key, value in os.environ.items() if SECRET_KEY.search(key) and len(value) >= 6},
            key=len,
            reverse=True,
        )

    def text(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._known:
            text = text.replace(secret, HIDDEN)
        return QUERY_SECRET.sub(rf"\1{HIDDEN}", USER_INFO.sub(HIDDEN, text))

    def value(self, key: str, value: Any) -> str:
        """A parameter's or tag's value as text, without secrets."""
        return HIDDEN if SECRET_KEY.search(key) and value not in (None, "") else self.text(str(value))

    def tree(self, node: Any) -> Any:
        """A nested config without secrets; everything else keeps its type."""
        if isinstance(node, dict):
            hidden = {key for key, value in node.items() if SECRET_KEY.search(str(key)) and isinstance(value, str)}
            return {key: HIDDEN if key in hidden else self.tree(value) for key, value in node.items()}
        if isinstance(node, list | tuple):
            return [self.tree(item) for item in node]
        return self.text(node) if isinstance(node, str) else node

    def override(self, override: str) -> str:
        """A command-line override without secrets."""
        key, equals, value = override.partition("=")
        return f"{key}{equals}{self.value(key, value)}" if equals else self.text(override)


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


def installed_packages() -> str:
    """Every installed distribution as ``name==version``, a line each."""
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
