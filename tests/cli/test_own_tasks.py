"""Tasks of the user's own that are broken: a sentence, the right exit code, and no run that seems to go on."""

import os
from pathlib import Path

import pytest
from mlflow import MlflowClient

from daf import environment_checks
from daf.environment_checks import EnvironmentCheckResult
from tests.cli.support import run

RUNS = {
    "import sys; sys.exit(0)": "ends the program (exit code 0)",
    "import os; os._exit(0)": "ends the program (exit code 0)",
    "raise GeneratorExit": "raises GeneratorExit",
    "return None": "gave NoneType, and not daf.results.TaskResult(objective=...)",
}
NEVER = {
    "def task(config, tracker)\n    pass\n": "SyntaxError",
    "1 / 0\n": "ZeroDivisionError",
    "import not_there\n": "not_there",
    "raise SystemExit(0)\n": "ends the program",
    "import os; os._exit(0)\n": "ends the program",
    "\0\n": "null bytes",
    "def task(): ...\n": "too many positional arguments",
    "def task(config): ...\n": "too many positional arguments",
    "def task(a, b, c): ...\n": "missing a required argument: 'c'",
    "def task(config, tracker, *, more): ...\n": "required keyword-only argument: 'more'",
    "task = 3\n": "neither a function nor a Task",
    "other = 3\n": "has no attribute 'task'",
}


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: str, request: pytest.FixtureRequest) -> list[str]:
    """Overrides for the task in a module of the user's; what stands in it is the test's parameter."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"own_{abs(hash(request.param))}_{os.getpid()}"
    (tmp_path / f"{name}.py").write_text(request.param)
    return ["task=evaluate", "policy=noop", "task.name=own", f"task.function={name}.task", f"tracking.uri={store}"]


def inside(statement: str) -> str:
    return f"def task(config, tracker):\n    {statement}\n"


@pytest.mark.parametrize(("own", "words"), [(inside(code), words) for code, words in RUNS.items()], indirect=["own"])
def test_a_task_that_does_not_do_its_work_fails(
    own: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment_checks, "daf_check_environment", lambda config: EnvironmentCheckResult())
    assert run(monkeypatch, *own, "output_dir=out") == 1
    told = capsys.readouterr().err
    assert words in told
    assert "Traceback" not in told
    client = MlflowClient(own[-1].removeprefix("tracking.uri="))
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    assert [found.info.status for found in client.search_runs(experiments)] == ["FAILED"]


@pytest.mark.parametrize(("own", "words"), NEVER.items(), indirect=["own"])
def test_a_task_that_cannot_be_run_is_refused(
    own: list[str], words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    assert run(monkeypatch, *own, "output_dir=out") == 2
    told = capsys.readouterr().err
    assert "task.function: " in told
    assert words in told
    assert "Traceback" not in told
    assert {path.name for path in tmp_path.iterdir()} - before <= {"__pycache__"}
