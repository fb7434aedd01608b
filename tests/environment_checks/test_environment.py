"""What is found before anything is started."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from daf.config import DAFConfig
from daf.config.missions import mission_specs
from daf.environment_checks import daf_check_environment
from daf.environment_checks.files import daf_check_files

Load = Callable[..., DAFConfig]


def found(config: DAFConfig) -> dict[str, str]:
    return {problem.where: str(problem) for problem in daf_check_environment(config).errors}


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


def test_variants_that_conflict_are_a_problem_of_the_mission(tiny: Load) -> None:
    problems = found(tiny("task=evaluate", "policy=noop", "variant.names=[multi_team,caves]"))
    assert problems.keys() == {"mission cogsguard_arena.basic"}
    assert "multi_team, caves conflict" in problems["mission cogsguard_arena.basic"]


def test_policies_are_checked_on_the_missions_that_are_played(tiny: Load, tmp_path: Path) -> None:
    unread = tmp_path / "unread.yaml"
    unread.touch()
    options = ("task=evaluate", f"mission.name={unread}", "evaluation.missions=[cogsguard_arena.basic]")
    assert found(tiny(*options, "policy.class_path=token")).keys() == {"policy"}


def test_a_mission_file_that_another_length_is_asked_of(tiny: Load, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from cogames.cli.mission import get_mission\n"
        "def get_config():\n    return get_mission('cogsguard_arena.basic', cogs=2, steps=20)[1]\n"
    )
    options = (
        "task=compare",
        "mission.cogs=null",
        "comparison.policies=[noop,random]",
        f"evaluation.missions=[{path}]",
    )
    (problem,) = found(tiny(*options, "mission.max_steps=200")).values()
    assert "set mission.max_steps=null" in problem
    assert "mission.cogs" not in problem
    assert found(tiny(*options, "mission.max_steps=null")) == {}


def test_sets_and_patterns_leave_out_what_nobody_can_play(tiny: Load, caplog: pytest.LogCaptureFixture) -> None:
    unplayable = "training_facility.easy_hearts_training"
    options = ("task=evaluate", "policy=noop", "mission.cogs=4")
    specs = mission_specs(tiny(*options, "evaluation.missions=[spanning_evals]"))
    assert len(specs) == 15
    assert unplayable not in {spec.name for spec in specs}
    assert len(mission_specs(tiny(*options, "evaluation.missions=['*hearts*']"))) == 3
    for named in (f"[{unplayable}]", f"[{unplayable},integrated_evals]", "['training_facility*']"):
        assert f"mission {unplayable}" in found(tiny(*options, f"evaluation.missions={named}"))
    assert "left out" not in caplog.text
    assert found(tiny(*options, "evaluation.missions=['training*',cogsguard_arena.basic]")) == {}
    assert f"{unplayable} is left out" in caplog.text


def test_an_ablation_that_trains_needs_a_network(tiny: Load) -> None:
    options = ("task=ablation", "policy=starter", "+ablation.parts.entropy.set={training.ent_coef:0}")
    problems = found(tiny(*options, "ablation.trainings=1"))
    assert "no network to train" in problems["policy"]


def test_a_class_that_is_not_there(tiny: Load) -> None:
    assert "cannot be imported" in found(tiny("policy.class_path=tests.conftest.Nothing"))["policy"]


def test_missions_of_an_evaluation(tiny: Load) -> None:
    specs = mission_specs(tiny("variant=credit", "evaluation.missions=['arena*',integrated_evals]"))
    assert [spec.name for spec in specs] == ["cogsguard_arena.basic", "hello_world.energy_starved"]
    assert {(spec.variants, spec.cogs, spec.max_steps) for spec in specs} == {(("credit",), 2, 20)}


@pytest.mark.parametrize("policy", ["lstm", "starter"])
def test_evaluating_needs_no_network(tiny: Load, policy: str) -> None:
    assert found(tiny("task=evaluate", f"policy={policy}")) == {}


def test_bad_weights_a_bad_device_and_impossible_cogs_are_all_named(tiny: Load) -> None:
    missions = ("mission.cogs=8", "evaluation.missions=[evals.diagnostic_memory,cogsguard_arena.basic]")
    problems = found(
        tiny("task=evaluate", *missions, "policy.weights=gone.pt", "device=cuda:63", "evaluation.baselines=[token]")
    )
    assert problems.keys() == {
        "policy.weights",
        "device",
        "mission evals.diagnostic_memory",
        "evaluation.baselines.0",  # loaded on the mission that can be built
    }


def test_a_training_that_goes_on_with_another_game_is_told(tiny: Load, tmp_path: Path) -> None:
    config = tiny("task=train", f"training.resume={tmp_path / 'checkpoints'}")
    game = config.model_dump(mode="json", include={"mission", "variant"})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(game))
    assert daf_check_files(config).warnings == ()
    game["variant"]["names"] = ["mining"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(game))
    (told,) = daf_check_files(config).warnings
    assert "training.resume" in told
    assert "variant.names=['mining']" in told
