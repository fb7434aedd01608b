"""What a training changes in CoGames while it lasts, and that nothing of it stays."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from daf.bridge.imports import contained
from daf.errors import DAFError
from daf.records import EpochReport
from tests.bridge.training.support import Load, StopError, train_config


def test_nothing_is_left_behind(tiny: Load, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with contained():
        import cogames.train as cogames_train

    def state() -> tuple[Any, ...]:
        patched = (cogames_train.pufferl.PuffeRL, cogames_train.initialize_or_load_policy, cogames_train.Console)
        return (*patched, cogames_train.pvector.make, signal.getsignal(signal.SIGINT), threading.active_count())

    before = state()

    def fail(report: EpochReport) -> None:
        raise StopError

    with pytest.raises(StopError):
        train_config(tiny(), tmp_path / "c", on_epoch=fail)
    assert state() == before
    train_config(tiny("training.num_steps=256"), tmp_path / "d")
    assert state() == before
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Environments in processes, as CoGames has them on a GPU."""
    with contained():
        import cogames.train as cogames_train
    vector = cogames_train.pvector
    forked = SimpleNamespace(
        Multiprocessing=vector.Multiprocessing, Serial=vector.Multiprocessing, make=cogames_train.pvector.make
    )
    monkeypatch.setattr(cogames_train, "pvector", forked)


@pytest.mark.usefixtures("processes")
def test_processes_of_environments_ignore_ctrl_c(tiny: Load, tmp_path: Path) -> None:
    def press(report: EpochReport) -> None:
        for process in multiprocessing.active_children():
            os.kill(process.pid or 0, signal.SIGINT)

    assert train_config(tiny("training.num_steps=768"), tmp_path / "c", on_epoch=press).epochs == 3
    assert_ended(multiprocessing.active_children())


@pytest.mark.usefixtures("processes")
def test_a_dead_process_of_environments_is_an_error(tiny: Load, tmp_path: Path) -> None:
    def kill(report: EpochReport) -> None:
        for process in multiprocessing.active_children():
            os.kill(process.pid or 0, signal.SIGKILL)

    with pytest.raises(DAFError, match=r"died at agent step \d+, with exit code -9"):
        train_config(tiny("training.num_steps=768"), tmp_path / "c", on_epoch=kill)


@pytest.mark.usefixtures("processes")
def test_a_training_that_cannot_start_leaves_no_processes(tiny: Load, tmp_path: Path) -> None:
    torch.save({}, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match=r"do not fit .*Missing key"):
        train_config(tiny(f"policy.weights={tmp_path / 'weights.pt'}"), tmp_path / "c")
    assert_ended(multiprocessing.active_children())


def assert_ended(processes: list[Any]) -> None:
    for process in processes:
        process.join(timeout=10)
        assert process.exitcode is not None


ENDLESS = """
import sys, types
from pathlib import Path
from daf.bridge.imports import contained
from daf.bridge.training import train
from daf.config import daf_load_config
from daf.config.plans import training_plan
from daf.execution.interrupts import end_in_order, interrupt_deferred
with contained():
    import cogames.train as cogames_train
vector = cogames_train.pvector
cogames_train.pvector = types.SimpleNamespace(
    Multiprocessing=vector.Multiprocessing, Serial=vector.Multiprocessing, make=vector.make
)
plan = training_plan(daf_load_config(overrides=sys.argv[2:]), Path(sys.argv[1]))
with end_in_order():
    outcome = train(plan, on_epoch=lambda report: print("epoch", flush=True), hold_interrupts=interrupt_deferred)
print("interrupted", outcome.interrupted, outcome.model.is_file())
"""


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_what_ends_a_whole_group_ends_a_training_with_processes(tmp_path: Path, ending: signal.Signals) -> None:
    """A terminal sends Ctrl-C to the trainer and to its processes alike, a service manager SIGTERM."""
    overrides = ("task=train", "device=cpu", "mission.max_steps=200", "training.num_envs=8")
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(tmp_path / "c"), *overrides],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as training:
        assert training.stdout is not None
        try:
            assert training.stdout.readline() == "epoch\n"
            time.sleep(0.2)  # within the next rollout
            os.killpg(training.pid, ending)
            printed, _ = training.communicate(timeout=30)
        finally:
            if training.poll() is None:
                os.killpg(training.pid, signal.SIGKILL)
    assert printed.endswith("interrupted True True\n")
