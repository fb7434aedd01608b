"""Every pipeline that is shipped, in small, from the command line's composition and from Python."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from daf.config import CONF_DIR, DAFConfig, daf_load_config
from daf.environment_checks import daf_check_environment
from daf.orchestrators import (
    daf_run_benchmark_pipeline,
    daf_run_comparison_pipeline,
    daf_run_sweep_pipeline,
    daf_run_training_pipeline,
)
from daf.orchestrators.plan import stages_of
from tests.orchestrators.test_pipeline import run, statuses

Load = Callable[..., DAFConfig]
SHIPPED = sorted(path.stem for path in (CONF_DIR / "pipeline").glob("*.yaml") if path.stem != "none")
GIVEN = {
    "comparison": ["comparison.policies=[noop,starter]"],
    "sweep": ["+sweep.space={optimizer.lr:[1e-3,2e-3]}"],
}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_pipeline_passes_the_check_before_its_first_stage(tiny: Load, name: str) -> None:
    found = daf_check_environment(tiny("task=pipeline", f"pipeline={name}", *GIVEN.get(name, [])))
    assert found.errors == ()


def test_training_and_comparison_from_python(tiny: Load) -> None:
    config = tiny("evaluation.baselines=[]")
    result = daf_run_training_pipeline(config)
    assert statuses(result) == {"train": "ok", "evaluate": "ok", "compare": "ok"}
    assert result.stage("evaluate").objective == result.stage("compare").objective
    other = config.model_copy(update={"output_dir": f"{config.output_dir}-2"})
    compared = daf_run_comparison_pipeline(
        other.model_copy(update={"comparison": tiny("comparison.policies=[noop,starter]").comparison})
    )
    assert statuses(compared) == {"compare": "ok", "tournament": "ok"}


def test_a_sweeps_best_config_is_trained_anew(tiny: Load) -> None:
    space = "+sweep.space={optimizer.lr:[1e-3,2e-3]}"
    result = daf_run_sweep_pipeline(tiny(space, "sweep.sampler=grid", "sweep.confirm=off", "sweep.n_jobs=1"))
    assert statuses(result) == dict.fromkeys(("sweep", "usual", "best", "compare"), "ok")
    text = (result.stage("best").output_dir / "config.yaml").read_text()
    assert "lr: 0.001" in text or "lr: 0.002" in text


def test_a_benchmark_of_what_was_trained(tiny: Load) -> None:
    suite = ("benchmark.suite=integrated", "benchmark.scripted=[miner]", "mission.max_steps=10")
    result = daf_run_benchmark_pipeline(tiny(*suite))
    assert statuses(result) == {"train": "ok", "benchmark": "ok"}, result.refused


def test_from_a_check_to_a_validated_package(tiny: Load) -> None:
    result = run(tiny("task=pipeline", "pipeline=full", "vor.pool=[noop]", "evaluation.baselines=[noop]"))
    assert set(statuses(result).values()) <= {"ok", "warning"}
    assert (Path(result.files["package.bundle"])).is_file()


def test_the_example_can_be_chosen_from_a_folder_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "pipeline").mkdir()
    shutil.copy(Path(__file__).parents[2] / "examples" / "my_pipeline.yaml", tmp_path / "pipeline" / "mine.yaml")
    config = daf_load_config(overrides=["task=pipeline", "pipeline=mine"], extra_dir=tmp_path)
    assert daf_check_environment(config).errors == ()
    assert {each.name: each.needs for each in stages_of(config)} == {
        "recurrent": (),
        "plain": (),
        "compare": ("recurrent", "plain"),
        "package": ("compare", "recurrent"),
    }
