"""Every file of examples/ as a user runs it, from the repository's root, with tiny sizes."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import TINY

ROOT = Path(__file__).parents[2]
POLICY = ("policy.class_path=examples.my_policy.MyPolicy", "+policy.init_kwargs.hidden_size=16")
GAIN = ("task=train", "task.name=gain", "task.function=examples.my_task.gain")
# Without a memory an epoch has few agent steps, and costs as much as one of many.
SHORT = (*TINY, "training.num_steps=64")
# A mission file has its own number of agents and length.
OF_ANY_MISSION = tuple(override for override in TINY if not override.startswith("mission."))

# Its own tests talk to it: tests/deployment.
SERVER = "policy_server.py"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, store: str) -> Run:
    """Runs `python ARGUMENTS` in the repository's root, with all that it writes in the test's folder."""

    def python(*arguments: str, folder: str = "out") -> subprocess.CompletedProcess[str]:
        kept = (f"output_dir={tmp_path / folder}", f"tracking.uri={store}")
        command = [sys.executable, *arguments, *kept]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)

    return python


def records(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "evaluation" / "episodes.jsonl").read_text().splitlines()]


def test_the_mission_is_played_as_its_file_says(run: Run, tmp_path: Path) -> None:
    mission = "mission.name=examples/my_mission.py"
    done = run("-m", "daf.run", "task=evaluate", "policy=noop", mission, *OF_ANY_MISSION)
    assert done.returncode == 0, done.stderr
    played = records(tmp_path / "out")
    assert [(record["mission"], record["steps"]) for record in played] == [("examples/my_mission.py", 200)] * 2
    assert [record["assignments"] for record in played] == [[0] * 4] * 2


def test_the_policy_is_trained_and_evaluated_with_its_argument(run: Run, tmp_path: Path) -> None:
    done = run("-m", "daf.run", "task=train", *POLICY, *SHORT)
    assert done.returncode == 0, done.stderr

    import torch

    checkpoints = tmp_path / "out" / "checkpoints"
    (weights,) = checkpoints.glob("model_*.pt")
    assert torch.load(weights, weights_only=True)["actor.weight"].shape[1] == 16
    # Of another width the policy could not read these weights.
    done = run("-m", "daf.run", "task=evaluate", *POLICY, f"policy.weights={checkpoints}", *SHORT, folder="played")
    assert done.returncode == 0, done.stderr
    assert "has no weights" not in done.stderr
    assert len(records(tmp_path / "played")) == 2


def test_the_task_trains_and_says_what_was_gained(run: Run) -> None:
    done = run("-m", "daf.run", *GAIN, "policy=stateless", "evaluation.baselines=[noop]", *SHORT)
    assert done.returncode == 0, done.stderr
    rewards = dict(re.findall(r"^(trained|noop) +(-?[\d.]+)$", done.stdout.partition("Gain")[2], re.MULTILINE))
    assert set(rewards) == {"trained", "noop"}
    gained = re.search(r"The training gained ([+-][\d.]+) over", done.stdout)
    assert gained
    assert float(gained[1]) == pytest.approx(float(rewards["trained"]) - float(rewards["noop"]), abs=2e-4)


def test_what_the_task_declares_is_checked_first(run: Run, tmp_path: Path) -> None:
    done = run("-m", "daf.run", *GAIN, "policy=stateless", "evaluation.missions=[cogsguard_arena.basic]")
    assert done.returncode == 2
    assert "evaluation.baselines: holds nothing to compare the training with." in done.stderr
    assert "evaluation.missions: must be empty" in done.stderr
    done = run("-m", "daf.run", *GAIN, "policy=starter", "evaluation.baselines=[examples.my_policy.Nobody]")
    assert done.returncode == 2
    assert "policy: starter has no network to train." in done.stderr
    assert "evaluation.baselines.0: examples.my_policy.Nobody cannot be loaded" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_script_evaluates_and_searches_a_grid(run: Run, tmp_path: Path) -> None:
    each = "out${now:%f}"  # as by default, every config has a folder of its own
    done = run("examples/from_python.py", *SHORT, "evaluation.baselines=[noop]", "sweep.confirm=off", folder=each)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^noop: 0\.000 over seeds \[1000000, 1000001\]$", done.stdout, re.MULTILINE)
    trial = re.compile(r"^trial \d: COMPLETE \{'optimizer.lr': ([\d.]+)\} -> \(-?[\d.]+,\)$", re.MULTILINE)
    assert sorted(map(float, trial.findall(done.stdout))) == [0.001, 0.01]
    (played,) = tmp_path.glob("out*/evaluation")
    assert len(records(played.parent)) == 4


def test_every_example_is_tested() -> None:
    tested = Path(__file__).read_text()
    for path in (ROOT / "examples").iterdir():
        if path.suffix == ".py" and path.name != SERVER:
            assert path.name in tested or f"examples.{path.stem}" in tested, path.name
