"""Packages that are missing, broken, of another version, or optional."""

import importlib.metadata
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from daf.config import DAFConfig, daf_load_config
from daf.environment_checks import daf_check_dependencies, optional, packages
from daf.environment_checks.optional import check_optional_parts
from daf.errors import DAFConfigError, install_command, missing_requirement, needs_package

Load = Callable[..., DAFConfig]


def test_packages_are_there_missing_or_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    assert daf_check_dependencies().passed
    assert daf_check_dependencies().warnings == ()
    needs = ["cogames==0.17.1", "no-such-package>=1", "pydantic<1", "elsewhere; sys_platform == 'nowhere'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needs)
    found = daf_check_dependencies()
    assert [problem.where for problem in found.errors] == ["no-such-package"]
    (warning,) = found.warnings
    assert warning.startswith("pydantic: is 2.")
    assert "pydantic<1" in warning


def test_the_pin_of_cogames_is_one_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["cogames==0.17.0"])
    (warning,) = daf_check_dependencies().warnings
    assert warning.startswith("cogames: is 0.17.1, but DAF was made for cogames==0.17.0.")


def test_a_package_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    info = tmp_path / "broken_thing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-thing\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["broken-thing"])
    assert "its module broken_thing is not there" in str(daf_check_dependencies().errors[0])
    (tmp_path / "broken_thing.py").write_text("raise OSError('libgone.so: cannot open')\n")
    importlib.invalidate_caches()
    (problem,) = daf_check_dependencies().errors
    assert "broken-thing: cannot be imported: OSError: libgone.so: cannot open." in str(problem)
    sys.modules.pop("broken_thing", None)


def test_without_pictures_a_run_is_as_good(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise RuntimeError('no fonts')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["matplotlib>=3"])
    found = daf_check_dependencies()
    assert found.passed
    assert "matplotlib: cannot be imported: RuntimeError: no fonts." in found.warnings[0]


def test_other_versions_than_the_locked_ones_are_one_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_text(
        "# by uv\nnumpy==0.1 \\\n    --hash=sha256:00\nuvicorn[standard]==0.2\nnot-here==1 ; sys_platform == 'x'\n"
    )
    monkeypatch.setattr(packages, "project_dir", lambda: tmp_path)
    found = daf_check_dependencies()
    assert found.passed
    (warning,) = found.warnings
    assert warning.startswith("requirements.lock: numpy 2.")
    assert " instead of 0.1, uvicorn " in warning
    assert "not-here" not in warning


def test_an_optional_package_is_named_with_the_command_that_installs_it(
    tiny: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optional, "_is_here", lambda module: module != "apprise")
    (row,) = check_optional_parts(tiny()).rows
    assert row.state == "ok"
    assert "Not here: notify.urls: " in row.found
    assert row.found.endswith(" apprise")
    found = check_optional_parts(tiny("notify.urls=['json://localhost:1']"))
    assert found.passed
    assert "apprise is not installed" in found.warnings[0]
    assert found.rows[0].remedy.endswith(" apprise")


def test_a_launcher_that_is_not_installed_is_named_with_its_command() -> None:
    with pytest.raises(DAFConfigError, match=r"hydra/launcher: 'ray' needs hydra-ray-launcher, .* pip install"):
        daf_load_config(overrides=["hydra/launcher=ray"])


def test_whose_absence_is_behind_an_error() -> None:
    wrapped = RuntimeError("it failed")
    wrapped.__cause__ = ModuleNotFoundError("No module named 'mettagrid.policy'", name="mettagrid.policy")
    assert str(missing_requirement(wrapped)).startswith("cogames==0.17.1, which DAF requires, is not installed.")
    broken = ImportError("libtorch.so is gone", name="torch._C")
    assert "which DAF requires, is broken: libtorch.so is gone" in str(missing_requirement(broken))
    assert missing_requirement(ModuleNotFoundError("mine", name="my_policy")) is None
    assert missing_requirement(ValueError("torch")) is None
    assert needs_package("notify.urls", "apprise").startswith("notify.urls needs apprise, which is not installed. ")


def test_the_command_that_installs_a_package_is_one_that_works_here() -> None:
    """An environment that uv has made holds no pip. What is there already needs no network."""
    command = [*shlex.split(install_command("packaging")), "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
