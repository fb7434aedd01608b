"""The train task: what reaches MLflow and the disk, and how it ends."""

import hashlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient

from daf.bridge.training import load_state, train
from daf.config import DAFConfig
from daf.errors import DAFConfigError, DAFError, DAFInterruptedError, DAFTrainingDivergedError
from daf.records import EpochReport, TrainingOutcome, TrainingPlan
from daf.run import daf_run
from daf.tracking.tracker import Tracker
from daf.training.task import TrainingResult, daf_train
from tests.bridge.training.support import train_config

Load = Callable[..., DAFConfig]


def only_run(store: str) -> tuple[MlflowClient, object]:
    client = MlflowClient(store)
    experiments = [e.experiment_id for e in client.search_experiments() if e.name == "daf"]
    (run,) = client.search_runs(experiments)
    return client, run


def after_second_epoch(monkeypatch: pytest.MonkeyPatch, action: Callable[[], None]) -> None:
    """Has something happen in the middle of a training."""

    def train_and_act(plan: TrainingPlan, *, on_epoch: Callable[[EpochReport], None], **others: Any) -> TrainingOutcome:
        def act_and_report(report: EpochReport) -> None:
            if report.epoch == 2:
                action()
            on_epoch(report)

        return train(plan, on_epoch=act_and_report, **others)

    monkeypatch.setattr("daf.training.task.train", train_and_act)


def test_metrics_stream_and_the_checkpoint_is_logged(tiny: Load, tracker: Tracker, store: str) -> None:
    result = daf_train(tiny("training.num_steps=768"), tracker)
    tracker.close("FINISHED")
    client = MlflowClient(store)
    run = client.get_run(tracker.run_id)
    for name in ("losses/policy_loss", "learning_rate", "reward", "SPS"):
        assert [point.step for point in client.get_metric_history(tracker.run_id, name)] == [256, 512, 768]
    assert [step for step, _ in result.curve] == [256, 512, 768]
    digest = hashlib.sha256(result.model.read_bytes()).hexdigest()
    assert run.data.tags["daf.checkpoint_sha256"] == result.model_digest == digest
    names = {item.path for item in client.list_artifacts(tracker.run_id, "checkpoints")}
    assert names == {f"checkpoints/{name}" for name in ("model_000003.pt", "trainer_state.pt", "policy_spec.json")}


def test_an_interrupt_keeps_everything_and_a_run_id_resumes_it(
    tiny: Load, tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_second_epoch(monkeypatch, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(DAFInterruptedError, match=r"after 512 agent steps.*training.resume="):
        daf_run(tiny("training.num_steps=1024"))
    monkeypatch.undo()
    client, run = only_run(store)
    assert run.info.status == "KILLED"  # type: ignore[attr-defined]
    run_id = run.info.run_id  # type: ignore[attr-defined]
    assert client.list_artifacts(run_id, "checkpoints")
    # The folder is gone, as on another machine: the checkpoint comes from MLflow.
    (tmp_path / "out" / "checkpoints").rename(tmp_path / "moved")
    result = daf_run(tiny("training.num_steps=1024", f"training.resume={run_id}", f"output_dir={tmp_path / 'second'}"))
    assert isinstance(result, TrainingResult)
    assert [step for step, _ in result.curve][-1] == 1024
    assert (tmp_path / "second" / "resumed" / "checkpoints" / "trainer_state.pt").is_file()
    assert load_state(result.checkpoint_dir)["update"] == 4
    (second,) = client.search_runs([run.info.experiment_id], f"tags.`daf.resumed_from` = '{run_id}'")  # type: ignore[attr-defined]
    assert (second.info.status, second.data.tags["daf.resumed_at_step"]) == ("FINISHED", "512")


def test_divergence_fails_the_run(tiny: Load, store: str) -> None:
    with pytest.raises(DAFTrainingDivergedError):
        daf_run(tiny("optimizer.lr=1e30", "optimizer.max_grad_norm=1e30", "training.num_steps=2048"))
    _, run = only_run(store)
    assert run.info.status == "FAILED"  # type: ignore[attr-defined]
    assert "diverged" in run.data.tags["daf.error"]  # type: ignore[attr-defined]


def test_resuming_from_what_is_not_there(tiny: Load, tracker: Tracker, tmp_path: Path) -> None:
    with pytest.raises(DAFError, match="has no run"):
        daf_train(tiny(f"training.resume={'0' * 32}"), tracker)
    with pytest.raises(DAFConfigError, match="holds no trainer_state"):
        daf_run(tiny("training.resume=/nowhere"))
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_a_crashed_run_is_resumed_by_its_id(
    tiny: Load, tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash() -> None:
        raise ValueError("no luck")

    after_second_epoch(monkeypatch, crash)
    with pytest.raises(ValueError, match="no luck"):
        daf_run(tiny("training.num_steps=768", "training.checkpoint_interval=1"))
    monkeypatch.undo()
    _, run = only_run(store)
    run_id = run.info.run_id  # type: ignore[attr-defined]
    resume = ("training.num_steps=768", f"training.resume={run_id}", f"output_dir={tmp_path / 'second'}")
    result = daf_run(tiny(*resume))
    assert isinstance(result, TrainingResult)
    assert [step for step, _ in result.curve] == [768]
    (tmp_path / "out" / "checkpoints").rename(tmp_path / "moved")
    with pytest.raises(DAFConfigError, match=r"training.resume: run \w+ left no checkpoint"):
        daf_run(tiny(*resume))


@pytest.fixture
def trained(tiny: Load, tmp_path: Path) -> Path:
    """A checkpoint folder of 64 asked and 256 played agent steps."""
    return train_config(tiny("training.num_steps=64"), tmp_path / "first" / "checkpoints").checkpoint_dir


def test_resuming_what_is_done(tiny: Load, tracker: Tracker, trained: Path) -> None:
    with pytest.raises(DAFConfigError, match=r"training.num_steps: .* holds 256. Give more than 256."):
        daf_train(tiny(f"training.resume={trained}", "training.num_steps=256"), tracker)


def test_resuming_another_policy(tiny: Load, tracker: Tracker, trained: Path) -> None:
    with pytest.raises(DAFConfigError, match=r"training.resume: .* holds a .*LSTMPolicy, not a .*StatelessPolicy"):
        daf_train(tiny(f"training.resume={trained}", "policy=stateless"), tracker)


def test_resuming_a_checkpoint_of_cogames_own(tiny: Load, tracker: Tracker, trained: Path) -> None:
    state = load_state(trained)
    del state["scheduler_state_dict"], state["torch_rng_state"]
    torch.save(state, trained / "trainer_state.pt")
    with pytest.raises(DAFConfigError, match=rf"lacks scheduler_state_dict, torch.*policy.weights={trained}"):
        daf_train(tiny(f"training.resume={trained}"), tracker)
