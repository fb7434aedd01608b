"""Checkpoint folders: what is kept, what is dropped, and what can be loaded again."""

from pathlib import Path

import pytest
import torch

from daf.bridge.training import load_state
from daf.errors import DAFTrainingDivergedError
from tests.bridge.training.support import Load, same, train_config, weights


def test_checkpoints_are_kept_dropped_and_loadable(tiny: Load, tmp_path: Path) -> None:
    config = tiny("training.num_steps=1280", "training.checkpoint_interval=1", "training.max_checkpoints_to_keep=2")
    outcome = train_config(config, tmp_path / "checkpoints")
    names = sorted(path.name for path in outcome.checkpoint_dir.iterdir())
    assert names == ["model_000004.pt", "model_000005.pt", "policy_spec.json", "trainer_state.pt"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "mlflow.db") == ["checkpoints"]
    state = load_state(outcome.checkpoint_dir)
    assert (state["global_step"], state["update"], state["model_name"]) == (1280, 5, "model_000005.pt")


def test_a_second_training_into_a_folder_replaces_what_it_makes_and_drops_its_own_alone(
    tiny: Load, tmp_path: Path
) -> None:
    often = ("training.checkpoint_interval=1", "training.max_checkpoints_to_keep=2")
    first = train_config(tiny("training.num_steps=1024", *often), tmp_path / "c")
    old = weights(first)
    second = train_config(tiny("training.num_steps=768", "seed=77", *often), tmp_path / "c")
    apart = train_config(tiny("training.num_steps=768", "seed=77"), tmp_path / "apart")
    assert same(weights(second), weights(apart))
    assert same(torch.load(tmp_path / "c" / "model_000004.pt", weights_only=True), old)
    assert load_state(tmp_path / "c")["model_name"] == "model_000003.pt"
    assert sorted(path.name for path in second.checkpoint_dir.glob("model_*")) == [
        "model_000002.pt",
        "model_000003.pt",
        "model_000004.pt",
    ]


def test_a_resume_in_its_own_folder_keeps_no_more_checkpoints(tiny: Load, tmp_path: Path) -> None:
    often = ("training.checkpoint_interval=1", "training.max_checkpoints_to_keep=2")
    train_config(tiny("training.num_steps=512", *often), tmp_path / "c")
    train_config(tiny("training.num_steps=768", *often), tmp_path / "c", resume_from=tmp_path / "c")
    assert sorted(path.name for path in (tmp_path / "c").glob("model_*")) == ["model_000002.pt", "model_000003.pt"]


def test_init_arguments_reach_the_trained_policy_and_its_spec(tiny: Load, tmp_path: Path) -> None:
    """CoGames' train_config() builds the policy from its class and weights alone."""
    config = tiny("policy=puffer", "+policy.init_kwargs.hidden_size=32", "training.num_steps=64")
    outcome = train_config(config, tmp_path / "c")
    assert max(tensor.shape[0] for tensor in weights(outcome).values()) == 4 * 32
    assert '"hidden_size":32' in (outcome.checkpoint_dir / "policy_spec.json").read_text()
    resumed = train_config(
        tiny("policy=puffer", "training.num_steps=512"), tmp_path / "d", resume_from=outcome.checkpoint_dir
    )
    assert '"hidden_size":32' in (resumed.checkpoint_dir / "policy_spec.json").read_text()


def test_the_state_of_a_gpu_training_loads_without_a_gpu(
    tiny: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        outcome = train_config(tiny("training.num_steps=64"), tmp_path / "c")
    state = load_state(outcome.checkpoint_dir)
    assert state["optimizer_state_dict"]["state"][0]["exp_avg"].device.type == "cpu"


def test_divergence_is_an_error_and_keeps_no_broken_weights(tiny: Load, tmp_path: Path) -> None:
    config = tiny(
        "optimizer.lr=1e30", "optimizer.max_grad_norm=1e30", "training.num_steps=2048", "training.checkpoint_interval=1"
    )
    with pytest.raises(DAFTrainingDivergedError, match=r"diverged at agent step \d+"):
        train_config(config, tmp_path / "c")
    for model in (tmp_path / "c").glob("model_*.pt"):
        assert all(tensor.isfinite().all() for tensor in torch.load(model, weights_only=True).values())
