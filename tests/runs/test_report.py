"""A report is built again from the store alone, and says the same."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from daf.config import DAFConfig, daf_load_config
from daf.environment_checks import daf_check_environment
from daf.errors import DAFConfigError, DAFError
from daf.results import ResultTable, TaskResult
from daf.runs.page import write_page
from daf.tasks import claimed_folder, run_tracked

Load = Callable[..., DAFConfig]


def ran(config: DAFConfig) -> tuple[dict[str, bytes], str]:
    """Does the work of a config. What its output folder held, which is gone afterwards, and the run's id."""
    folder = Path(config.output_dir)
    with claimed_folder(config) as claim:
        _, run_id = run_tracked(config, ["task=it", "seed=1"], claim)
    content = contents(folder)
    assert set(content) - artifacts(MlflowClient(config.tracking.uri), run_id) == {".daf-run.json", "metrics.jsonl"}
    shutil.rmtree(folder)
    return content, run_id


def artifacts(client: MlflowClient, run_id: str, folder: str | None = None) -> set[str]:
    """The tree in MLflow, which is that of the output folder."""
    items = client.list_artifacts(run_id, folder)
    inner = (artifacts(client, run_id, item.path) for item in items if item.is_dir)
    return {item.path for item in items if not item.is_dir}.union(*inner)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def count_of_runs(store: str) -> int:
    client = MlflowClient(store)
    return len(client.search_runs([each.experiment_id for each in client.search_experiments()]))


def reported(run: str, store: str, folder: Path) -> TaskResult:
    config = daf_load_config(overrides=["task=report", f"run={run}", f"tracking.uri={store}", f"output_dir={folder}"])
    if problems := daf_check_environment(config).errors:
        raise DAFConfigError(list(problems))
    with claimed_folder(config) as claim:
        result, run_id = run_tracked(config, [], claim)
    assert run_id == ""
    return result


def test_a_comparison_says_byte_for_byte_the_same_without_its_folder_and_policies(
    tiny: Load, store: str, tmp_path: Path
) -> None:
    mine = tmp_path / "weights"
    config = tiny(
        *("task=compare", "comparison.policies=[starter,{class_path: noop, name: mine}]", "evaluation.episodes=6"),
        *("variant=objective_mine", f"output_dir={mine}"),
    )
    before, run_id = ran(config)
    runs = len(
        MlflowClient(store).search_runs([each.experiment_id for each in MlflowClient(store).search_experiments()])
    )
    result = reported(run_id[:10], store, tmp_path / "again")
    again = contents(tmp_path / "again")
    tables = [
        name for name in before if name.startswith(("comparison/", "tables/")) and name.endswith((".csv", ".json"))
    ]
    # Those of MLflow's page aside.
    rebuilt = [name for name in tables if not name.endswith("_table.json") and name[:7] + name[-5:] != "tables/.json"]
    assert "comparison/comparison.json" in rebuilt
    assert "tables/summary.csv" in rebuilt
    assert {name: again[name] for name in rebuilt} == {name: before[name] for name in rebuilt}
    assert again["comparison/report.html"] == before["comparison/report.html"]
    assert result.files["report"] == tmp_path / "again" / "comparison" / "report.html"
    assert result.facts["run_id"] == run_id
    assert count_of_runs(store) == runs


def test_a_tournament_is_ranked_again(tiny: Load, store: str, tmp_path: Path) -> None:
    config = tiny("task=tournament", "tournament.policies=[starter,noop]", "tournament.seeds=5")
    before, run_id = ran(config)
    reported(run_id, store, tmp_path / "again")
    again = contents(tmp_path / "again")
    for name in ("tables/tournament.csv", "tournament/leaderboard.json"):
        assert again[name] == before[name]
    page = again["report.html"].decode()
    assert run_id in page
    assert "python -m daf.run task=it seed=1" in page
    assert "data:image/png;base64," in page


def test_an_evaluation_and_a_training(tiny: Load, store: str, tmp_path: Path) -> None:
    before, run_id = ran(tiny("task=evaluate", "policy=starter", "evaluation.baselines=[noop]"))
    reported(run_id, store, tmp_path / "evaluated")
    again = contents(tmp_path / "evaluated")
    tables = [name for name in before if name.startswith("tables/") and name.endswith(".csv")]
    for name in (*tables, "evaluation/episodes.csv"):
        assert again[name] == before[name]
    before, run_id = ran(tiny("task=train"))
    reported(run_id, store, tmp_path / "trained")
    again = contents(tmp_path / "trained")
    assert again["tables/training.csv"] == before["tables/training.csv"]
    assert again["plots/learning_curve.png"].startswith(b"\x89PNG")


@pytest.fixture
def bare(store: str, tmp_path: Path) -> Iterator[str]:
    client = MlflowClient(store)
    experiment = client.create_experiment("daf", (tmp_path / "artifacts").as_uri())
    run_id = str(client.create_run(experiment, run_name="nothing in it").info.run_id)
    yield run_id


def test_a_run_that_cannot_be_reported_is_refused_with_what_is_missing(bare: str, store: str, tmp_path: Path) -> None:
    with pytest.raises(DAFError, match=r"cannot be reported: it has neither tables \(tables/\*\.csv\) nor episodes"):
        reported(bare, store, tmp_path / "again")
    MlflowClient(store).log_text(bare, json.dumps({"notes": []}), "comparison/comparison.json")
    with pytest.raises(DAFError, match=r"no config\.yaml among its artifacts"):
        reported(bare, store, tmp_path / "again")


@pytest.mark.parametrize(("run", "told"), [("null", "needs the run"), ("abcdef12", "there is no run 'abcdef12'")])
def test_without_a_run_nothing_begins(run: str, told: str, bare: str, store: str, tmp_path: Path) -> None:
    with pytest.raises(DAFConfigError, match=told):
        reported(run, store, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_of_anything_else_the_tables_and_pictures_that_were_logged_are_shown(
    bare: str, store: str, tmp_path: Path
) -> None:
    client = MlflowClient(store)
    client.log_text(bare, "trial,reward\n0,0.5\n", "tables/best_trials.csv")
    client.log_text(bare, "<svg xmlns='http://www.w3.org/2000/svg'/>", "plots/history.svg")
    client.log_text(bare, "<p>the page</p>", "plots/sweep.html")
    config = json.loads(daf_load_config().model_dump_json())
    client.log_text(bare, json.dumps(config), "config.yaml")
    result = reported(bare, store, tmp_path / "again")
    assert result.tables == (ResultTable("Best trials", ("trial", "reward"), (("0", "0.5"),)),)
    assert "data:image/svg+xml;base64," in (tmp_path / "again" / "report.html").read_text()
    assert (tmp_path / "again" / "plots" / "sweep.html").read_text() == "<p>the page</p>"


def test_a_page_holds_what_it_is_given_as_text(tmp_path: Path) -> None:
    table = ResultTable("A <b>table</b>", ("name", "value"), (("<script>", "1"),))
    page = write_page(tmp_path / "p.html", "title & more", [("command", "a<b")], [table], ["a note"], []).read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "title &amp; more" in page
    assert "default-src 'none'" in page.replace("&#x27;", "'")
