"""The command line as a user types it: exit codes, messages, what is created and what is not."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.conftest import TINY

ROOT = Path(__file__).parents[1]


def daf(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `python -m daf.run` in a folder of its own."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "daf.run", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "work"


def test_a_wrong_key_exits_with_2_and_creates_nothing(folder: Path) -> None:
    done = daf(folder, "optimizer.lrr=1")
    assert done.returncode == 2
    assert done.stderr == (
        "daf_run: 1 problem in the request:\n"
        "  - optimizer.lrr: there is no such key. Did you mean optimizer.lr or optimizer or optimizer.eps?\n"
    )
    assert done.stdout == ""
    assert list(folder.iterdir()) == []


def test_all_problems_of_a_command_line_are_told(folder: Path) -> None:
    done = daf(folder, "mission.name=nope", "policy=nope")
    assert done.returncode == 2
    assert "mission.name: there is no mission 'nope'" in done.stderr
    assert "policy: there is no option 'nope'. Did you mean noop?" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(folder.iterdir()) == []


def test_a_wrong_value_in_a_sweep_is_found_before_the_first_run(folder: Path) -> None:
    done = daf(folder, "-m", "optimizer.lr=1e-3,abc", "training.gamma=0.9,3")
    assert done.returncode == 2
    assert "'abc' is not valid" in done.stderr
    assert "training.gamma: 3 is not valid" in done.stderr
    assert list(folder.iterdir()) == []


def test_what_only_the_simulator_knows_creates_nothing_either(folder: Path) -> None:
    done = daf(folder, "task=evaluate", "policy=noop", "mission.cogs=12")
    assert (done.returncode, list(folder.iterdir())) == (2, [])
    assert "cannot be built: Map has more 'agent.agent' cells (9)" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"], ["optimizer.lrr=1"], ["mission.name=nope"]])
def test_the_fast_paths_import_nothing_heavy(folder: Path, arguments: list[str]) -> None:
    script = (
        "import sys, daf.run\n"
        "try: daf.run.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'mlflow', 'cogames', 'mettagrid', 'matplotlib', 'pandas', 'scipy', 'optuna', 'ray'}\n"
        "print('IMPORTED', sorted(heavy & set(sys.modules)))\n"
    )
    folder.mkdir()
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
    assert "IMPORTED []" in done.stdout


def test_help_lists_every_task_group_and_option(folder: Path) -> None:
    done = daf(folder, "--help")
    assert done.returncode == 0
    for path in (ROOT / "conf").glob("*/*.yaml"):
        if path.parent.name != "hydra":
            assert re.search(rf"\b{path.stem}\b", done.stdout), path
            assert f"  {path.parent.name} " in done.stdout


def test_help_may_be_cut_short(folder: Path) -> None:
    folder.mkdir()
    done = subprocess.run(
        f"{sys.executable} -m daf.run --help | head -1",
        shell=True,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stdout.startswith("daf_run:")
    assert "Traceback" not in done.stderr


def test_completion_offers_groups_and_options(folder: Path) -> None:
    folder.mkdir()
    environment = {**os.environ, "COMP_LINE": "daf_run policy=st", "COMP_POINT": "17"}
    command = [sys.executable, "-m", "daf.run", "-sc", "query=bash"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)
    assert set(done.stdout.split()) == {"policy=starter", "policy=stateless"}


def test_two_values_are_two_children_of_one_run(folder: Path, store: str) -> None:
    done = daf(folder, "-m", "task=train", *TINY, f"tracking.uri={store}", "optimizer.lr=1e-4,3e-4")
    assert done.returncode == 0, done.stderr
    client = MlflowClient(store)
    (experiment,) = (e.experiment_id for e in client.search_experiments() if e.name == "daf")
    runs = client.search_runs([experiment])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == 2
    assert {run.data.params["optimizer.lr"] for run in children} == {"0.0001", "0.0003"}
    assert len({run.data.tags["daf.checkpoint_sha256"] for run in children}) == 2
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len({run.data.tags["daf.output_dir"] for run in children}) == 2


@pytest.mark.parametrize(
    ("ending", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
)
def test_what_ends_a_training_lets_it_save_and_close(
    folder: Path, store: str, ending: signal.Signals, code: int
) -> None:
    folder.mkdir()
    arguments = ["task=train", *TINY, "training.num_steps=10000000", f"tracking.uri={store}", "output_dir=out"]
    process = subprocess.Popen(
        [sys.executable, "-m", "daf.run", *arguments], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    metrics = folder / "out" / "metrics.jsonl"
    end = time.monotonic() + 300
    while not (metrics.is_file() and metrics.stat().st_size) and time.monotonic() < end:
        time.sleep(0.2)
    process.send_signal(ending)
    _, told = process.communicate(timeout=120)
    assert process.returncode == code
    assert "Interrupted after" in told
    assert "training.resume=" in told
    client = MlflowClient(store)
    (experiment,) = (e.experiment_id for e in client.search_experiments() if e.name == "daf")
    (run,) = client.search_runs([experiment])
    assert run.info.status == "KILLED"
    assert (folder / "out" / "checkpoints" / "trainer_state.pt").is_file()


def test_failed_work_exits_with_1(folder: Path, store: str) -> None:
    arguments = ["task=evaluate", *TINY, "policy.class_path=chaos-monkey", f"tracking.uri={store}"]
    done = daf(folder, *arguments)
    assert done.returncode == 1
    assert "no episode could be played" in done.stderr


def test_a_policy_and_a_task_of_ones_own(folder: Path, store: str) -> None:
    """What the README tells about adding them, without installing anything."""
    folder.mkdir()
    (folder / "mine.py").write_text(
        "from mettagrid.policy.noop import NoopPolicy\n"
        "from daf.results import TaskResult\n"
        "class Mine(NoopPolicy):\n    short_names = None\n"
        "def task(config, tracker):\n"
        "    tracker.log_metrics({'seen': config.seed})\n"
        "    return TaskResult(objective=float(config.seed), notes=('my task ran',))\n"
    )
    own = ["task=evaluate", *TINY, f"tracking.uri={store}", "policy.class_path=mine.Mine"]
    done = daf(folder, *own)
    assert done.returncode == 0, done.stderr
    assert "Mine" in done.stdout
    done = daf(folder, *own, "task.name=mine", "task.function=mine.task", "seed=7")
    assert done.returncode == 0, done.stderr
    assert "my task ran" in done.stdout
