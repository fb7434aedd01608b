"""Runs broken on purpose, a few of them; by hand, `scripts/chaos` breaks hundreds."""

import importlib.machinery
import importlib.util
import os
import random
import signal
import sqlite3
import subprocess
import sys
import zlib
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "chaos"


@pytest.fixture(scope="module")
def chaos() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("chaos", str(SCRIPT))
    spec = importlib.util.spec_from_loader("chaos", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["chaos"] = module
    loader.exec_module(module)
    return module


def test_it_finds_what_it_looks_for(chaos: ModuleType, tmp_path: Path) -> None:
    place = chaos.Place(tmp_path, tmp_path / "output", "case")
    with sqlite3.connect(place.store) as connection:
        connection.execute("create table runs (run_uuid text, name text, status text, lifecycle_stage text)")
        connection.execute("insert into runs values ('a', 'A', 'RUNNING', 'active'), ('b', 'B', 'FINISHED', 'active')")
        connection.execute("create table metrics (run_uuid text, key text, step int, timestamp int)")
        connection.execute("insert into runs values ('c', 'sweep mine', 'FINISHED', 'deleted')")
        rows = "('b', 'x', 1, 1), ('b', 'x', 1, 2), ('b', 'x', 2, 1), ('c', 'x', 1, 1), ('c', 'x', 1, 2)"
        connection.execute(f"insert into metrics values {rows}")
    (tmp_path / "half.partial").touch()
    (place.temporary / "forgotten").touch()
    record = tmp_path / "cache" / "daf" / "episodes" / "ab" / "abc.json"
    record.parent.mkdir(parents=True)
    record.touch()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=place.environment)
    try:
        assert place.processes() == [child.pid]
    finally:
        child.kill()
        child.wait()
    assert chaos._running(place) == ["a"]
    assert chaos._finished_runs(place) == {"B": 1}
    assert chaos._doubled(place) == ["metric x of run b is there twice at step 1"]
    left = [tmp_path / "half.partial", place.temporary / "forgotten"]
    assert chaos._leftovers(place) == [f"partial file {path}" for path in left]
    assert list(chaos._records(place)) == [str(record)]
    assert place.processes() == []


def test_a_disk_runs_full_and_gets_its_room_back(chaos: ModuleType, tmp_path: Path) -> None:
    if not chaos._can_mount():
        pytest.skip("needs the right to mount a small disk")
    place = chaos.Place(tmp_path, tmp_path / "output", "case")
    place.store.write_bytes(b"kept")
    chaos._own_disk("store full", place)
    try:
        assert place.store.read_bytes() == b"kept"
        chaos._fill(place.store.parent, 4096)
        with pytest.raises(OSError, match="No space left"):
            (place.store.parent / "more").write_bytes(bytes(100_000))
    finally:
        chaos._unmount(place)
    assert not os.path.ismount(place.store.parent)
    assert place.store.read_bytes() == b"kept"


def test_every_task_meets_every_fault(chaos: ModuleType) -> None:
    assert {"evaluate", "train", "sweep", "compare", "tournament"} == set(chaos.TASKS)
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        fault = f"driver {number.name.removeprefix('SIG')}"
        assert fault in chaos.FAULTS
        assert chaos._codes(fault) == {0, -9 if number == signal.SIGKILL else 128 + number}


def test_every_secret_is_planted_and_found_where_it_should_not_be(chaos: ModuleType, tmp_path: Path) -> None:
    place = chaos.Place(tmp_path, tmp_path / "output", "case")
    variables = chaos._plant(place, 60, random.Random(0))
    planted = (tmp_path / "conf" / "experiment" / "planted.yaml").read_text() + str(variables)
    assert all(f"{chaos.PLANTED}-{number}-" in planted for number in range(60))
    assert chaos._leaks(place) == []
    (tmp_path / "mlflow.db").write_bytes(b"..." + next(iter(variables.values())).encode())
    (tmp_path / "replay.json.z").write_bytes(zlib.compress(next(iter(variables.values())).encode()))
    assert len(chaos._leaks(place)) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("campaign", "count"), [("kills", "2"), ("inputs", "6")])
def test_nothing_is_lost_and_nothing_is_left(campaign: str, count: str) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), campaign, "--count", count], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
