"""The train task: what reaches MLflow and the disk, and how it ends."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from daf.errors import DAFTrainingDivergedError
from daf.run import daf_run
from daf.tracking.tracker import Tracker
from daf.training.task import daf_train
from daf.visualization.curves import daf_plot_training_curves
from tests.bridge.training.support import Load
from tests.promised_results import keeps_promises
from tests.training.support import only_run


def test_metrics_stream_and_the_checkpoint_is_logged(tiny: Load, tracker: Tracker, store: str) -> None:
    config = tiny("training.num_steps=768", "variant=credit", "mission=miner_tutorial")
    result = daf_train(config, tracker)
    tracker.close("FINISHED")
    evaluation = keeps_promises("train", result)
    assert evaluation is not None
    # The same game, for the checkpoint instead of a new network.
    for section in ("mission", "variant", "evaluation", "device", "tracking"):
        assert getattr(evaluation, section) == getattr(config, section)
    assert evaluation.task.name == "evaluate"
    assert evaluation.policy.weights == str(result.files["checkpoint"])
    assert result.metrics["train/agent_steps"] == 768
    client = MlflowClient(store)
    run = client.get_run(tracker.run_id)
    for name in ("losses/policy_loss", "learning_rate", "reward", "SPS"):
        assert [point.step for point in client.get_metric_history(tracker.run_id, name)] == [256, 512, 768]
    assert [step for step, _ in result.curve] == [256, 512, 768]
    digest = hashlib.sha256(result.model.read_bytes()).hexdigest()
    assert run.data.tags["daf.checkpoint_sha256"] == result.model_digest == digest
    names = {item.path for item in client.list_artifacts(tracker.run_id, "checkpoints")}
    assert names == {f"checkpoints/{name}" for name in ("model_000003.pt", "trainer_state.pt", "policy_spec.json")}


def test_the_curve_is_drawn_beside_those_of_other_seeds(
    tiny: Load, tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[dict[str, Any]] = []

    def plot(curves: dict[str, Any], path: Path, **options: Any) -> Path:
        shown.append(curves)
        return daf_plot_training_curves(curves, path, **options)

    monkeypatch.setattr("daf.training.curve.daf_plot_training_curves", plot)
    for own in ("seed=1", "optimizer.lr=0.5"):
        daf_run(tiny(own, "tracking.experiment=test", f"output_dir={tmp_path / own.partition('=')[0]}"))
    result = daf_train(tiny("seed=2"), tracker)
    assert [len(curves) for curves in shown] == [1, 1, 2], "another learning rate is another config"
    mine, other = shown[-1].items()
    assert (mine[0], tuple(mine[1])) == ("this training (seed 2)", result.curve)
    assert other[0].startswith("seed 1, run ")
    assert other[1] == next(iter(shown[0].values()))
    assert (tracker.output_dir / "plots" / "learning_curve.png").is_file()


def test_divergence_fails_the_run(tiny: Load, store: str) -> None:
    with pytest.raises(DAFTrainingDivergedError):
        daf_run(tiny("optimizer.lr=1e30", "optimizer.max_grad_norm=1e30", "training.num_steps=2048"))
    _, run = only_run(store)
    assert run.info.status == "FAILED"  # type: ignore[attr-defined]
    assert "diverged" in run.data.tags["daf.error"]  # type: ignore[attr-defined]
