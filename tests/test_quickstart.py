"""The main job in small, and in full where there is time."""

from collections.abc import Callable

import pytest
from matplotlib.image import imread
from mlflow import MlflowClient

from daf.config import DAFConfig, daf_load_config
from daf.quickstart import QuickstartResult
from daf.run import daf_run

Load = Callable[..., DAFConfig]


def test_the_run_holds_curve_plot_table_and_checkpoint(
    tiny: Load, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = daf_run(tiny("task=quickstart", "evaluation.episodes=6", "evaluation.baselines=[noop,random]"))
    assert isinstance(result, QuickstartResult)
    assert result.evaluation.policies == ("lstm (trained)", "noop", "random")
    assert result.objective == result.evaluation.objective
    client = MlflowClient(store)
    (experiment,) = (e.experiment_id for e in client.search_experiments() if e.name == "daf")
    (run,) = client.search_runs([experiment])
    files = {
        item.path
        for folder in ("plots", "tables", "checkpoints")
        for item in client.list_artifacts(run.info.run_id, folder)
    }
    assert {"plots/learning_curve.png", "plots/policy_comparison.png", "checkpoints/model_000002.pt"} <= files
    assert any(name.startswith("tables/lstm__trained") for name in files)
    assert run.data.metrics["objective"] == result.objective
    output = result.training.checkpoint_dir.parent
    assert imread(output / "plots" / "policy_comparison.png").size > 0
    comparison = result.tables[-1]
    assert [row[0] for row in comparison.rows] == ["noop", "random"]
    told = capsys.readouterr().out
    assert "paired by seed" in told
    assert run.info.run_id in told


@pytest.mark.slow
def test_the_shipped_defaults_beat_random_and_noop(tmp_path_factory: pytest.TempPathFactory, store: str) -> None:
    folder = tmp_path_factory.mktemp("quickstart")
    config = daf_load_config(
        overrides=[f"tracking.uri={store}", f"output_dir={folder}", "device=cpu", "evaluation.cache=off"]
    )
    result = daf_run(config)
    verdicts = {row[0]: row[-1] for row in result.tables[-1].rows}
    assert (verdicts["random"], verdicts["noop"]) == ("higher", "higher")
