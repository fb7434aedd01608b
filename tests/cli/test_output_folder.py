"""One folder, one run: on the real command line."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from daf import environment_checks
from daf.config import DAFConfig
from daf.environment_checks import EnvironmentCheckResult
from daf.results import TaskResult
from daf.tracking.output_folder import RECORD
from daf.tracking.tracker import Tracker
from tests.cli.support import run


def nothing(config: DAFConfig, _: Tracker) -> TaskResult:
    if config.level == 0.7:
        raise RuntimeError("no luck")
    return TaskResult(objective=config.optimizer.lr)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: str) -> list[str]:
    """A task that is done at once, without a look at the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment_checks, "daf_check_environment", lambda config: EnvironmentCheckResult())
    return [f"tracking.uri={store}", "task.name=nothing", f"task.function={__name__}.nothing"]


def runs(store: list[str]) -> int:
    client = MlflowClient(store[0].removeprefix("tracking.uri="))
    found = client.get_experiment_by_name("daf")
    return len(client.search_runs([found.experiment_id])) if found else 0


@pytest.mark.parametrize("folder", ["output_dir=out", "hydra.run.dir=out"])
def test_a_second_request_is_refused_and_begins_nothing(
    folder: str, quick: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *quick, folder) == 0
    files = {path: path.read_bytes() for path in Path("out").iterdir() if path.is_file()}
    assert run(monkeypatch, *quick, folder, "seed=7") == 2
    told = capsys.readouterr().err
    assert f"output_dir: {Path('out').absolute()} holds another run's files (task=nothing, MLflow run " in told
    assert {path: path.read_bytes() for path in Path("out").iterdir() if path.is_file()} == files
    assert run(monkeypatch, *quick, folder) == 0
    assert runs(quick) == 2


def test_a_run_that_failed_is_made_again_in_its_folder(quick: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for code in (1, 1):
        assert run(monkeypatch, *quick, "output_dir=out", "level=0.7") == code
        assert json.loads((Path("out") / RECORD).read_text())["status"] == "FAILED"
    assert run(monkeypatch, *quick, "output_dir=out", "level=0.8") == 2


def test_sweepers_of_others_keep_their_folder_too(
    quick: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ["-m", *quick, "hydra/sweeper=basic", "output_dir=out"]
    assert run(monkeypatch, *sweep, "seed=1,2") == 0
    assert run(monkeypatch, *sweep, "seed=1,3") == 2
    assert "holds another run's files (multirun " in capsys.readouterr().err
    assert run(monkeypatch, *quick, "output_dir=out") == 2
    assert run(monkeypatch, *sweep, "seed=1,2") == 0


@pytest.mark.parametrize("key", ["output_dir", "hydra.run.dir"])
@pytest.mark.parametrize("folder", ["x" * 300, "file/out", "/proc/none/x", "/dev/null/x", "''", "${nope}", "'a\0b'"])
def test_a_folder_that_cannot_be_made_is_told(
    key: str, folder: str, quick: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("")
    before = sorted(Path().iterdir())
    assert run(monkeypatch, *quick, f"{key}={folder}") == 2
    told = capsys.readouterr().err
    assert key in told or "cannot be used" in told
    assert "Traceback" not in told
    assert sorted(Path().iterdir()) == before


def test_a_sweeps_folder_is_looked_at_before_its_study_is_begun(
    quick: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *quick, "output_dir=out") == 0
    monkeypatch.setattr("daf.sweeps.launch.ProcessExecutor.__enter__", lambda self: self)
    monkeypatch.setattr("daf.sweeps.launch.check_sweep", lambda *_: [])
    assert run(monkeypatch, "-m", *quick, "seed=1,2", "output_dir=out") == 2
    assert "holds another run's files (task=nothing" in capsys.readouterr().err
    assert not Path("studies").exists()


@pytest.mark.parametrize(
    "setting", ["hydra.job_logging.handlers.file.filename=/nope/x.log", "+hydra.callbacks.mine._target_=nope.Nope"]
)
def test_what_hydra_cannot_set_up_is_told_and_leaves_no_folder(
    setting: str, quick: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *quick, "output_dir=out", setting) == 2
    told = capsys.readouterr().err
    assert "hydra: Hydra cannot set up the job: " in told
    assert "Traceback" not in told
    assert not Path("out").exists()
