"""Sweeps that train: what a trial sets is what the optimizer gets, and what fresh seeds say decides."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
import yaml
from mlflow import MlflowClient

from daf.bridge.file_digests import file_digest
from daf.config import DAFConfig, DAFParameterConfig, daf_load_config
from daf.errors import DAFConfigError, DAFError
from daf.records import EpisodeRecord
from daf.run import daf_run
from daf.scoring_analysis import daf_compute_vor
from daf.sweeps import SweepResult, daf_grid_search, daf_launch_sweep
from daf.sweeps.jobs import TrialOutcome
from daf.sweeps.study import RunningTrial, load_stored
from tests.conftest import TINY
from tests.sweeps import tasks
from tests.sweeps.test_engine import wait_for

Load = Callable[..., DAFConfig]
ROOT = Path(__file__).parents[2]


def _cli(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "daf.run", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300
    )


def _children(store: str, parent: str | None) -> list[Any]:
    client = MlflowClient(store)
    found = client.search_experiments()
    return client.search_runs(
        [experiment.experiment_id for experiment in found], f"tags.mlflow.parentRunId = '{parent}'"
    )


def test_multirun_trains_each_value_and_logs_it(store: str, tmp_path: Path) -> None:
    """The command of the README: two learning rates, two runs under one parent, two optimizers, two policies."""
    here = (f"tracking.uri={store}", f"output_dir={tmp_path / 'out'}", "sweep.confirm=off")
    done = _cli("-m", "task=train", *TINY, *here, "optimizer.lr=1e-4,3e-4", "optimizer.anneal_lr=false")
    assert done.returncode == 0, done.stderr
    client = MlflowClient(store)
    runs = client.search_runs([client.get_experiment_by_name("daf").experiment_id])
    parent = next(run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    children = _children(store, parent.info.run_id)
    assert {run.info.run_name: run.data.params["optimizer.lr"] for run in children} == {
        "lr=0.0001": "0.0001",
        "lr=0.0003": "0.0003",
    }
    assert all("objective" in run.data.metrics and run.info.status == "FINISHED" for run in children)
    for number, lr in enumerate((1e-4, 3e-4)):
        state = torch.load(tmp_path / "out" / str(number) / "checkpoints" / "trainer_state.pt", weights_only=True)
        assert state["optimizer_state_dict"]["param_groups"][0]["lr"] == lr
    digests = {file_digest(path) for path in (tmp_path / "out").glob("*/checkpoints/model_*.pt")}
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (("optimizer.learning_rate=1,2", "seed=a", "optimizer.lr=-1,1"), ("learning_rate", "seed: 'a'", "lr: -1")),
        (("sweep.space={optimizer.nope:[1,2]}",), ("optimizer.nope",)),
        ((), ("nothing is swept",)),
    ],
)
def test_a_wrong_command_ends_with_two_and_leaves_nothing(
    store: str, tmp_path: Path, arguments: tuple[str, ...], messages: tuple[str, ...]
) -> None:
    done = _cli("-m", "task=train", *TINY, f"tracking.uri={store}", f"output_dir={tmp_path / 'out'}", *arguments)
    assert done.returncode == 2
    assert all(message in done.stderr for message in messages), done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db"]


def test_a_parameter_without_effect_has_no_winner(tiny: Load) -> None:
    config = tiny("sweep.confirm=reevaluate", "sweep.confirm_episodes=6", "sweep.n_jobs=2")
    result = daf_grid_search(config, {"training.checkpoint_interval": [10, 20]})
    assert result.confirmation is not None
    assert result.confirmation.winner is None
    assert result.winner_files == ()
    assert "no significant difference" in result.confirmation.verdict
    assert "no significant difference" in (result.status.verdict or "")


def _longer_episodes(tiny: Load, tmp_path: Path, *overrides: str) -> SweepResult:
    """Longer episodes have more moves: an effect that every episode shows, and in each another one."""
    config = tiny(
        "objective.metric=agent/action.move.success",
        "sweep.confirm_episodes=6",
        f"sweep.winner={tmp_path / 'experiment' / 'best.yaml'}",
        *overrides,
    )
    return daf_grid_search(config, {"mission.max_steps": [20, 60]})


def test_a_winner_is_an_experiment_that_loads(tiny: Load, tmp_path: Path) -> None:
    result = _longer_episodes(tiny, tmp_path, "sweep.confirm=reevaluate")
    assert result.confirmation is not None
    assert result.confirmation.winner == 1
    assert isinstance(result.objective, float) and 20 < result.objective <= 60
    assert "The winner is the weights of trial 1" in result.confirmation.verdict
    assert result.winner_files == (tmp_path / "experiment" / "best.yaml",)
    again = daf_load_config(overrides=[f"hydra.searchpath=[file://{tmp_path}]", "experiment=best"])
    assert (again.mission.max_steps, again.mission.cogs, again.training.num_steps) == (60, 2, 512)
    assert (again.task.name, again.policy.weights) == ("evaluate", result.confirmation.weights[0])


@pytest.mark.slow
def test_a_winner_can_be_trained_anew(tiny: Load, tmp_path: Path) -> None:
    result = _longer_episodes(tiny, tmp_path, "sweep.confirm_seeds=6")
    assert result.confirmation is not None
    assert result.confirmation.winner == 1
    # Six trainings of both, and six more of the winner for its mean.
    assert len([path for path in (tmp_path / "out" / "confirmation").iterdir() if "seed" in path.name]) == 18
    assert result.confirmation.weights == ()
    again = _longer_episodes(tiny, tmp_path, "sweep.confirm_seeds=6")
    assert again.confirmation is not None
    assert again.confirmation.mean == result.confirmation.mean


def test_a_pruned_trial_ends_early_and_keeps_its_metrics(tiny: Load, store: str) -> None:
    hopeless = ("sweep.pruner=optuna.pruners.ThresholdPruner", "+sweep.pruner_kwargs.upper=-100", "sweep.name=hopeless")
    config = tiny("training.num_steps=4096", *hopeless)
    with pytest.raises(DAFError, match="no trial of hopeless finished"):
        daf_grid_search(config, {"training.update_epochs": [1]})
    trial = load_stored(config).trials()[0]
    assert trial.state == "PRUNED"
    assert 0 < trial.facts.agent_steps < 4096
    run = MlflowClient(store).get_run(trial.facts.run_id)
    assert (run.info.status, run.data.tags["daf.trial.state"]) == ("FINISHED", "PRUNED")
    assert "reward" in run.data.metrics


@pytest.mark.slow
@pytest.mark.parametrize("preset", sorted(path.stem for path in (ROOT / "conf" / "sweep").glob("*.yaml")))
def test_every_preset_runs(tiny: Load, preset: str) -> None:
    """Three trials of each; the ranges of the presets that bring none of their own are the learning rate's."""
    if preset == "cmaes":
        pytest.importorskip("cmaes")
    config = tiny(f"sweep={preset}", "sweep.confirm=off", "sweep.n_jobs=2", "sweep.n_trials=3")
    choices = DAFParameterConfig(choices=(1e-4, 3e-4, 1e-3))
    interval = DAFParameterConfig(low=1e-4, high=1e-2, log=True)
    space = config.sweep.space or {"optimizer.lr": choices if preset in ("default", "grid") else interval}
    result = daf_launch_sweep(config.model_copy(update={"sweep": config.sweep.model_copy(update={"space": space})}))
    assert (result.status.finished, result.status.failed) == (3, 0)


@pytest.mark.slow
def test_several_seeds_make_one_objective(tiny: Load, store: str) -> None:
    config = tiny("sweep.seeds_per_trial=2", "sweep.pruner=wilcoxon", "sweep.confirm=off", "sweep.name=seeds")
    daf_grid_search(config, {"optimizer.lr": [1e-3, 3e-3]})
    trial = load_stored(config).trials()[0]
    assert list(trial.intermediate_values) == [0, 1, 2, 3], "one for each episode of both policies"
    assert trial.values[0] == pytest.approx(sum(trial.intermediate_values.values()) / 4)
    names = {run.info.run_name for run in _children(store, trial.facts.run_id)}
    assert names == {"seed=42", "seed=43"}


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=1")])
def test_the_official_plugin_drives_daf_run(store: str, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    here = (f"tracking.uri={store}", f"output_dir={tmp_path / 'out'}")
    done = _cli("-m", *arguments, "task=train", *TINY, *here, "optimizer.lr=interval(1e-4,1e-2)")
    assert done.returncode == 0, done.stderr
    client = MlflowClient(store)
    runs = client.search_runs([client.get_experiment_by_name("daf").experiment_id])
    parent = next(run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    rates = {run.data.params["optimizer.lr"] for run in _children(store, parent.info.run_id)}
    assert len(rates) == 2


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_a_hydra_launcher_runs_the_trials(store: str, tmp_path: Path, launcher: str) -> None:
    """Slurm itself is not at hand; `submitit_local` goes the same way but for the queue."""
    here = (f"tracking.uri={store}", f"output_dir={tmp_path / 'out'}", "sweep.name=launched", "sweep.n_jobs=2")
    launcher_arguments = (f"hydra/launcher={launcher}", "sweep.confirm=off")
    done = _cli("-m", *launcher_arguments, "task=train", *TINY, *here, "optimizer.lr=1e-4,3e-4,1e-3")
    assert done.returncode == 0, done.stderr
    config = daf_load_config(overrides=[f"tracking.uri={store}", "sweep.name=launched"])
    trials = load_stored(config).trials()
    assert [trial.state for trial in trials] == ["COMPLETE"] * 3
    assert all(trial.intermediate_values for trial in trials), "reported through the storage"
    parent = load_stored(config).facts.parent_run_id
    assert {run.data.params["optimizer.lr"] for run in _children(store, parent)} == {"0.0001", "0.0003", "0.001"}


@pytest.mark.slow
def test_a_launched_trial_that_ended_after_its_sweep_is_not_run_again(store: str, tmp_path: Path) -> None:
    """The sweep may die while its trials go on in a cluster's queue."""
    here = (f"tracking.uri={store}", f"output_dir={tmp_path / 'out'}", "sweep.name=outlived")
    task = ("task.name=mine", f"task.function={tasks.__name__}.quadratic", "sweep.confirm=off")
    command = ("-m", "hydra/launcher=joblib", *task, *here, "optimizer.lr=1e-4,1e-3")
    assert _cli(*command, "sweep.n_trials=1").returncode == 0
    study = load_stored(daf_load_config(overrides=[f"tracking.uri={store}", "sweep.name=outlived"]))
    study.study.enqueue_trial({"optimizer.lr": 1e-3})
    left = RunningTrial(study.study.ask())
    left.record(assignments={"optimizer.lr": 1e-3}, output_dir=str(tmp_path), run_id="of-the-dead")
    TrialOutcome(state="complete", run_id="of-the-dead", values=(7.0,)).save(tmp_path)

    done = _cli(*command)
    assert done.returncode == 0, done.stderr
    assert study.trials()[1].values == (7.0,)
    assert list(tasks.runs(tmp_path)) == [1e-4], "only the first trial ran"


@pytest.mark.slow
def test_a_job_that_dies_takes_no_trial_of_its_launcher_with_it(store: str, tmp_path: Path) -> None:
    here = (f"tracking.uri={store}", f"output_dir={tmp_path / 'out'}", "sweep.name=dies", "sweep.n_jobs=2")
    task = ("task.name=mine", f"task.function={tasks.__name__}.dies_once", "sweep.confirm=off")
    done = _cli("-m", "hydra/launcher=joblib", *task, *here, "optimizer.lr=1e-4,1e-3,1e-2,1e-1")
    assert done.returncode == 0, done.stderr
    study = load_stored(daf_load_config(overrides=[f"tracking.uri={store}", "sweep.name=dies"]))
    assert [trial.values for trial in study.trials()] == [(-1.0,), (0.0,), (-1.0,), (-4.0,)]
    for trial in study.trials():
        config = yaml.safe_load((Path(str(trial.facts.output_dir)) / "config.yaml").read_text())
        assert config["optimizer"]["lr"] == trial.params["optimizer.lr"], "its files are in its own folder"
    statuses = {run.info.status for run in _children(store, study.facts.parent_run_id)}
    assert statuses == {"FINISHED", "FAILED"}


@pytest.mark.slow
def test_ctrl_c_ends_the_runs_of_a_launcher(store: str, tmp_path: Path) -> None:
    here = (f"tracking.uri={store}", f"output_dir={tmp_path / 'out'}", "sweep.name=stopped", "sweep.n_jobs=2")
    long = ("task=train", *TINY, "training.num_steps=4000000", "optimizer.lr=1e-4,1e-3")
    command = [sys.executable, "-m", "daf.run", "-m", "hydra/launcher=joblib", *long, *here]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        # In the folders of both trials, from the moment on at which they train.
        wait_for(lambda: len(list((tmp_path / "out").glob("*/trial.log"))) == 2)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
    client = MlflowClient(store)
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert {run.info.run_name: run.info.status for run in runs} == dict.fromkeys(
        ("sweep stopped", "lr=0.0001", "lr=0.001"), "KILLED"
    )


def test_metrics_of_training_are_confirmed_by_trainings_only(tiny: Load, caplog: pytest.LogCaptureFixture) -> None:
    result = daf_grid_search(
        tiny("objective.metric=train/reward", "sweep.confirm=reevaluate"), {"optimizer.lr": [1e-3]}
    )
    assert result.status.complete == 1
    assert result.confirmation is None
    assert "train/reward needs sweep.confirm=retrain" in caplog.text


def test_a_pruner_sees_the_objective_and_no_other_quantity(tiny: Load, store: str) -> None:
    metric = "agent/action.noop.success"
    objective = (f"objective.metric={metric}", "objective.direction=minimize", "sweep.pruner=median")
    config = tiny(*objective, "sweep.report_every=256", "sweep.confirm=off", "sweep.name=seen")
    daf_grid_search(config, {"optimizer.lr": [1e-3]})
    (trial,) = load_stored(config).trials()
    history = MlflowClient(store).get_metric_history(trial.facts.run_id, f"environment/{metric}")
    assert list(trial.intermediate_values.values()) == [pytest.approx(point.value) for point in history]


def test_value_over_replacement_is_an_objective(tiny: Load, tmp_path: Path) -> None:
    """Beside another noop, noop is worth nothing; every policy's value is the one that `task=vor` finds."""
    team = ("variant=mining", "vor.pool=[noop]", "mission.max_steps=200", "mission.cogs=4")
    config = tiny("task=evaluate", *team, "objective.metric=vor", "sweep.confirm=off", "sweep.name=vor")
    result = daf_grid_search(config, {"policy.class_path": ["noop", "random"]})
    values = [trial.values[0] for trial in load_stored(config).trials()]
    seed = load_stored(config).seeds.of_trial(config).evaluation.seed
    own = (f"evaluation.seed={seed}", f"output_dir={tmp_path / 'alone'}")
    alone = daf_run(tiny("task=vor", *team, "policy=random", *own))
    assert values == pytest.approx([0.0, alone.objective])
    assert alone.objective != 0
    records = (result.output_dir / "1" / "vor" / "episodes.jsonl").read_text().splitlines()
    assert len(records) == 2 * 5, "two seeds with four to no agents of the candidate"


def test_value_over_replacement_needs_somebody_to_replace(tiny: Load) -> None:
    with pytest.raises(DAFConfigError, match=r"vor\.pool"):
        daf_grid_search(tiny("objective.metric=vor"), {"optimizer.lr": [1e-4, 1e-3]})


def test_a_front_of_reward_and_value_over_replacement(tiny: Load) -> None:
    objectives = ("objective.metric=[reward,vor]", "objective.direction=[maximize,maximize]", "vor.pool=[random]")
    result = daf_grid_search(
        tiny("variant=credit", *objectives, "sweep.confirm=off", "sweep.name=both"), {"optimizer.lr": [1e-3]}
    )
    children = result.output_dir / "0"
    alone = [json.loads(line) for line in (children / "evaluation" / "episodes.jsonl").read_text().splitlines()]
    mixed = [json.loads(line) for line in (children / "vor" / "episodes.jsonl").read_text().splitlines()]
    vor = daf_compute_vor([EpisodeRecord.from_dict(record) for record in mixed]).overall.value
    reward = fmean(EpisodeRecord.from_dict(record).reward() for record in alone)
    assert result.objective == pytest.approx((reward, vor))
