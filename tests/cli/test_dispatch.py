"""How often a request is composed and checked on its way through the command line."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from mlflow import MlflowClient

from daf import environment_checks
from daf.cli.command_line import read_command_line
from daf.cli.hydra_job import job_folder
from tests.cli.support import run
from tests.conftest import TINY


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts compositions and checks in this process."""
    counts: Counter[str] = Counter()

    def count(owner: Any, name: str, as_name: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def counting(*arguments: Any, **options: Any) -> Any:
            counts[as_name] += 1
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, counting)

    count(ConfigLoaderImpl, "load_configuration", "composed")
    count(environment_checks, "daf_check_environment", "checked")
    return counts


def nothing(config: Any, tracker: Any) -> Any:
    from daf.results import TaskResult

    return TaskResult(objective=config.optimizer.lr, notes=(f"in {config.output_dir}",))


def options(store: str, folder: Path) -> list[str]:
    task = ["task=evaluate", "policy=noop", "task.name=nothing", f"task.function={__name__}.nothing"]
    return [*TINY, *task, f"tracking.uri={store}", f"output_dir={folder / 'out'}", "hydra/job_logging=none"]


def test_a_single_run_is_composed_once_and_checked_once(
    monkeypatch: pytest.MonkeyPatch,
    counted: Counter[str],
    store: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, *options(store, tmp_path), "optimizer.lr=0.5") == 0
    assert counted == {"composed": 1, "checked": 1}
    assert f"in {tmp_path / 'out'}" in capsys.readouterr().out
    assert "optimizer.lr=0.5" in (tmp_path / "out" / "overrides.yaml").read_text()
    (found,) = MlflowClient(store).search_runs([MlflowClient(store).get_experiment_by_name("daf").experiment_id])
    assert found.data.metrics["objective"] == 0.5


def test_a_request_that_cannot_run_creates_nothing(
    monkeypatch: pytest.MonkeyPatch, counted: Counter[str], store: str, tmp_path: Path
) -> None:
    assert run(monkeypatch, *options(store, tmp_path), "policy.weights=missing.pt") == 2
    assert counted == {"composed": 1, "checked": 1}
    assert not (tmp_path / "out").exists()


def test_an_invalid_value_is_composed_once_and_not_checked(
    monkeypatch: pytest.MonkeyPatch, counted: Counter[str]
) -> None:
    assert run(monkeypatch, "optimizer.lr=-1") == 2
    assert counted == {"composed": 1}


def test_a_foreign_sweeper_checks_before_anything_is_created(
    monkeypatch: pytest.MonkeyPatch, counted: Counter[str], store: str, tmp_path: Path
) -> None:
    sweep = ["hydra/sweeper=basic", "policy.weights=missing.pt", "optimizer.lr=0.1,0.2"]
    assert run(monkeypatch, "-m", *options(store, tmp_path), *sweep) == 2
    assert counted["checked"] == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("flag", [["--help"], ["-h"], ["-c", "job", "-h"]])
def test_help_composes_nothing(
    monkeypatch: pytest.MonkeyPatch, counted: Counter[str], flag: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "task=train", *flag) == 0
    assert counted == {}
    assert "Tasks (task=...)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--resolve"], "--resolve: is only for --cfg"), (["--config-dir", "gone"], "--config-dir: there is no folder")],
)
def test_flags_that_make_no_sense(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *arguments) == 2
    assert words in capsys.readouterr().err


def test_another_config_folder_is_laid_over(
    monkeypatch: pytest.MonkeyPatch, store: str, tmp_path: Path, counted: Counter[str]
) -> None:
    (tmp_path / "more" / "optimizer").mkdir(parents=True)
    shipped = (Path(__file__).parents[2] / "conf" / "optimizer" / "adam.yaml").read_text()
    lines = ["lr: 0.25" if line.startswith("lr:") else line for line in shipped.splitlines()]
    (tmp_path / "more" / "optimizer" / "mine.yaml").write_text("\n".join(lines))
    extra = ("--config-dir", str(tmp_path / "more"), "optimizer=mine")
    assert run(monkeypatch, *extra, *options(store, tmp_path)) == 0
    (found,) = MlflowClient(store).search_runs([MlflowClient(store).get_experiment_by_name("daf").experiment_id])
    assert found.data.metrics["objective"] == 0.25


def test_what_a_check_warns_of_is_logged_once_the_run_has_a_log(
    monkeypatch: pytest.MonkeyPatch, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warned = environment_checks.EnvironmentCheckResult(warnings=("one mission is left out",))
    monkeypatch.setattr(environment_checks, "daf_check_environment", lambda config: warned)
    assert run(monkeypatch, *options(store, tmp_path)) == 0
    assert "[HYDRA] one mission is left out" in capsys.readouterr().out  # the format of Hydra's log


@pytest.mark.parametrize("chosen", [["--config-name", "mine"], ["hydra/sweeper=basic"]])
def test_the_sweeper_is_the_one_that_hydra_takes(
    chosen: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, counted: Counter[str]
) -> None:
    """A config of the user's may choose it, in a folder of the user's; it is asked for once."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("defaults: [config, _self_, {override hydra/sweeper: basic}]\n")
    command = read_command_line(["-m", "--config-dir", str(tmp_path), *chosen, "seed=1,2", "output_dir=out"])
    composed = command.sweep()
    assert composed.hydra.sweeper._target_ == "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
    assert job_folder(composed, "hydra.sweep.dir") == str(tmp_path / "out")
    assert counted == {"composed": 1}
