"""A trained policy that is named by where it is kept, and the game that it brings along."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from daf.cli.command_line import read_command_line
from daf.config import DAFConfig, daf_load_config, daf_save_config
from daf.config.policy_names import display_name
from daf.errors import DAFConfigError
from daf.tracking.store import open_store

Load = Callable[..., DAFConfig]
LSTM = "mettagrid.policy.lstm.LSTMPolicy"
GAME = ("mission=miner_tutorial", "mission.cogs=3", "mission.max_steps=77", "variant.names=[credit]")


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """The output folder of a training, as far as this goes."""
    folder = tmp_path / "big lstm"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "model.pt").write_bytes(b"weights")
    spec = {"class_path": LSTM, "data_path": "model.pt"}
    (folder / "checkpoints" / "policy_spec.json").write_text(json.dumps(spec))
    daf_save_config(daf_load_config(overrides=GAME), folder / "config.yaml")
    return folder


@pytest.mark.parametrize("below", ["", "checkpoints"])
def test_a_folder_brings_policy_and_game(trained: Path, below: str, caplog: pytest.LogCaptureFixture) -> None:
    config = daf_load_config(overrides=[f"policy='{trained / below}'", "task=evaluate"])
    asked = daf_load_config(overrides=GAME)
    assert (config.mission, config.variant) == (asked.mission, asked.variant)
    assert (config.policy.class_path, config.policy.weights) == (LSTM, str(trained / "checkpoints"))
    assert config.policy.spec().name == "big lstm"
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert all(said in line for said in ("mission.cogs=3", "mission.max_steps=77", "variant.names=[credit]"))


def test_what_the_command_says_comes_first(trained: Path) -> None:
    own = daf_load_config(overrides=[f"policy='{trained}'", "mission.cogs=2", "variant.names=[]"])
    assert (own.mission.cogs, own.mission.max_steps, own.variant.names) == (2, 77, ())
    other = daf_load_config(overrides=["mission=arena", f"policy='{trained}'"])
    assert other.mission == daf_load_config(overrides=["mission=arena"]).mission


def test_a_run_brings_the_same_under_the_same_name(trained: Path, store: str) -> None:
    client, experiment = open_store(store, "test")
    run_id = client.create_run(experiment).info.run_id
    client.log_artifacts(run_id, str(trained / "checkpoints"), "checkpoints")
    client.log_artifact(run_id, str(trained / "config.yaml"))
    client.set_tag(run_id, "daf.checkpoint_dir", str(trained / "checkpoints"))
    config = daf_load_config(overrides=[f"policy={run_id}", f"tracking.uri={store}"])
    assert (config.mission.cogs, config.policy.spec().name) == (3, "big lstm")
    with pytest.raises(DAFConfigError, match=r"policy: a{32}: the tracking store has no run"):
        daf_load_config(overrides=[f"policy={'a' * 32}", f"tracking.uri={store}"])
    with pytest.raises(DAFConfigError, match="the MLflow run id of a training"):
        daf_load_config(overrides=["policy=/nowhere"])


def test_the_command_line_is_told_in_full(trained: Path) -> None:
    arguments = ["-m", f"policy='{trained}'", "seed=1,2", "--config-name", "config"]
    command, told = read_command_line(arguments).with_policys_game(arguments)
    assert read_command_line(told).overrides == command.overrides
    assert told[0] == "-m"
    assert told[-2:] == ["--config-name", "config"]
    assert {"mission.cogs=3", "seed=1,2", f"policy.class_path={LSTM}"} <= set(told)
    assert [config.mission.max_steps for config in command.configs()] == [77, 77]
    arguments = ["policy=puffer", "seed=1"]
    assert read_command_line(arguments).with_policys_game(arguments)[1] == arguments


@pytest.mark.parametrize(
    ("class_path", "weights", "name"),
    [
        ("lstm", None, "lstm"),
        (LSTM, None, "lstm"),
        ("mine.policy.Own", None, "Own"),
        (LSTM, "/runs/big/checkpoints", "big"),
        (LSTM, "/runs/big/checkpoints/model_000200.pt", "big model_000200"),
        (LSTM, "/o/2026-11-30/12-34-56-123456/checkpoints", "lstm 2026-11-30 12-34-56"),
        (LSTM, "/sweeps/lr/7/checkpoints", "lr trial 7"),
        (LSTM, "/bundles/miner-1.0.0.zip", "miner-1.0.0"),
        (LSTM, "/bundles/miner-1.0.0.tar.gz", "miner-1.0.0"),
        (LSTM, "/moved/best-lstm", "best-lstm"),
        (LSTM, "/moved/run-1.5", "run-1.5"),
    ],
)
def test_a_policy_is_called_after_its_run(class_path: str, weights: str | None, name: str) -> None:
    assert display_name(class_path, weights) == name
