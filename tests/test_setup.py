"""The set-up script, where Python is not to be had, and what it installs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _checkout(folder: Path, python: str) -> Path:
    (folder / "scripts").mkdir(parents=True)
    for name in ("scripts/setup", "requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / ".python-version").write_text(f"{python}\n")
    return folder


def test_without_a_python_it_says_which_three_ways_there_are(tmp_path: Path) -> None:
    folder = _checkout(tmp_path / "checkout", "3.99")
    path = f"{ROOT / '.uv/bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "UV_PYTHON_DOWNLOADS": "never", "HOME": str(tmp_path)}
    done = subprocess.run([folder / "scripts/setup"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    for way in ("apt-get install python3.99", "UV_PYTHON=/path/to/python3.99", "UV_PYTHON_INSTALL_MIRROR="):
        assert way in done.stderr
    assert not (folder / ".venv").exists()
    assert not list(folder.glob(".setup-lock.*"))


def _pinned(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


def test_runs_do_without_the_tools_of_the_tests_and_share_all_versions_with_them() -> None:
    runs, tests = _pinned("requirements.lock"), _pinned("requirements-dev.lock")
    assert not {"pytest", "mypy", "ruff", "selenium"} & runs.keys()
    assert {"pytest", "mypy", "ruff", "selenium"} <= tests.keys()
    assert runs.items() <= tests.items()
    assert "triton" in runs, "the set-up leaves it out where there is no GPU; the lock names it"
