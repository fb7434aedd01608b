"""Stages in processes of their own: side by side, with time limits, and how they are ended."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from daf.config import DAFConfig
from daf.config.override_syntax import override_text
from daf.errors import DAFInterruptedError
from daf.run import daf_run
from tests.conftest import TINY
from tests.orchestrators.stages import calls, stage
from tests.orchestrators.test_pipeline import run, runs_in, statuses

Piped = Callable[..., DAFConfig]
ROOT = Path(__file__).parents[2]


def wait_for(path: Path) -> None:
    end = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.02)


def test_stages_that_need_nothing_of_each_other_run_side_by_side(piped: Piped, store: str) -> None:
    result = run(piped("pipeline.workers=2", a=stage("meet"), b=stage("meet"), c=stage("give", needs=["a", "b"])))
    assert statuses(result) == {"a": "ok", "b": "ok", "c": "ok"}
    assert {each.info.status for each in runs_in(store).values()} == {"FINISHED"}
    assert (result.stage("a").output_dir / "stage.log").exists()


def test_a_stage_that_takes_too_long_is_ended_in_order_and_one_whose_process_dies_is_tried_again(
    piped: Piped, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daf.orchestrators.engine.FIRST_DELAY_S", 0.01)
    result = run(
        piped(
            "pipeline.on_failure=continue",
            dies=stage("die_once", time_limit_s=100, retries=1),
            slow=stage("sleep", time_limit_s=1),
        )
    )
    assert statuses(result) == {"dies": "ok", "slow": "failed"}
    assert (calls(tmp_path, "dies"), result.stage("dies").attempts) == (2, 2)
    assert result.stage("slow").error == "it took longer than its time limit of 1 s"
    assert (result.stage("slow").output_dir / "saved").exists()
    assert runs_in(store)["stage slow"].info.status == "KILLED"


def test_an_interrupt_ends_stages_in_workers_in_order(piped: Piped, store: str) -> None:
    config = piped("pipeline.workers=2", a=stage("sleep"), b=stage("sleep"))
    folder = Path(config.output_dir)

    def interrupt() -> None:
        for name in ("a", "b"):
            wait_for(folder / name / "begun")
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(DAFInterruptedError, match="0 of 2 stages are done"):
        daf_run(config)
    thread.join()
    assert all((folder / name / "saved").exists() for name in ("a", "b"))
    assert {each.info.status for each in runs_in(store).values()} == {"KILLED"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_what_is_done_when_a_command_is_ended_stays_done(
    piped: Piped, store: str, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    stages = {"a": stage("give"), "b": stage("sleep", needs=["a"])}
    out = tmp_path / "out"
    given = ["pipeline.name=test", override_text("+pipeline.stages", stages), f"output_dir={out}"]
    command = [sys.executable, "-m", "daf.run", "task=pipeline", *given, f"tracking.uri={store}", *TINY]
    started = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    wait_for(out / "b" / "begun")
    started.send_signal(number)
    assert started.wait(60) == code
    assert (out / "b" / "saved").exists() == (number is signal.SIGTERM)
    result = run(piped(f"output_dir={out}", a=stages["a"], b=stage("give", needs=["a"])))
    assert statuses(result) == {"a": "ok", "b": "ok"}
    assert (calls(tmp_path, "a"), calls(tmp_path, "b")) == (1, 1)
