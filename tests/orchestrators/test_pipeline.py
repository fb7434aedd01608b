"""Stages one after the other: what they give each other, how they fail, and what is checked before the first."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from daf.config import DAFConfig
from daf.environment_checks import daf_check_environment
from daf.orchestrators import PipelineResult
from daf.run import daf_run
from tests.orchestrators.stages import calls, stage

Piped = Callable[..., DAFConfig]


def run(config: DAFConfig) -> PipelineResult:
    result = daf_run(config)
    assert isinstance(result, PipelineResult)
    return result


def statuses(result: PipelineResult) -> dict[str, str]:
    return {each.name: each.status for each in result.stages}


def problems(config: DAFConfig) -> list[str]:
    return [str(problem) for problem in daf_check_environment(config).errors]


def runs_in(store: str) -> dict[str, Run]:
    """Every run by its kind and stage, the newest of a kind."""
    client = MlflowClient(store)
    found = client.search_runs([each.experiment_id for each in client.search_experiments()])
    return {f"{run.data.tags['daf.kind']} {run.data.tags.get('daf.stage', '')}".strip(): run for run in reversed(found)}


def test_a_stage_uses_what_others_gave(piped: Piped, store: str, tmp_path: Path) -> None:
    config = piped(
        "level=0.9",
        last=stage(
            "give",
            "seed=${stages.first.objective}",
            "run=${stages.first.run_id}",
            "level=0.${stages.first.metrics.whole}",
            "mission.name=${mission.name}",
        ),
        first=stage("give", "seed=8"),
    )
    result = run(config)
    first, last = result.stages
    assert (first.name, last.name) == ("first", "last")
    assert last.objective == 8.0
    assert last.facts == {"run": first.run_id, "device": "cpu", "level": "0.8"}
    assert first.facts["level"] == "0.9"
    assert last.files["seed_file"].read_text() == "8"
    assert last.files["seed_file"].parent == Path(config.output_dir) / "last"
    assert (result.objective, result.metrics["first/half"], result.facts["last.status"]) == (8.0, 4.0, "ok")
    assert result.ok
    assert result.refused is None
    runs = runs_in(store)
    assert set(runs) == {"pipeline", "stage first", "stage last"}
    parent = runs["pipeline"]
    assert {runs[f"stage {name}"].data.tags["mlflow.parentRunId"] for name in ("first", "last")} == {parent.info.run_id}
    assert {"pipeline_seconds", "stage_seconds/first", "stage_seconds/last"} <= parent.data.metrics.keys()
    assert parent.info.status == "FINISHED"


@pytest.mark.parametrize(("on_failure", "other"), [("stop", "skipped"), ("continue", "ok")])
def test_what_needs_a_failed_stage_is_skipped(
    piped: Piped, store: str, tmp_path: Path, on_failure: str, other: str
) -> None:
    result = run(
        piped(
            f"pipeline.on_failure={on_failure}",
            broken=stage("fail", retries=2),
            after=stage("give", "run=${stages.broken.run_id}"),
            then=stage("give", needs=["after"]),
            other=stage("give", needs=["incomplete"]),
            incomplete=stage("incomplete"),
        )
    )
    expected = "warning" if on_failure == "continue" else "skipped"
    assert statuses(result) == {
        "broken": "failed",
        "after": "skipped",
        "then": "skipped",
        "other": other,
        "incomplete": expected,
    }
    assert result.refused == "stage broken failed: nothing went well"
    assert result.stage("after").error == "it needs broken, which failed"
    assert calls(tmp_path, "broken") == 1  # a failure that would come again is not tried again
    runs = runs_in(store)
    assert (runs["pipeline"].info.status, runs["stage broken"].info.status) == ("FAILED", "FAILED")
    assert result.stage("broken").run_id == runs["stage broken"].info.run_id


def test_a_refusal_stops_what_follows(piped: Piped, tmp_path: Path) -> None:
    result = run(piped(gate=stage("refuse"), deploy=stage("give", needs=["gate"])))
    assert statuses(result) == {"gate": "failed", "deploy": "skipped"}
    assert result.refused == "stage gate failed: it is worse than the champion"
    assert calls(tmp_path, "deploy") == 0
    noted = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (noted["status"], noted["exit_code"], noted["error"]) == ("failed", 1, result.refused)


def test_all_problems_of_all_stages_are_named_before_the_first_begins(piped: Piped, tmp_path: Path) -> None:
    config = piped(
        a=stage("give", "optimizer.lrr=1"),
        b={"task": "nothing"},
        c=stage("give", "seed=${stages.a.seed}", "level=2"),
        d=stage("give", "seed=${stages.e.objective}"),
        e=stage("give", "run=${stages.c.metrics.anything}", "sedd=${stages.a.run_id}"),
        f={"task": "evaluate", "overrides": ["policy.weights=/not/there", "evaluation.baselines=[starter]"]},
    )
    told = problems(config)
    assert sorted(text.partition(":")[0] for text in told) == [
        "stage a, optimizer.lrr",
        "stage b, task",
        "stage c, level",
        "stage e, sedd",
        "stage f, policy.weights",
    ]


def test_stages_that_cannot_be_ordered_and_results_that_are_not_given(piped: Piped) -> None:
    (circle,) = problems(piped(a=stage("give", needs=["b"]), b=stage("give", "seed=${stages.a.objective}")))
    assert circle.startswith("pipeline.stages: stages need each other in a circle: ")
    told = problems(piped(a=stage("give", needs=["bee"]), be=stage("give", "level=${mission.level}")))
    assert told == [
        "pipeline.stages.a: needs the stage 'bee', which is not there. Did you mean be?",
        "pipeline.stages.be: refers to mission.level, and there is no such key. Did you mean mission or level?",
    ]
    (unknown,) = problems(piped(a=stage("give"), b=stage("give", "policy.weights=${stages.a.checkpoint}")))
    assert unknown == (
        "pipeline.stages.b: refers to checkpoint of the stage a, which gives run_id, output_dir, objective, seed_file"
        " and metrics.<name>, facts.<name>, files.<name>."
    )
    assert problems(piped()) == [
        "pipeline.stages: holds no stage. Choose one with pipeline=..., such as pipeline=full."
    ]
    (nested,) = problems(piped(a={"task": "pipeline"}))
    assert nested.startswith("pipeline.stages.a.task: is a pipeline, and a stage is none.")


def test_a_result_that_was_not_given_fails_the_stage_that_wants_it(piped: Piped) -> None:
    result = run(piped(a=stage("give"), b=stage("give", "seed=${stages.a.metrics.nothing}")))
    assert result.stage("b").status == "failed"
    assert "metrics.nothing of the stage a is not there" in str(result.stage("b").error)


def test_only_what_may_pass_is_tried_again(piped: Piped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daf.orchestrators.engine.FIRST_DELAY_S", 0.01)
    result = run(piped(away=stage("store_away", retries=2), short=stage("store_away", retries=1), last=stage("give")))
    assert statuses(result) == {"away": "ok", "short": "failed", "last": "skipped"}
    assert (result.stage("away").attempts, result.stage("short").attempts) == (3, 2)
