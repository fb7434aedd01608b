"""MLflow: what arrives, and what happens when it does not."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from daf.config import daf_load_config
from daf.errors import DAFError, DAFInterruptedError
from daf.tracking.provenance import log_provenance
from daf.tracking.store import open_store, tracking_uri
from daf.tracking.tracker import Tracker


def test_everything_arrives(tracker: Tracker, store: str, tmp_path: Path) -> None:
    tracker.log_params({f"key{i}": i for i in range(250)})
    for step in range(300):
        tracker.log_metrics({f"m{i}": step * i for i in range(10)}, step=step)
    tracker.log_metrics({"good": 1.0, "bad": float("nan"), "worse": float("inf")})
    tracker.set_tags({"colour": "blue"})
    tracker.log_text("hello\n", "folder/note.txt")
    tracker.close("FINISHED")
    client = MlflowClient(store)
    run = client.get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert len(run.data.params) == 250
    assert run.data.params["key249"] == "249"
    assert run.data.tags["colour"] == "blue"
    assert run.data.metrics["good"] == 1.0
    assert not {"bad", "worse"} & run.data.metrics.keys()
    history = client.get_metric_history(tracker.run_id, "m9")
    assert [(point.step, point.value) for point in history] == [(step, step * 9) for step in range(300)]
    assert [item.path for item in client.list_artifacts(tracker.run_id, "folder")] == ["folder/note.txt"]
    on_disk = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert on_disk[299] == {
        "run_id": tracker.run_id,
        "step": 299,
        "time_ms": on_disk[299]["time_ms"],
        "metrics": {f"m{i}": 299 * i for i in range(10)},
    }
    assert on_disk[-1]["metrics"].keys() == {"duration_s"}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "FINISHED"),
        (ValueError("broken"), "FAILED"),
        (KeyboardInterrupt(), "KILLED"),
        (DAFInterruptedError("x"), "KILLED"),
    ],
)
def test_how_the_block_ends_is_the_runs_status(
    error: BaseException | None, status: str, store: str, tmp_path: Path
) -> None:
    client, experiment = open_store(store, "test")
    tracker = Tracker(client, experiment, "name", tmp_path)
    if error is None:
        with tracker:
            pass
    else:
        with pytest.raises(type(error)) as raised, tracker:
            raise error
        assert raised.value is error
    run = MlflowClient(store).get_run(tracker.run_id)
    assert run.info.status == status
    assert ("broken" in run.data.tags.get("daf.error", "")) == (status == "FAILED")
    assert [thread.name for thread in threading.enumerate() if thread.name == "daf-tracker"] == []


def test_interrupted_while_its_run_is_made_it_leaves_no_run_that_seems_to_go_on(store: str, tmp_path: Path) -> None:
    client, experiment = open_store(store, "test")
    create = client.create_run

    def interrupted(*arguments: Any, **options: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return create(*arguments, **options)

    client.create_run = interrupted
    with pytest.raises(KeyboardInterrupt):
        Tracker(client, experiment, "name", tmp_path)
    assert [run.info.status for run in client.search_runs([experiment])] == ["KILLED"]


def test_any_key_of_the_users_is_a_parameter(tracker: Tracker, store: str) -> None:
    tracker.log_params({"sweep.space.+policy.init_kwargs.x[0]": 1, "seed": 2})
    tracker.close("FINISHED")
    assert MlflowClient(store).get_run(tracker.run_id).data.params == {
        "sweep.space._policy.init_kwargs.x_0_": "1",
        "seed": "2",
    }


def test_a_deleted_experiment_is_told(store: str) -> None:
    client, experiment = open_store(store, "test")
    client.delete_experiment(experiment)
    with pytest.raises(DAFError, match=r"tracking\.experiment: 'test' was deleted"):
        open_store(store, "test")


def test_a_broken_store_does_not_end_the_work(tracker: Tracker, tmp_path: Path, store: str) -> None:
    tracker.log_metrics({"before": 1.0})
    while not MlflowClient(store).get_run(tracker.run_id).data.metrics:
        pass
    database = tmp_path / "mlflow.db"
    aside = tmp_path / "aside.db"
    database.rename(aside)
    database.mkdir()
    tracker.log_metrics({"during": 2.0}, step=3)
    tracker.close("FINISHED")
    kept = [json.loads(line) for line in (tmp_path / "out" / "undelivered.jsonl").read_text().splitlines()]
    assert tracker.undelivered == len(kept)
    values = [entry[:2] for item in kept if item["kind"] == "metrics" for entry in item["content"]]
    assert ["during", 2.0] in values
    assert "end" in {item["kind"] for item in kept}
    assert all(item["run_id"] == tracker.run_id for item in kept)


def test_provenance(tracker: Tracker, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET_KEY", "hush-hush-1")
    overrides = [
        "task=train",
        "optimizer.lr=0.5",
        "+policy.init_kwargs.api_key=letmein",
        "+policy.init_kwargs.note=hush-hush-1",
    ]
    log_provenance(tracker, daf_load_config(overrides=overrides), overrides)
    tracker.close("FINISHED")
    client = MlflowClient(store)
    run = client.get_run(tracker.run_id)
    assert run.data.params["optimizer.lr"] == "0.5"
    assert run.data.params["training.gamma"] == "0.995"
    assert run.data.params["policy.init_kwargs.api_key"] == "***"
    assert run.data.tags["version.cogames"] == "0.17.1"
    assert int(run.data.tags["hardware.cores"]) > 0
    names = {item.path for item in client.list_artifacts(tracker.run_id)}
    assert {"config.yaml", "overrides.yaml", "packages.txt"} <= names
    told = json.dumps([run.data.params, run.data.tags])
    for path in tracker.output_dir.glob("*.*"):
        told += path.read_text()
    assert "letmein" not in told
    assert "hush-hush-1" not in told


def test_the_default_store_is_absolute_and_in_the_checkout() -> None:
    assert tracking_uri(None) == f"sqlite:///{Path(__file__).parents[2] / 'mlruns' / 'mlflow.db'}"
    assert tracking_uri("http://x") == "http://x"


@pytest.mark.slow
def test_processes_that_start_together_share_a_fresh_store(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'new.db'}"
    script = (
        "import sys; from pathlib import Path; from daf.tracking import Tracker, open_store\n"
        "client, experiment = open_store(sys.argv[1], 'shared'); out = Path(sys.argv[2]); out.mkdir()\n"
        "with Tracker(client, experiment, sys.argv[2], out) as t: t.log_metrics({'x': 1.0})\n"
    )
    commands = [[sys.executable, "-c", script, store, str(tmp_path / f"out{i}")] for i in range(4)]
    processes = [subprocess.Popen(command) for command in commands]
    assert [process.wait(timeout=300) for process in processes] == [0, 0, 0, 0]
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("shared")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert [(run.info.status, run.data.metrics["x"]) for run in runs] == [("FINISHED", 1.0)] * 4
