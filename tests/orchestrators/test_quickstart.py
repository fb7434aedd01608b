"""The main job in small, and in full where there is time."""

from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.image import imread
from mlflow import MlflowClient

from daf.config import DAFConfig, daf_load_config
from daf.environment_checks import daf_check_environment
from daf.orchestrators import PipelineResult
from daf.run import daf_run
from daf.sweeps.identity import identity
from daf.tasks import find_task
from tests.orchestrators.test_pipeline import runs_in

Load = Callable[..., DAFConfig]


def test_it_trains_compares_with_all_who_are_named_and_reports(
    tiny: Load, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = ("evaluation.policies=[starter]", "evaluation.baselines=[random,noop]")
    result = daf_run(tiny("task=quickstart", "evaluation.episodes=6", *listed))
    assert isinstance(result, PipelineResult)
    train, compare = result.stages
    assert (train.status, compare.status) == ("ok", "ok")
    names = [row[0] for table in compare.tables[:1] for row in table.rows]
    assert sorted(names) == ["lstm (trained)", "noop", "random", "starter"]
    assert result.objective == compare.objective
    assert train.files["checkpoint"] == train.output_dir / "checkpoints"
    runs = runs_in(store)
    assert runs["stage compare"].data.metrics["objective"] == result.objective
    files = MlflowClient(store).list_artifacts(runs["stage train"].info.run_id, "checkpoints")
    assert "checkpoints/model_000002.pt" in {item.path for item in files}
    assert (compare.output_dir / "comparison" / "report.html").stat().st_size > 0
    assert imread(compare.output_dir / "comparison" / "plots" / "policies.png").size > 0
    printed = capsys.readouterr().out
    assert "Pipeline quickstart" in printed
    assert runs["pipeline"].info.run_id in printed


def test_the_shipped_experiment_proves_an_installation(store: str, tmp_path: Path) -> None:
    here = (f"tracking.uri={store}", f"output_dir={tmp_path / 'out'}", "device=cpu", "evaluation.baselines=[noop]")
    result = daf_run(daf_load_config(overrides=["experiment=smoke", *here]))
    assert isinstance(result, PipelineResult)
    assert {each.name: each.status for each in result.stages} == {"train": "ok", "compare": "ok"}
    assert result.stage("train").metrics["train/agent_steps"] == 256


def test_it_is_checked_as_the_training_and_the_comparison_that_it_is(tiny: Load) -> None:
    wrong = tiny("task=quickstart", "policy=starter", "evaluation.baselines=['class=lstm,data=gone.pt']")
    told = [problem.where for problem in daf_check_environment(wrong).errors]
    assert "evaluation.baselines.0.weights" in told


def test_a_sweep_of_the_default_task_is_the_study_that_it_was() -> None:
    """A stored study is found again by the task's name and function, beside what decides a trial."""
    config = daf_load_config()
    assert identity(config)["task"] == {"name": "quickstart", "function": "daf.orchestrators.daf_quickstart"}
    assert "pipeline" not in identity(config)
    assert find_task(config.task).scored_by_sweeps


@pytest.mark.slow
def test_the_shipped_defaults_beat_random_and_noop(tmp_path_factory: pytest.TempPathFactory, store: str) -> None:
    folder: Path = tmp_path_factory.mktemp("quickstart")
    config = daf_load_config(
        overrides=[f"tracking.uri={store}", f"output_dir={folder}", "device=cpu", "evaluation.cache=off"]
    )
    result = daf_run(config)
    assert isinstance(result, PipelineResult)
    pairs = {row[0]: row[-1] for table in result.stage("compare").tables[1:2] for row in table.rows}
    for baseline in ("random", "noop"):
        assert pairs[f"lstm (trained) - {baseline}"] == "lstm (trained) is higher"
