"""The engine on real workers, a real study and a real tracking store; the trials themselves take no time."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from mlflow import MlflowClient

from daf.config import DAFConfig, daf_save_config
from daf.errors import DAFConfigError, DAFError
from daf.sweeps import (
    daf_grid_search,
    daf_launch_sweep,
    daf_random_search,
    daf_sweep_best_config,
    daf_sweep_status,
    daf_variant_sweep,
)
from daf.sweeps.api import with_sweep
from daf.sweeps.conclude import storage_note
from daf.sweeps.jobs import OUTCOME_FILE
from daf.sweeps.study import load_stored
from tests.sweeps import tasks

Load = Callable[..., DAFConfig]


def _task(load: Load, name: str, *overrides: str) -> DAFConfig:
    return load(f"task.name={name}", f"task.function={tasks.__name__}.{name}", *overrides)


def _children(config: DAFConfig, parent: str | None) -> list[Any]:
    client = MlflowClient(config.tracking.uri)
    experiment = client.get_experiment_by_name(config.tracking.experiment)
    return client.search_runs([experiment.experiment_id], f"tags.mlflow.parentRunId = '{parent}'")


def test_a_sweep_finds_the_best_and_files_every_trial(tiny: Load, tmp_path: Path) -> None:
    config = _task(tiny, "quadratic", "sweep.n_jobs=2")
    result = daf_grid_search(config, {"optimizer.lr": [1e-4, 1e-3, 1e-2], "training.gamma": [0.9, 0.99]})
    assert (result.status.complete, result.status.best_values) == (6, (0.0,))
    assert tasks.runs(tmp_path) == {1e-4: 2, 1e-3: 2, 1e-2: 2}
    children = _children(config, result.run_id)
    assert {run.info.run_name for run in children} >= {"lr=0.001 gamma=0.9", "lr=0.01 gamma=0.99"}
    assert {run.info.status for run in children} == {"FINISHED"}
    assert all(float(run.data.params["optimizer.lr"]) in (1e-4, 1e-3, 1e-2) for run in children)
    plots = {file.path for file in MlflowClient(config.tracking.uri).list_artifacts(result.run_id, "plots")}
    drawn = ("history", "parallel_coordinates", "slice", "contour")
    assert plots == {"plots/sweep.html", *(f"plots/{name}.png" for name in drawn)}, "importances need more trials"
    told = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (told["status"], told["task"], told["objective"], told["run_id"]) == ("ok", "sweep", 0.0, result.run_id)
    assert (told["metrics"]["complete"], told["facts"]["study"]) == (6, result.study_name)
    assert Path(told["files"]["status"]).is_file()


def test_the_same_sweep_goes_on_under_the_same_run(tiny: Load, tmp_path: Path) -> None:
    config = _task(tiny, "quadratic")
    space = {"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
    first = daf_random_search(config, space, 2)
    more = daf_random_search(config.model_copy(update={"output_dir": str(tmp_path / "out2")}), space, 3)
    assert (more.run_id, more.study_name) == (first.run_id, first.study_name)
    assert list(tasks.runs(tmp_path).values()) == [1, 1, 1]
    assert [path.name for path in (tmp_path / "out2").iterdir() if path.name.isdigit()] == ["2"]


def test_failures_are_tried_again_and_a_lasting_one_is_never_best(tiny: Load, tmp_path: Path) -> None:
    flaky = daf_grid_search(_task(tiny, "fails_once", "sweep.n_jobs=2"), {"optimizer.lr": [1e-3, 1e-2]})
    assert (flaky.status.complete, flaky.status.failed) == (2, 0)
    config = _task(tiny, "fails_above", "seed=1", f"output_dir={tmp_path / 'above'}")
    result = daf_grid_search(config, {"optimizer.lr": [1e-4, 1e-3, 1e-2]})
    assert (result.status.complete, result.status.failed, result.status.best) == (2, 1, 1)
    assert [(trial.state, trial.values) for trial in result.trials] == [
        ("COMPLETE", (-1.0,)),
        ("COMPLETE", (0.0,)),
        ("FAIL", ()),
    ]
    last = result.trials[2]
    assert (last.assignments, last.failure) == ({"optimizer.lr": 1e-2}, "failed: RuntimeError: too high")
    assert last.output_dir is not None
    assert (last.output_dir / "trial.log").is_file()
    failed = [run for run in _children(config, result.run_id) if run.info.status == "FAILED"]
    assert [run.info.run_name for run in failed] == ["lr=0.01"] * 2
    files = {file.path for file in MlflowClient(config.tracking.uri).list_artifacts(failed[0].info.run_id)}
    assert {"traceback.txt", "trial.log", "config.yaml"} <= files


def test_an_objective_that_is_no_number_fails_at_once_and_says_why(tiny: Load, tmp_path: Path) -> None:
    config = _grid(_task(tiny, "no_number", "sweep.max_failure_rate=1"), [1e-4, 1e-3])
    with pytest.raises(DAFError, match=r"2 failed.*The objective is no number: reward is nan"):
        daf_launch_sweep(config)
    assert list(tasks.runs(tmp_path).values()) == [1, 1], "it would be none again"
    children = _children(config, load_stored(config).facts.parent_run_id)
    assert [run.info.status for run in children] == ["FAILED"] * 2


def test_too_many_failures_end_the_sweep(tiny: Load) -> None:
    config = _task(tiny, "fails_above", "sweep.max_retries=0")
    with pytest.raises(DAFError, match=r"(?s)max_failure_rate.*too high"):
        daf_grid_search(config, {"optimizer.lr": [2e-3, 3e-3, 4e-3, 1e-3]})
    assert daf_sweep_status(_grid(config, [2e-3, 3e-3, 4e-3, 1e-3])).failed == 3


def _grid(config: DAFConfig, values: list[float]) -> DAFConfig:
    return with_sweep(config, space={"optimizer.lr": values}, sampler="grid")


def test_combinations_that_make_no_config_cost_nothing(tiny: Load, tmp_path: Path) -> None:
    config = _task(tiny, "quadratic")
    space: dict[str, list[Any]] = {
        "training.minibatch_size": [16, 128],
        "training.bptt_horizon": [8, 64],
        "optimizer.lr": [1e-3],
    }
    result = daf_grid_search(config, space)
    assert (result.status.complete, result.status.failed) == (3, 1)
    assert tasks.runs(tmp_path) == {1e-3: 3}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"optimizer.learning_rate": [1, 2]}, "optimizer.learning_rate"),
        ({"optimizer.lr": [-1.0, 1e-3]}, "optimizer.lr"),
        ({"variant.names": [["nonsense"]]}, "nonsense"),
        ({"policy": ["nope"]}, "nope"),
        ({"mission.cogs": [2, 50]}, "mission"),
        ({"output_dir": ["a", "b"]}, "cannot be swept"),
    ],
)
def test_a_wrong_space_is_reported_before_anything_is_created(
    tiny: Load, tmp_path: Path, space: dict[str, list[Any]], message: str
) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DAFConfigError, match=message):
        daf_grid_search(tiny(), space)
    assert sorted(tmp_path.iterdir()) == before


def test_several_objectives_give_a_front(tiny: Load) -> None:
    objectives = ("objective.metric=[reward,steps]", "objective.direction=[maximize,maximize]")
    config = _task(tiny, "two_objectives", *objectives)
    result = daf_grid_search(config, {"optimizer.lr": [1e-4, 1e-3]})
    assert result.status.front == (0, 1)
    assert result.objective == (1e-4, -1e-4)


def test_variants_are_swept_as_lists(tiny: Load) -> None:
    result = daf_variant_sweep(_task(tiny, "quadratic"), [[], ["credit"], ["miner", "credit"]])
    assert result.status.complete == 3
    with (result.output_dir / "2" / "config.yaml").open() as file:
        assert yaml.safe_load(file)["variant"]["names"] == ["miner", "credit"]


def test_the_best_config_is_given_back(tiny: Load) -> None:
    config = _grid(_task(tiny, "quadratic"), [1e-4, 1e-3])
    daf_grid_search(config, {"optimizer.lr": [1e-4, 1e-3]})
    best = daf_sweep_best_config(config)
    assert best.optimizer.lr == 1e-3
    assert best.output_dir == config.output_dir


#: So many that the sweep is not over by the time that a busy machine has looked at it.
MANY = [1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 6e-4, 7e-4, 8e-4, 9e-4]
SCRIPT = """
import sys
from daf.config import daf_load_config
from daf.cli.exit_codes import exit_code
from daf.sweeps import daf_launch_sweep
sys.exit(exit_code(lambda: daf_launch_sweep(daf_load_config(sys.argv[1]))))
"""


def _start(config: DAFConfig, path: Path) -> "subprocess.Popen[bytes]":
    daf_save_config(config, path)
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(path)], cwd=Path(__file__).parents[2])


def wait_for(what: Callable[[], Any], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := what():
                return found
        except (DAFError, psutil.Error, json.JSONDecodeError):
            pass
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def _workers(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process(process.pid).children()
        if "daf.execution.processes" in " ".join(child.cmdline())
    ]


def test_killing_a_worker_and_then_everything_loses_no_trial(tiny: Load, tmp_path: Path) -> None:
    config = _grid(_task(tiny, "slow", "sweep.n_jobs=2", "sweep.name=killed"), MANY)
    first = _start(config, tmp_path / "config.yaml")
    wait_for(lambda: daf_sweep_status(config).complete >= 1)
    wait_for(lambda: daf_sweep_status(config).running == 2)
    victim = _workers(first)[0]
    victim.kill()
    wait_for(lambda: daf_sweep_status(config).complete >= 3 and daf_sweep_status(config).running)
    left = _workers(first)
    first.kill()
    first.wait()
    wait_for(lambda: not any(worker.is_running() and worker.status() != "zombie" for worker in left))
    status = daf_sweep_status(config)
    assert status.interrupted >= 1
    assert status.running == 0

    assert _start(config, tmp_path / "config.yaml").wait() == 0
    trials = load_stored(config).trials()
    assert [trial.state for trial in trials] == ["COMPLETE"] * len(MANY)
    assert sorted(trial.params["optimizer.lr"] for trial in trials) == MANY
    ended = Counter(json.loads(path.read_text())["run_id"] for path in tmp_path.glob(f"**/{OUTCOME_FILE}"))
    assert ended == Counter(trial.facts.run_id for trial in trials), "no finished trial ran twice"
    children = _children(config, load_stored(config).facts.parent_run_id)
    finished = [run.info.run_name for run in children if run.info.status == "FINISHED"]
    assert sorted(finished) == [f"lr={value:.4g}" for value in MANY]
    assert {run.info.status for run in children} <= {"FINISHED", "FAILED", "KILLED"}, "none seems to run on"


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_behind_but_a_study_that_goes_on(tiny: Load, tmp_path: Path) -> None:
    config = _grid(_task(tiny, "slow", "sweep.n_jobs=2", "sweep.name=stopped"), MANY)
    process = _start(config, tmp_path / "config.yaml")
    wait_for(lambda: daf_sweep_status(config).complete >= 1 and daf_sweep_status(config).running)
    workers = _workers(process)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(30) == 130
    assert not any(worker.is_running() and worker.status() != "zombie" for worker in workers)
    parent = load_stored(config).facts.parent_run_id
    assert MlflowClient(config.tracking.uri).get_run(parent).info.status == "KILLED"
    assert daf_sweep_status(config).interrupted >= 1
    assert _start(config, tmp_path / "config.yaml").wait() == 0
    assert daf_sweep_status(config).complete == len(MANY)
    assert MlflowClient(config.tracking.uri).get_run(parent).info.status == "FINISHED"


@pytest.mark.slow
def test_ctrl_c_ends_the_runs_of_a_trials_seeds(tiny: Load, tmp_path: Path) -> None:
    config = _grid(tiny("sweep.seeds_per_trial=2", "training.num_steps=1000000"), [1e-3])
    client = MlflowClient(config.tracking.uri)

    def statuses() -> dict[str, str]:
        found = client.search_experiments()
        runs = client.search_runs([experiment.experiment_id for experiment in found])
        return {run.info.run_name: run.info.status for run in runs}

    process = _start(config, tmp_path / "config.yaml")
    wait_for(lambda: statuses().get("seed=42") == "RUNNING")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert (statuses()["seed=42"], statuses()["lr=0.001"]) == ("KILLED", "KILLED")


def test_wrong_arguments_of_a_sampler_are_reported_before_anything_is_created(tiny: Load, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    config = tiny("+sweep.sampler_kwargs.nonsense=1", "sweep.pruner=asha", "+sweep.pruner_kwargs.reduction_factor=0")
    with pytest.raises(DAFConfigError) as error:
        daf_random_search(config, {"optimizer.lr": {"low": 1e-4, "high": 1e-2}}, 2)
    assert {problem.where for problem in error.value.problems} == {"sweep.sampler_kwargs", "sweep.pruner_kwargs"}
    assert sorted(tmp_path.iterdir()) == before


def test_a_password_in_the_storage_is_not_shown(tiny: Load) -> None:
    config = tiny("sweep.storage='postgresql://me:hunter2@host/studies'")
    assert config.sweep.storage is not None
    assert storage_note("mine", config.sweep.storage) == "Study: mine in postgresql://***@host/studies"


def test_a_trial_that_ended_after_its_sweep_is_not_run_again(tiny: Load, tmp_path: Path) -> None:
    config = _grid(_task(tiny, "slow", "sweep.name=outlived"), MANY[:3])
    first = _start(config, tmp_path / "config.yaml")
    wait_for(lambda: list(tmp_path.glob("**/trial.log")))
    first.send_signal(signal.SIGSTOP)
    ended = wait_for(lambda: list(tmp_path.glob(f"**/{OUTCOME_FILE}")))
    first.kill()
    first.wait()
    assert daf_sweep_status(config).complete < len(ended), "the study does not know it yet"

    assert _start(config, tmp_path / "config.yaml").wait() == 0
    stored = load_stored(config)
    assert [trial.state for trial in stored.trials()] == ["COMPLETE"] * 3
    assert tasks.runs(tmp_path) == dict.fromkeys(MANY[:3], 1)
    assert [run.info.status for run in _children(config, stored.facts.parent_run_id)] == ["FINISHED"] * 3


@pytest.mark.slow
def test_a_confirmation_survives_a_dead_worker_and_ctrl_c(tiny: Load, tmp_path: Path) -> None:
    confirm = ("sweep.confirm=retrain", "sweep.confirm_seeds=8", "sweep.confirm_episodes=2", "sweep.name=confirmed")
    config = _grid(tiny(*confirm), [1e-3])
    client = MlflowClient(config.tracking.uri)

    def statuses() -> list[str]:
        experiment = client.get_experiment_by_name(config.tracking.experiment)
        runs = client.search_runs([experiment.experiment_id], "tags.`daf.trial.confirms` = 'true'")
        return [run.info.status for run in runs]

    first = _start(config, tmp_path / "config.yaml")
    wait_for(lambda: daf_sweep_status(config).complete and "RUNNING" in statuses())
    _workers(first)[0].kill()
    wait_for(lambda: statuses().count("FINISHED") >= 2 and "RUNNING" in statuses())
    first.send_signal(signal.SIGINT)
    assert first.wait(30) == 130
    assert "RUNNING" not in statuses()
    assert _start(config, tmp_path / "config.yaml").wait() == 0
    assert statuses().count("FINISHED") == 8
    assert statuses().count("FAILED") == 1
