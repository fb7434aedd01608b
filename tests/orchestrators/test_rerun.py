"""A run is repeated from what is logged of it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from daf.config import DAFConfig, daf_load_config
from daf.environment_checks import daf_check_environment
from daf.errors import DAFConfigError
from daf.orchestrators.rerun import daf_rerun
from daf.results import TaskResult
from daf.tasks import claimed_folder, run_tracked
from daf.tracking.untracked import Untracked

Load = Callable[..., DAFConfig]
EVALUATE = ("task=evaluate", "policy=starter", "variant=objective_mine")


def ran(config: DAFConfig) -> str:
    with claimed_folder(config) as claim:
        _, run_id = run_tracked(config, ["task=evaluate", "seed=42"], claim)
    shutil.rmtree(config.output_dir)
    return run_id


def rerun(run_id: str, store: str, folder: Path, *on_top: str) -> TaskResult:
    overrides = ["task=rerun", f"run={run_id}", f"tracking.uri={store}", f"output_dir={folder}", *on_top]
    config = daf_load_config(overrides=overrides)
    assert not daf_check_environment(config).errors
    folder.mkdir(exist_ok=True)
    return daf_rerun(config, Untracked(folder, overrides))


def test_the_same_comes_out_in_a_run_that_names_the_first(tiny: Load, store: str, tmp_path: Path) -> None:
    run_id = ran(tiny(*EVALUATE))
    client = MlflowClient(store)
    client.set_tag(run_id, "version.torch", "1.0")
    result = rerun(run_id, store, tmp_path / "again")
    assert result.facts["same_result"] == "true"
    again = client.get_run(result.facts["run_id"])
    assert again.data.tags["daf.rerun_of"] == run_id
    assert again.data.tags["daf.task"] == "evaluate"
    assert again.data.metrics["objective"] == client.get_run(run_id).data.metrics["objective"] == result.objective
    assert (tmp_path / "again" / "evaluate" / "evaluation" / "episodes.jsonl").is_file()
    told = "\n".join(result.notes)
    assert "version.torch: it ran with 1.0, and now runs with " in told
    assert "The result is the same in all of " in told
    assert "hardware" not in told
    assert "Changed in the config" not in told


def test_overrides_go_on_top_and_another_result_is_said(tiny: Load, store: str, tmp_path: Path) -> None:
    run_id = ran(tiny(*EVALUATE))
    result = rerun(run_id, store, tmp_path / "again", "evaluation.seed=7", "policy=noop")
    assert result.facts["same_result"] == "false"
    told = "\n".join(result.notes)
    assert "evaluation.seed" in told
    assert "policy.class_path" in told
    assert "The result is another: " in told
    client = MlflowClient(store)
    folder = Path(client.download_artifacts(result.facts["run_id"], "config.yaml", str(tmp_path)))
    config = yaml.safe_load(folder.read_text())
    assert config["evaluation"]["seed"] == 7
    assert config["evaluation"]["episodes"] == 2  # as it was, and not as in conf
    assert config["tracking"]["uri"] == store
    metrics = result.tables[-1]
    assert metrics.title == "Metrics"
    assert not [row for row in metrics.rows if row[0] == "duration_s"]


def made(store: str, tmp_path: Path, config: DAFConfig, **tags: str) -> str:
    client = MlflowClient(store)
    experiment = client.create_experiment("made", (tmp_path / "artifacts").as_uri())
    run_id = str(client.create_run(experiment, tags=tags).info.run_id)
    client.log_text(run_id, yaml.safe_dump(json.loads(config.model_dump_json())), "config.yaml")
    client.log_text(run_id, yaml.safe_dump(["optimizer.lr=1e-3,3e-3", "seed=1"]), "overrides.yaml")
    return run_id


def test_a_sweep_is_repeated_by_its_command(tiny: Load, store: str, tmp_path: Path) -> None:
    run_id = made(store, tmp_path, tiny(), **{"daf.sweep": "mine"})
    with pytest.raises(DAFConfigError) as refused:
        rerun(run_id, store, tmp_path / "again")
    assert "is a sweep" in str(refused.value)
    assert "Write: python -m daf.run -m optimizer.lr=1e-3,3e-3 seed=1" in str(refused.value)


def test_a_part_of_another_run_is_no_run_of_its_own(tiny: Load, store: str, tmp_path: Path) -> None:
    run_id = made(store, tmp_path, tiny(), **{"mlflow.parentRunId": "f" * 32})
    with pytest.raises(DAFConfigError, match=f"Repeat the whole: run={'f' * 32}"):
        rerun(run_id, store, tmp_path / "again")


def test_blanked_secrets_are_named_and_taken_when_given_again(tiny: Load, store: str, tmp_path: Path) -> None:
    config = tiny(*EVALUATE, "policy=noop")
    run_id = made(store, tmp_path, config)
    client = MlflowClient(store)
    data = json.loads(config.model_dump_json())
    data["policy"]["init_kwargs"] = {"api_key": "***"}
    client.log_text(run_id, yaml.safe_dump(data), "config.yaml")
    with pytest.raises(DAFConfigError, match=r"policy\.init_kwargs\.api_key - was blanked"):
        rerun(run_id, store, tmp_path / "again")
    with pytest.raises(DAFConfigError) as taken:  # by what the policy does with it
        rerun(run_id, store, tmp_path / "again", "+policy.init_kwargs.api_key=secret-of-mine")
    assert "was blanked" not in str(taken.value)
    assert "noop cannot be loaded" in str(taken.value)


def test_a_config_that_cannot_run_here_begins_nothing(tiny: Load, store: str, tmp_path: Path) -> None:
    run_id = made(store, tmp_path, tiny(*EVALUATE))
    with pytest.raises(DAFConfigError, match="there is nothing at"):
        rerun(run_id, store, tmp_path / "again", "policy=lstm", "policy.weights=/nowhere/at/all")
    assert not (tmp_path / "again" / "evaluate").exists()
