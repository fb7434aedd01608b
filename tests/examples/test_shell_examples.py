"""Every script of scripts/examples/ as a user runs it, from a folder of the user's own, with tiny sizes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import TINY

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts" / "examples"
#: Two agents that play for twenty steps.
PLAY = tuple(text for text in TINY if not text.startswith("training."))

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, store: str) -> Run:
    """Runs a script in the test's folder, whose store is its own."""
    folder = tmp_path / "a folder"
    folder.mkdir()

    def script(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        own = {"DAF_PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "DAF_WAIT": "0", **environment}
        command = [str(SCRIPTS / name), *arguments, f"tracking.uri={store}"]
        return subprocess.run(
            command, cwd=folder, env=os.environ | own, capture_output=True, text=True, timeout=300, check=False
        )

    return script


def test_every_script_says_what_it_does_and_how_it_ends() -> None:
    for script in SCRIPTS.iterdir():
        lines = script.read_text().splitlines()
        assert os.access(script, os.X_OK), script
        assert lines[0] == "#!/usr/bin/env bash"
        head = "\n".join(lines[: lines.index("set -euo pipefail")])
        assert "Exit codes: 0 " in head.replace("\n# ", " "), script


def test_a_nightly_benchmark_notes_the_night_and_says_when_the_score_falls(run: Run, tmp_path: Path) -> None:
    nights = tmp_path / "nights"
    nights.mkdir()
    (nights / "scores.csv").write_text("outputs/before,2.5,abc\n")
    # With seven agents one mission of the suite is left.
    asked = ("policy=starter", "benchmark.scripted=[miner]", *PLAY, "mission.cogs=7", "evaluation.episodes=1")
    done = run("nightly_benchmark.sh", *asked, DAF_NIGHTLY=str(nights))
    result = json.loads((nights / "last.json").read_text())
    score = result["objective"]
    # On so small a mission there may be no scale, and then there is no score that could have fallen.
    assert done.returncode == (0 if score is None else 3), done.stderr
    (_, line) = (nights / "scores.csv").read_text().splitlines()
    assert line == f"{result['output_dir']},{'' if score is None else score},{result['run_id']}"
    assert "the night before 2.5" in done.stdout


def test_two_configs_are_compared(run: Run) -> None:
    sizes = tuple(text for text in TINY if not text.startswith("evaluation.episodes"))
    asked = ("{optimizer.lr:0.001}", "{optimizer.lr:0.01}", *sizes, "evaluation.episodes=2", "training.num_steps=256")
    done = run("compare_configs.sh", *asked, DAF_TRAININGS="1")
    assert (done.returncode, done.stdout) in [(0, "first\n"), (0, "second\n"), (3, "neither\n")], done.stderr


def test_a_sweep_goes_on_after_a_crash(run: Run, tmp_path: Path) -> None:
    task = ("task.name=crashing", "task.function=tests.examples.crashing.crashing", "policy=noop", *PLAY)
    asked = ("optimizer.lr=1e-4,1e-2", "sweep=grid", "sweep.n_jobs=1", "sweep.confirm=off", *task)
    done = run("resuming_sweep.sh", "nightly", *asked, f"output_dir={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    assert "attempt 1 of 5 ended with 137" in done.stderr
    result = json.loads(done.stdout)
    assert (result["status"], result["metrics"]["complete"], result["objective"]) == ("ok", 2, 0.01)


def test_a_sweep_that_is_wrong_is_not_tried_again(run: Run) -> None:
    done = run("resuming_sweep.sh", "nightly", "optimizer.lrr=1,2")
    assert done.returncode == 2
    assert json.loads(done.stdout)["status"] == "refused_request"


def test_a_policy_is_promoted_or_the_champion_stays(run: Run) -> None:
    kept = run("promote.sh", "starter", "deployment.require=['reward >= 1000']", *PLAY)
    assert kept.returncode == 3, kept.stderr
    assert "it is not promoted" in kept.stderr
    done = run("promote.sh", "starter", "deployment.name=mine", *PLAY)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "models:/mine/1\n"


@pytest.mark.parametrize("name", ["compare_configs.sh", "promote.sh", "resuming_sweep.sh"])
def test_without_arguments_a_script_says_how_it_is_used(name: str) -> None:
    done = subprocess.run([SCRIPTS / name], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"scripts/examples/{name}" in done.stderr
