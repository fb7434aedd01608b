"""The board: what is read of a real store, what changes cost, and what is said of runs whose process is gone."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from daf.config import DAFConfig
from daf.dashboard import store as reading
from daf.dashboard.board import Board, thin
from daf.sweeps.api import with_sweep
from daf.tracking.abandoned import HOST, PID, STARTED, process_tags
from daf.tracking.begin import new_run
from daf.tracking.store import open_store
from tests.sweeps.support import open_study

Load = Callable[..., DAFConfig]


@pytest.fixture
def client(store: str) -> tuple[MlflowClient, str]:
    return open_store(store, "watched")


def look(board: Board, since: str = "") -> tuple[str, Any]:
    board._next_look = 0.0
    return board.changes(since)


def log_epoch(client: MlflowClient, run_id: str, step: int, reward: float) -> None:
    now = int(time.time() * 1000)
    client.log_metric(run_id, "reward", reward, now, step)
    client.log_metric(run_id, "SPS", 100.0, now, step)


def test_a_store_that_is_not_there_is_empty_and_is_not_made(tiny: Load, tmp_path: Path) -> None:
    config = tiny(f"tracking.uri=sqlite:///{tmp_path / 'none' / 'mlflow.db'}")
    _, state = look(Board(config))
    assert (state["going"], state["ended"], state["problem"]) == ([], [], "")
    assert not (tmp_path / "none").exists()


def test_a_training_shows_how_far_it_is_and_only_what_changed_is_sent(
    tiny: Load, client: tuple[MlflowClient, str]
) -> None:
    mlflow, experiment = client
    run_id = new_run(mlflow, experiment, "mine", {"daf.task": "train"})
    other = new_run(mlflow, experiment, "other", {"daf.task": "train"})
    mlflow.log_param(run_id, "training.num_steps", "1000")
    log_epoch(mlflow, run_id, 100, 0.5)
    log_epoch(mlflow, run_id, 250, 0.75)
    board = Board(tiny())
    version, state = look(board)
    item = state["items"][run_id]
    assert item["progress"] | {"at_ms": 0} == {"done": 250, "total": 1000, "rate": 100.0, "at_ms": 0}
    assert (item["curve"], item["value"], item["state"]) == ([(100, 0.5), (250, 0.75)], ["reward", 0.75], "running")
    assert look(board, version) == (version, None)
    log_epoch(mlflow, run_id, 400, 1.0)
    version, changes = look(board, version)
    assert set(changes["items"]) == {run_id}
    assert set(changes["going"]) == {run_id, other}
    mlflow.set_terminated(other, "FAILED")
    mlflow.delete_run(run_id)
    _, changes = look(board, version)
    assert (changes["going"], changes["ended"], changes["items"][other]["state"]) == ([], [other], "failed")
    assert set(look(board, "elsewhere.7")[1]["items"]) == {other}


def test_a_run_whose_process_is_gone_is_lost_and_nothing_is_written(
    tiny: Load, client: tuple[MlflowClient, str]
) -> None:
    mlflow, experiment = client
    gone = {**process_tags(), PID: "4194305", STARTED: "1.00"}
    away = {**process_tags(), HOST: "elsewhere"}
    lost, silent, alive = (
        mlflow.create_run(experiment, run_name=name, tags=tags, start_time=start).info.run_id
        for name, tags, start in (("lost", gone, 1000), ("silent", away, 1000), ("alive", away, None))
    )
    _, state = look(Board(tiny()))
    assert {run: state["items"][run]["state"] for run in (lost, silent, alive)} == {
        lost: "lost",
        silent: "silent",
        alive: "running",
    }
    assert (state["ended"], set(state["going"])) == ([lost], {silent, alive})
    assert {(worker["host"], len(worker["runs"])) for worker in state["workers"]} >= {("elsewhere", 2)}
    assert mlflow.get_run(lost).info.status == "RUNNING"


def test_a_pipeline_is_shown_with_its_stages(tiny: Load, client: tuple[MlflowClient, str]) -> None:
    mlflow, experiment = client
    parent = new_run(mlflow, experiment, "nightly", {"daf.kind": "pipeline"})
    for name, end in (("train", "FINISHED"), ("compare", None)):
        tags = {"daf.kind": "stage", "daf.stage": name, "mlflow.parentRunId": parent}
        stage = new_run(mlflow, experiment, f"stage {name}", tags)
        if end:
            mlflow.set_terminated(stage, end)
    board = Board(tiny())
    _, state = look(board)
    stages = state["items"][parent]["stages"]
    assert [(each["name"], each["state"]) for each in stages] == [("train", "finished"), ("compare", "running")]
    mlflow.set_terminated(stage, "FAILED")
    for name, status in (("train", "ok"), ("compare", "failed"), ("report", "skipped")):
        mlflow.set_tag(parent, f"daf.stage.{name}", status)
    mlflow.set_terminated(parent, "FAILED")
    _, state = look(board)
    stages = [(each["name"], each["state"]) for each in state["items"][parent]["stages"]]
    assert stages == [("train", "ok"), ("compare", "failed"), ("report", "skipped")]
    assert state["ended"] == [parent]


def test_a_sweep_is_read_from_its_study(tiny: Load, client: tuple[MlflowClient, str]) -> None:
    mlflow, experiment = client
    config = with_sweep(tiny("sweep.name=mine"), space={"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}})
    stored = open_study(config)
    for value in (1.0, 3.0, 2.0, 0.5):
        trial = stored.next_trial()
        assert trial is not None
        trial.suggest(stored_space(config), lambda _: config)
        trial.record(assignments={"optimizer.lr": trial.params["optimizer.lr"]})
        trial.complete([value])
    running = stored.next_trial()
    assert running is not None
    sweep = new_run(mlflow, experiment, "sweep mine", {"daf.kind": "sweep", "daf.sweep": "mine"})
    nowhere = new_run(mlflow, experiment, "sweep gone", {"daf.kind": "sweep", "daf.sweep": "gone"})
    board = Board(tiny())
    _, state = look(board)
    summary = state["items"][sweep]["sweep"]
    assert (summary["finished"], summary["running"], summary["at_work"]) == (4, 1, True)
    assert (summary["best"]["number"], summary["best"]["values"]) == (1, [3.0])
    assert summary["history"] == [(0, 1.0), (1, 3.0), (2, 3.0), (3, 3.0)]
    assert "there is no study gone" in state["items"][nowhere]["sweep"]["problem"]
    detail = board.studies.detail("mine", None)
    assert [trial["state"] for trial in detail["trials"]] == ["complete"] * 4 + ["running"]
    assert detail["space"] == {"optimizer.lr": "0.0001 to 0.01"}
    assert detail["importances"] == {"optimizer.lr": 1.0}
    stored.close()


def stored_space(config: DAFConfig) -> Any:
    from daf.sweeps.space import Space

    return Space.from_config(config.sweep.space)


def test_two_runs_are_compared_by_what_differs(tiny: Load, client: tuple[MlflowClient, str]) -> None:
    mlflow, experiment = client
    runs = []
    for lr, reward in (("0.1", 1.0), ("0.2", 2.0)):
        run_id = new_run(mlflow, experiment, f"lr={lr}", {})
        mlflow.log_param(run_id, "optimizer.lr", lr)
        mlflow.log_param(run_id, "seed", "1")
        log_epoch(mlflow, run_id, 10, reward)
        runs.append(run_id)
    mlflow.log_metric(runs[1], "objective", 7.0)
    board = Board(tiny())
    one, other = (board.find(run_id) for run_id in runs)
    assert one is not None and other is not None
    found = board.comparison(one, other)
    assert found["config"] == [["optimizer.lr", "0.1", "0.2"]]
    assert (found["metric"], found["curves"]) == ("reward", [[(10, 1.0)], [(10, 2.0)]])
    assert ["objective", None, 7.0] in found["metrics"]


def test_of_many_runs_the_newest_are_read(
    tiny: Load, client: tuple[MlflowClient, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_ENDED", 5)
    mlflow, experiment = client
    for number in range(8):
        run = mlflow.create_run(experiment, run_name=str(number), start_time=number + 1)
        mlflow.set_terminated(run.info.run_id, end_time=number + 2)
    board = Board(tiny())
    _, state = look(board)
    assert [state["items"][run_id]["name"] for run_id in state["ended"]] == ["7", "6", "5", "4", "3"]
    newest = mlflow.create_run(experiment, run_name="8")
    mlflow.set_terminated(newest.info.run_id)
    _, state = look(board)
    assert [state["items"][run_id]["name"] for run_id in state["ended"]] == ["8", "7", "6", "5", "4"]


def test_a_store_that_breaks_is_told_and_what_was_read_stays(
    tiny: Load, client: tuple[MlflowClient, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow, experiment = client
    run_id = new_run(mlflow, experiment, "mine", {})
    board = Board(tiny())
    look(board)

    def broken(*_: object, **__: object) -> None:
        raise OSError("the disk is away")

    monkeypatch.setattr(board.store._client, "search_runs", broken)
    _, state = look(board)
    assert "the disk is away" in state["problem"]
    assert state["going"] == [run_id]


def test_a_thinned_curve_keeps_its_ends_and_no_invented_peak() -> None:
    points = [(step, float(step % 2)) for step in range(1000)]
    small = thin(points, 60)
    assert len(small) <= 60
    assert small[-1][0] == 999
    assert all(0 <= value <= 1 for _, value in small)
    assert thin([], 60) == []
