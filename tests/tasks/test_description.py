"""What MLflow's UI says of a run: description, tables, the kind of its experiment, who began it."""

import json
from pathlib import Path

from mlflow import MlflowClient

from daf.results import ResultTable, TaskResult
from daf.tasks.description import MOST_ROWS, describe
from daf.tracking.store import open_store
from daf.tracking.tracker import Tracker


def test_a_run_says_what_was_asked_and_what_came_out(tracker: Tracker, store: str) -> None:
    rows = tuple((f"policy {number}", "1.0") for number in range(MOST_ROWS + 2))
    result = TaskResult(objective=None, tables=(ResultTable("Who won", ("policy", "mean"), rows),), notes=("a wins.",))
    describe(tracker, result, ["task=compare", "deployment.token=abc", "comparison.policies=[a,b]"])
    tracker.close("FINISHED")
    client = MlflowClient(store)
    run = client.get_run(tracker.run_id)
    note = run.data.tags["mlflow.note.content"]
    assert "    python -m daf.run task=compare" in note
    assert "'comparison.policies=[a,b]'" in note
    assert "abc" not in note
    assert "- a wins." in note
    assert "| policy 19 | 1.0 |" in note
    assert "policy 20" not in note
    assert "2 rows more" in note
    logged = json.loads(run.data.tags["mlflow.loggedArtifacts"])
    assert logged == [{"path": "tables/who_won.json", "type": "table"}]
    path = Path(client.download_artifacts(tracker.run_id, "tables/who_won.json"))
    assert json.loads(path.read_text())["columns"] == ["policy", "mean"]


def test_a_description_is_never_too_long_for_mlflow(tracker: Tracker, store: str) -> None:
    describe(tracker, TaskResult(objective=None, notes=("x" * 20_000,)), [])
    tracker.close("FINISHED")
    note = MlflowClient(store).get_run(tracker.run_id).data.tags["mlflow.note.content"]
    assert 5_000 < len(note) < 8_000


def test_the_ui_opens_an_experiment_on_runs_and_metrics(store: str) -> None:
    client, experiment_id = open_store(store, "a new one")
    tags = client.get_experiment(experiment_id).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    assert tags["mlflow.note.content"].startswith("Runs of DAF")
