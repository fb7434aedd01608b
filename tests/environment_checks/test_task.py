"""`task=check`: one row a check, everything at once, and an exit code; nothing is made."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from daf.config import DAFConfig, daf_load_config
from daf.environment_checks import daf_check
from daf.environment_checks.task import _as_its_task
from daf.errors import DAFConfigError
from tests.cli.support import run
from tests.conftest import TINY

Load = Callable[..., DAFConfig]

CHECKS = [
    *("task", "packages", "optional parts", "cores", "clock", "study storage", "device", "memory"),
    *("output folder", "disk", "tracking store", "files", "missions", "policies"),
]


def test_a_sound_request_has_a_row_for_every_check(tiny: Load) -> None:
    config = tiny("task=check")
    result = daf_check(config)
    (table,) = result.tables
    assert table.columns == ("check", "state", "found", "remedy")
    assert [row[0] for row in table.rows] == CHECKS
    assert {row[0]: row[1] for row in table.rows if row[1] != "ok"} == {}
    assert result.refused is None
    assert (result.metrics["checks"], result.metrics["errors"]) == (len(CHECKS), 0)
    assert result.facts["device.state"] == "ok"
    assert result.facts["device.found"].startswith("cpu for training; ")
    assert result.notes == ("0 errors, 0 warnings. task=train can run here.",)
    assert not Path(config.output_dir).exists()


def test_everything_that_is_wrong_is_named_at_once_with_a_remedy(tiny: Load, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database at all, but long enough to be read as one by anybody" * 9)
    wrong = ("device=cuda:63", "policy.weights=missing.pt", "evaluation.missions=[evals.diagnostic_memory]")
    result = daf_check(tiny("task=check", "check.task=evaluate", *wrong, "mission.cogs=8", "notify.urls=[]"))
    errors = {row[0]: row for row in result.tables[0].rows if row[1] == "error"}
    assert errors.keys() == {"device", "tracking store", "files", "missions"}
    assert all(row[3] for row in errors.values()), "each has a remedy"
    assert "missing.pt" in errors["files"][2]
    assert "cuda:63" in errors["device"][2]
    assert "spawn points 4" in errors["missions"][2]
    assert "is not an SQLite database" in errors["tracking store"][2]
    # What needs a mission that can be built says so, and does not call the policy wrong.
    assert result.facts["policies.state"] == "skipped"
    assert "no mission can be built" in result.facts["policies.found"]
    assert result.refused == "task=evaluate cannot run here: 4 errors, 0 warnings"


def test_the_command_ends_with_1_where_something_is_wrong_and_makes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mlflow.db").write_text("no database" * 99)
    own = (f"tracking.uri=sqlite:///{tmp_path}/mlflow.db", f"output_dir={tmp_path}/out", "check.missions=false")
    assert run(monkeypatch, "task=check", *TINY, *own) == 1
    told = capsys.readouterr()
    assert "task=train cannot run here: 1 error, 0 warnings" in told.err
    assert "SQLite" in told.out
    assert "MLflow run" not in told.out
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_task_that_is_none_is_a_wrong_request(monkeypatch: pytest.MonkeyPatch, tiny: Load) -> None:
    assert run(monkeypatch, "task=check", "check.task=evalute") == 2
    with pytest.raises(DAFConfigError, match=r"check\.task: 'evalute' is no task of DAF's\. Did you mean evaluate"):
        daf_check(tiny("task=check", "check.task=evalute"))


def test_the_config_is_looked_at_as_its_task_would_see_it() -> None:
    """The file of task=power says 200 steps and 20 episodes; what the user says goes before it."""
    config = daf_load_config(overrides=["task=check", "check.task=power", "evaluation.episodes=7"])
    own = daf_load_config(overrides=["task=power", "evaluation.episodes=7"])
    seen = _as_its_task(config, "power")
    assert seen.mission.max_steps == 200
    same = {"output_dir": "", "check": own.check}
    assert seen.model_copy(update=same) == own.model_copy(update=same)


def test_a_task_of_the_config_that_has_problems(tiny: Load) -> None:
    result = daf_check(tiny("task=check", "check.task=compare", "check.missions=false", "comparison.policies=[noop]"))
    assert result.facts["task.state"] == "error"
    assert "comparison.policies: holds fewer than two policies." in result.facts["task.found"]
    assert "missions.state" not in result.facts


def test_code_that_fails_while_it_is_checked_is_a_row_and_not_the_end(
    tiny: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: DAFConfig) -> None:
        raise RuntimeError("anybody's code.")

    monkeypatch.setattr("daf.environment_checks.files.used_policies", lambda config, task: broken(config))
    result = daf_check(tiny("task=check", "check.missions=false"))
    assert result.facts["files.found"] == "files: could not be checked: RuntimeError: anybody's code."
    assert result.facts["tracking store.state"] == "ok"


def command(tmp_path: Path, *arguments: str, missing: str = "") -> subprocess.CompletedProcess[str]:
    """A command in a process that cannot import one package."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == os.environ['TEST_MISSING']:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    own = (*TINY, f"tracking.uri=sqlite:///{tmp_path}/mlflow.db", f"output_dir={tmp_path}/out")
    return subprocess.run(
        [sys.executable, "-m", "daf.run", *own, *arguments],
        env=os.environ | {"PYTHONPATH": path, "TEST_MISSING": missing},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("package", ["torch", "mlflow", "cogames"])
def test_a_required_package_is_missing_and_a_sentence_says_so(tmp_path: Path, package: str) -> None:
    done = command(tmp_path, "task=evaluate", "policy=noop", missing=package)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert f"daf_run: {package}" in done.stderr
    assert ", which DAF requires, is not installed. Install it: " in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_check_names_the_missing_package_beside_everything_else(tmp_path: Path) -> None:
    done = command(tmp_path, "task=check", "check.missions=false", missing="torch")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "torch is missing; see packages" in done.stdout
    assert "torch: " in done.stdout
    assert "tracking store" in done.stdout


def test_without_missions_it_takes_under_five_seconds_of_processor_time(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = command(tmp_path, "task=check", "check.missions=false", missing="nothing")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 5.0
