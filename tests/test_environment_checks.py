"""What is found before anything is started."""

from collections.abc import Callable
from pathlib import Path

import pytest

from daf.config import DAFConfig
from daf.environment_checks import daf_check_environment, mission_specs

Load = Callable[..., DAFConfig]


def found(config: DAFConfig) -> dict[str, str]:
    return {problem.where: str(problem) for problem in daf_check_environment(config)}


def test_a_sound_request_has_no_problems(tiny: Load) -> None:
    assert found(tiny()) == {}


def test_missing_files_are_found_together(tiny: Load, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    problems = found(
        tiny(
            "policy.weights=missing.pt",
            "training.resume=nowhere",
            "evaluation.baselines=['class=lstm,data=gone.pt']",
            f"output_dir={tmp_path / 'file' / 'below'}",
            "device=cuda:63",
        )
    )
    assert problems.keys() == {
        "policy.weights",
        "training.resume",
        "evaluation.baselines.0.weights",
        "output_dir",
        "device",
    }
    assert "missing.pt" in problems["policy.weights"]


def test_what_only_a_simulation_or_the_class_shows(tiny: Load) -> None:
    problems = found(tiny("task=evaluate", "mission.cogs=8", "evaluation.missions=[diagnostic_evals]", "policy=noop"))
    assert len(problems) == 13
    assert "spawn points 4" in problems["mission evals.diagnostic_memory"]
    problems = found(tiny("policy=starter", "evaluation.baselines=[token]"))
    assert "no network to train" in problems["policy"]
    assert "cannot be loaded" in problems["evaluation.baselines.0"]


def test_a_class_that_is_not_there(tiny: Load) -> None:
    assert "cannot be imported" in found(tiny("policy.class_path=tests.conftest.Nothing"))["policy"]


def test_missions_of_an_evaluation(tiny: Load) -> None:
    specs = mission_specs(tiny("variant=credit", "evaluation.missions=['arena*',integrated_evals]"))
    assert [spec.name for spec in specs] == ["cogsguard_arena.basic", "hello_world.energy_starved"]
    assert {(spec.variants, spec.cogs, spec.max_steps) for spec in specs} == {(("credit",), 2, 20)}


@pytest.mark.parametrize("policy", ["lstm", "starter"])
def test_evaluating_needs_no_network(tiny: Load, policy: str) -> None:
    assert found(tiny("task=evaluate", f"policy={policy}")) == {}
