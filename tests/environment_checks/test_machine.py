"""Disk, memory, cores, clock and stores, against what this very config needs."""

import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from daf.config import DAFConfig
from daf.environment_checks import EnvironmentCheckResult, daf_check_disk_space, machine
from daf.environment_checks.machine import check_clock, check_cores, check_memory
from daf.environment_checks.needs import ENVIRONMENT, GIB, MIB, PROCESS, RECORD, WEIGHTS, disk_needs, memory_needs
from daf.environment_checks.stores import check_study_storage, check_tracking_store
from daf.sweeps.api import with_sweep
from daf.tasks import find_task

Load = Callable[..., DAFConfig]


def state(found: EnvironmentCheckResult) -> tuple[str, str]:
    """State and finding of the last row; it has a remedy if something is wrong."""
    row = found.rows[-1]
    assert row.state == "ok" or row.remedy
    return row.state, row.found


def disk_sizes(config: DAFConfig) -> dict[str, int]:
    """What is needed, by its first words."""
    return {need.what.partition(":")[0]: need.size for need in disk_needs(config, find_task(config.task))}


def test_what_a_training_writes(tiny: Load) -> None:
    keep = ("training.max_checkpoints_to_keep=5",)
    sizes = disk_sizes(tiny(*keep))
    assert sizes == {"checkpoints": (5 + 1 + 2) * WEIGHTS, "MLflow's copies": 3 * WEIGHTS}
    assert disk_sizes(tiny(*keep, "tracking.uri=http://localhost:1")) == {"checkpoints": 8 * WEIGHTS}


def test_what_an_evaluation_writes(tiny: Load) -> None:
    config = tiny("task=evaluate", "policy=noop", "evaluation.baselines=[random]", "evaluation.episodes=50")
    sizes = disk_sizes(config)
    assert sizes == {"records": 100 * 2 * RECORD * 3, "MLflow's copies": 100 * 2 * RECORD * 2}
    assert disk_sizes(config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"replays": True})}))[
        "replays"
    ] == (3 * 2 * 2 * 20 * 512)


def test_a_sweep_multiplies(tiny: Load) -> None:
    sweep = ("sweep.n_trials=10", "sweep.seeds_per_trial=2", "sweep.confirm_seeds=4")
    config = with_sweep(tiny(*sweep), space={"optimizer.lr": [0.1, 0.2]}, name="mine")
    assert disk_sizes(config)["checkpoints"] == 24 * (config.training.max_checkpoints_to_keep + 3) * WEIGHTS


def test_a_small_disk_is_too_full_and_the_arithmetic_is_shown(tiny: Load, disk: Callable[[str], Path]) -> None:
    folder = disk("size=64k")
    (folder / "filler").write_bytes(b"x" * 60_000)
    state_, what = state(daf_check_disk_space(tiny(f"output_dir={folder}/out")))
    assert state_ == "error"
    assert re.search(r"only [1-9][\d.]* KiB are free there, and 1\.0 GiB are needed: to spare 1\.0 GiB \+ check", what)
    (folder / "more").write_bytes(b"x" * shutil.disk_usage(folder).free)
    assert state(daf_check_disk_space(tiny(f"output_dir={folder}/out")))[0] == "error"


def test_a_read_only_place_takes_neither_files_nor_runs_nor_studies(tiny: Load, disk: Callable[[str], Path]) -> None:
    folder = disk("size=64k,ro")
    own = (f"output_dir={folder}/out", f"tracking.uri=sqlite:///{folder}/mlflow.db")
    config = tiny(*own, f"sweep.storage={folder}/study.journal")
    for check in (daf_check_disk_space, check_tracking_store, check_study_storage):
        found, what = state(check(config))
        assert found == "error"
        assert "Read-only file system" in what


def test_the_output_and_the_store_on_different_disks_are_counted_apart(tiny: Load, disk: Callable[[str], Path]) -> None:
    folder = disk("size=64k")
    (found,) = daf_check_disk_space(tiny(f"tracking.uri=sqlite:///{folder}/mlflow.db")).errors
    assert "MLflow's copies" in found.what
    assert "to spare" not in found.what


def test_memory_by_environments_and_workers(tiny: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny("training.num_envs=100000")
    found, what = state(check_memory(config))
    assert found == "error"
    assert "training: 1 x 100000 environments x 6.0 MiB" in what
    assert state(check_memory(tiny()))[0] == "ok"
    free = psutil.virtual_memory()._replace(available=10 * MIB, total=100 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    monkeypatch.setattr(machine, "_limit", lambda: 2**63)
    assert state(check_memory(tiny()))[0] == "warning"
    played = tiny("task=evaluate", "policy=noop", "evaluation.workers=3", "evaluation.episodes=6")
    workers = memory_needs(played, find_task(played.task), cores=8)[1]
    assert workers.size == 3 * (PROCESS + 2 * ENVIRONMENT)


def test_a_control_group_limits_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Load) -> None:
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    assert machine._limit() == 2**63
    (tmp_path / "memory.max").write_text(f"{100 * MIB}\n")
    assert state(check_memory(tiny()))[0] == "error"


def test_a_simulation_is_as_large_as_is_counted() -> None:
    """The largest map of CoGames' own, measured; a process, too."""
    code = (
        "import psutil\n"
        "from daf.records import MissionSpec\n"
        "from daf.bridge.missions import build_mission\n"
        "import torch, cogames.train\n"
        "from mettagrid.runner.rollout import resolve_env_for_seed\n"
        "from mettagrid.simulator import Simulator\n"
        "size = lambda: psutil.Process().memory_info().rss\n"
        "process = size()\n"
        "config = build_mission(MissionSpec(name='cogsguard_machina_1.basic', cogs=8, max_steps=200))[1]\n"
        "at = lambda seed: resolve_env_for_seed(config.model_copy(deep=True), seed)\n"
        "make = lambda seed: Simulator().new_simulation(at(seed), seed)\n"
        "kept = [make(0)]\n"
        "before = size()\n"
        "kept += [make(seed) for seed in range(8)]\n"
        "print(process, (size() - before) // 8)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    process, simulation = map(int, done.stdout.split()[-2:])
    assert PROCESS / 3 < process < PROCESS * 1.5
    assert ENVIRONMENT / 30 < simulation < ENVIRONMENT * 1.5


def test_more_processes_than_cores_is_a_warning(tiny: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)
    assert check_cores(tiny("evaluation.workers=2")).warnings == ()
    found = check_cores(tiny("evaluation.workers=64"))
    assert found.passed
    assert found.warnings == ("evaluation.workers: 64 on 2 cores. Give evaluation.workers=2.",)


def test_a_clock_that_is_wrong_is_a_warning(tiny: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    assert state(check_clock(tiny()))[0] == "ok"
    monkeypatch.setattr(time, "time", lambda: 1e9)
    found = check_clock(tiny())
    assert found.passed
    assert ["before this version" in warning for warning in found.warnings] == [True, False]
    assert "away from it" in found.warnings[1]


def test_a_study_may_lie_in_a_journal_or_in_optunas_database(tiny: Load, tmp_path: Path) -> None:
    foreign, empty = tmp_path / "foreign.db", tmp_path / "empty.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE invoices (id INTEGER)")
    before = sorted(tmp_path.iterdir())
    found, what = state(check_study_storage(tiny(f"sweep.storage=sqlite:///{foreign}")))
    assert (found, "invoices" in what) == ("error", True)
    assert state(check_study_storage(tiny(f"sweep.storage={tmp_path}")))[0] == "error"
    assert state(check_study_storage(tiny("sweep.storage=nonsense://host/x")))[0] == "error"
    for fine in (f"sqlite:///{empty}", str(tmp_path / "new" / "study.journal"), "null"):
        assert state(check_study_storage(tiny(f"sweep.storage={fine}")))[0] == "ok"
    assert sorted(tmp_path.iterdir()) == before
