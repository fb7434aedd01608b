"""Runs broken on purpose, a few of them; by hand, `scripts/chaos` breaks hundreds."""

import importlib.machinery
import importlib.util
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "chaos"


def _chaos() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("chaos", str(SCRIPT))
    spec = importlib.util.spec_from_loader("chaos", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["chaos"] = module
    loader.exec_module(module)
    return module


def test_it_finds_what_it_looks_for(tmp_path: Path) -> None:
    chaos = _chaos()
    place = chaos.Place(tmp_path, tmp_path / "output", "case")
    with sqlite3.connect(place.store) as connection:
        connection.execute("create table runs (run_uuid text, status text)")
        connection.execute("insert into runs values ('a', 'RUNNING'), ('b', 'FINISHED')")
    (tmp_path / "half.partial").touch()
    record = tmp_path / "cache" / "daf" / "episodes" / "ab" / "abc.json"
    record.parent.mkdir(parents=True)
    record.touch()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=place.environment)
    try:
        assert place.processes() == [child.pid]
    finally:
        child.kill()
        child.wait()
    assert chaos._rows(place.store, "select run_uuid from runs where status = 'RUNNING'") == [("a",)]
    assert chaos._leftovers(place) == [f"partial file {tmp_path / 'half.partial'}"]
    assert list(chaos._records(place)) == [str(record)]
    assert place.processes() == []


@pytest.mark.slow
@pytest.mark.parametrize(("campaign", "count"), [("kills", "2"), ("inputs", "6")])
def test_nothing_is_lost_and_nothing_is_left(campaign: str, count: str) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), campaign, "--count", count], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
