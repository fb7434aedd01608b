"""The same pipeline again in its folder: what is done stays done, unless its inputs changed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from daf.config import DAFConfig, DAFStageConfig
from daf.errors import DAFInterruptedError
from daf.orchestrators.plan import Stage
from daf.orchestrators.state import StageState, inputs_digest
from daf.run import daf_run
from tests.orchestrators.stages import calls, stage
from tests.orchestrators.test_pipeline import run, runs_in, statuses

Piped = Callable[..., DAFConfig]


def counts(folder: Path, *names: str) -> list[int]:
    return [calls(folder, name) for name in names]


def test_a_finished_stage_is_repeated_only_when_its_inputs_changed(piped: Piped, store: str, tmp_path: Path) -> None:
    weights = tmp_path / "model.pt"
    weights.write_text("first")

    def config(*overrides: str, seed: int = 1) -> DAFConfig:
        return piped(
            *overrides,
            a=stage("give", f"seed={seed}"),
            b=stage("give", "seed=${stages.a.objective}"),
            packed=stage("packed", "policy=stateless", f"policy.weights={weights}"),
        )

    before = run(config())
    again = run(config("device=auto", "evaluation.workers=2"))  # where and how decide nothing
    assert counts(tmp_path, "a", "b", "packed") == [1, 1, 1]
    assert [each.run_id for each in again.stages] == [each.run_id for each in before.stages]
    assert again.stage("b").objective == before.stage("b").objective
    assert again.tables[:-1] == before.tables[:-1]
    parents = {MlflowClient(store).get_run(str(e.run_id)).data.tags["mlflow.parentRunId"] for e in again.stages}
    assert parents == {runs_in(store)["pipeline"].info.run_id}

    weights.write_text("second")
    run(config())
    assert counts(tmp_path, "a", "b", "packed") == [1, 1, 2]

    changed = run(config(seed=3))
    assert counts(tmp_path, "a", "b", "packed") == [2, 2, 2]
    assert changed.stage("b").objective == 3.0
    assert (Path(before.stage("a").output_dir).with_name("a.1") / "seed.txt").read_text() == "1"

    changed.stage("b").files["seed_file"].unlink()
    run(config(seed=3))
    assert counts(tmp_path, "a", "b", "packed") == [2, 3, 2]


def test_a_training_is_not_repeated_for_another_evaluation(tiny: Callable[..., DAFConfig]) -> None:
    one = Stage(name="train", config=DAFStageConfig(task="train"), needs=())

    def inputs(*overrides: str, stage: Stage = one) -> str:
        return inputs_digest(tiny("task=train", *overrides), stage, {})

    assert inputs("evaluation.episodes=9", "evaluation.baselines=[noop]", "objective=reward_and_time") == inputs()
    assert len({inputs(), inputs("training.num_steps=256"), inputs("mission.cogs=3"), inputs("seed=7")}) == 4
    swept = replace(one, config=one.config.model_copy(update={"sweep": True}))
    assert inputs("evaluation.episodes=9", stage=swept) != inputs(stage=swept)


def test_an_interrupted_pipeline_goes_on_with_the_first_unfinished_stage(
    piped: Piped, store: str, tmp_path: Path
) -> None:
    config = piped(a=stage("give"), b=stage("interrupt_once", "run=${stages.a.run_id}"), c=stage("give", needs=["b"]))
    with pytest.raises(DAFInterruptedError, match=r"1 of 3 stages are done\. The same request with output_dir="):
        daf_run(config)
    runs = runs_in(store)
    assert {name: each.info.status for name, each in runs.items()} == {
        "pipeline": "KILLED",
        "stage a": "FINISHED",
        "stage b": "KILLED",
    }
    assert statuses(run(config)) == {"a": "ok", "b": "ok", "c": "ok"}
    assert counts(tmp_path, "a", "b", "c") == [1, 2, 1]


def test_a_failed_stage_is_tried_again_and_what_was_done_is_not(piped: Piped, tmp_path: Path) -> None:
    config = piped(a=stage("give"), b=stage("store_away", needs=["a"]))
    assert [statuses(run(config))["b"] for _ in range(3)] == ["failed", "failed", "ok"]
    assert counts(tmp_path, "a", "b") == [1, 3]


@pytest.mark.parametrize("content", ["", "[]", '{"inputs": 1, "result": {"status": "ok"}}', "{"])
def test_a_state_that_is_none_counts_as_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "stage.json").write_text(content)
    state = StageState(tmp_path)
    assert state.finished("inputs") is None
    state.begin("inputs")
    assert StageState(tmp_path).digest == "inputs"
