"""Names that MLflow refuses: legal at the last gate, apart from each other, and alone with their fate."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from daf.config import daf_load_config
from daf.errors import DAFConfigError
from daf.tracking.names import Keys, artifact_path, folder_name, legal_key, legal_value
from daf.tracking.store import open_store
from daf.tracking.tracker import Tracker

NASTY = [
    "hp@1 (x)",
    "hp#1 (x)",
    "hp_1 _x_",
    "",
    ".",
    "../up",
    "a//b",
    "/root",
    "\x00",
    "\udcff",
    "new\nline",
    "k" * 900,
]


def test_any_name_is_a_key_of_its_own(tracker: Tracker, store: str) -> None:
    tracker.log_metrics(dict.fromkeys(["plain", *NASTY], 1.0) | {"nan": float("nan"), "huge": 10**400})
    tracker.log_params({name: index for index, name in enumerate(NASTY)} | {"long": "v" * 9000, "zero": "a\x00b\udcff"})
    tracker.set_tags({name: name for name in NASTY})
    tracker.close("FINISHED")
    data = MlflowClient(store).get_run(tracker.run_id).data
    assert tracker.undelivered == 0
    assert {"plain", "hp_1 _x_", "duration_s"} <= data.metrics.keys()
    assert len(data.metrics) == len(NASTY) + 2
    assert len(data.params) == len(NASTY) + 2
    assert sorted(data.params[key] for key in data.params if key not in {"long", "zero"}) == sorted(
        str(index) for index in range(len(NASTY))
    )
    assert data.params["long"].endswith("... (9000 characters)")


def test_what_mlflow_refuses_takes_nothing_along_and_is_told(
    tracker: Tracker, store: str, caplog: pytest.LogCaptureFixture
) -> None:
    tracker.log_params({"fixed": 1})
    tracker.log_params({f"p{i}": i for i in range(50)} | {"fixed": 2})
    tracker.log_metrics({f"m{i}": i for i in range(105)}, step=3)
    tracker.log_metrics({"far": 1.0}, step=2**70)
    tracker.close("FINISHED")
    run = MlflowClient(store).get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert {f"p{i}" for i in range(50)} <= run.data.params.keys()
    assert {f"m{i}" for i in range(105)} <= run.data.metrics.keys()
    assert run.data.params["fixed"] == "1"
    assert "MLflow refused 2 values of this run: param 'fixed', metric 'far'" in caplog.text


@pytest.mark.parametrize("name", ["../../x.txt", "/etc/x", "a/../b", "n\x00ul", "x" * 400 + ".json", "..", ""])
def test_a_file_stays_below_its_run(name: str, tracker: Tracker, store: str) -> None:
    path = tracker.log_text("hello", name)
    tracker.close("FINISHED")
    assert path.resolve().is_relative_to(tracker.output_dir.resolve())
    found = MlflowClient(store).download_artifacts(tracker.run_id, str(path.relative_to(tracker.output_dir)))
    assert Path(found).read_text() == "hello"


@pytest.mark.parametrize("name", ["../../x", "/abs", "..", "a/b", "50%", "#?", "ü" * 250, "daf"])
def test_artifacts_of_any_experiment_lie_beside_the_store(name: str, store: str, tmp_path: Path) -> None:
    client, experiment = open_store(store, name)
    (tmp_path / "out").mkdir()
    with Tracker(client, experiment, name, tmp_path / "out") as tracker:
        tracker.log_text("hello", "note.txt")
    (note,) = [path for path in tmp_path.rglob("note.txt") if path.parent != tmp_path / "out"]
    assert note.is_relative_to(tmp_path / "artifacts")
    assert [item.path for item in client.list_artifacts(tracker.run_id)] == ["note.txt"]
    assert open_store(store, name)[1] == experiment


@pytest.mark.parametrize("name", ["a\x00b", "x" * 251, "line\nline", "\x1b[31m", " "])
def test_an_experiment_without_a_printable_name_is_refused(name: str, store: str) -> None:
    config = daf_load_config(overrides=["task=train"])
    with pytest.raises((DAFConfigError, ValueError)):
        type(config.tracking).model_validate({**config.tracking.model_dump(), "experiment": name})


def test_names_stay_as_they_are_where_they_can() -> None:
    assert legal_key("sweep.space.+policy.init_kwargs.x[0]") == "sweep.space._policy.init_kwargs.x_0_"
    keys = Keys()
    assert keys.of(["a@b", "a_b"])["a_b"] == "a_b"
    assert keys.of(["a@b"]) == keys.of(["a@b"]) != {"a@b": "a_b"}
    assert artifact_path("plots/curve 1.png") == "plots/curve 1.png"
    assert folder_name("daf") == "daf"
    assert folder_name("a/b") != folder_name("a_b")
    assert legal_value("short") == "short"
