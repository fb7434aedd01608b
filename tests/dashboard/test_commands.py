"""`daf watch`, `daf sweep-stop` and `daf sweep-enqueue`: what they say, and how they end."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from daf.cli import steer, watch
from daf.config import DAFConfig
from daf.dashboard.gate import Gate
from daf.dashboard.serve import _address
from daf.dashboard.terminal import spark
from daf.sweeps.api import with_sweep
from daf.tracking.begin import new_run
from daf.tracking.store import open_store
from tests.sweeps.support import open_study

Load = Callable[..., DAFConfig]


def ends(command: Callable[[list[str]], None], *arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        command(list(arguments))
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.fixture
def study(tiny: Load, store: str) -> str:
    """A study with one running trial; the key that leads to it."""
    space = {"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
    open_study(with_sweep(tiny("sweep.name=mine"), space=space)).next_trial()
    return f"tracking.uri={store}"


def test_a_sweep_is_steered_from_the_command_line(study: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(steer.enqueue, "mine", "optimizer.lr=3e-3", study) == 0
    assert "lr=0.003 is trial 1 of mine" in capsys.readouterr().out
    assert ends(steer.stop, "mine", study, "--trial", "0") == 0
    assert ends(steer.stop, "mine", study) == 0
    assert "begins no more trials" in capsys.readouterr().out


def test_a_wrong_request_is_a_sentence(study: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(steer.enqueue, "mine", "optimizer.lr=3", study) == 2
    assert "optimizer.lr: 3 is not among what it ranges over: 0.0001 to 0.01." in capsys.readouterr().err
    assert ends(steer.enqueue, "mine", "nonsense", study) == 2
    assert ends(steer.stop, "another", study) == 2
    assert "there is no study another at" in capsys.readouterr().err
    assert ends(steer.stop, "mine", "--trial", "5", f"sweep.storage={tmp_path / 'studies' / 'mine.journal'}") == 2
    assert "has no trial 5: its trials are 0 to 0" in capsys.readouterr().err


def test_in_a_pipe_there_are_plain_lines(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    client, experiment = open_store(store, "watched")
    run_id = new_run(client, experiment, "mine", {"daf.task": "train"})
    client.log_param(run_id, "training.num_steps", "1000")
    client.log_metric(run_id, "SPS", 50.0, step=500)
    other = new_run(client, experiment, "other", {"daf.task": "evaluate", "daf.error": "two problems:\n  - one"})
    client.set_terminated(other, "FAILED")
    assert ends(watch.main, "--terminal", "--once", f"tracking.uri={store}") == 0
    heading, line, failed = capsys.readouterr().out.splitlines()
    assert heading.endswith("mlflow.db: 1 running, 1 processes")
    assert failed == "failed  run  other  two problems: - one"
    assert line == "running  run  mine  500/1,000 steps at 50 a second, 10 s left"
    assert ends(watch.main, "--once") == 2


def test_a_port_in_use_is_a_sentence(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert ends(watch.main, f"tracking.uri={store}", f"watch.port={port}") == 2
    assert f"port {port} is in use" in capsys.readouterr().err
    assert ends(watch.main, f"tracking.uri={store}", "watch.host=no.such.host.invalid") == 2
    assert "cannot be listened at" in capsys.readouterr().err


def test_where_others_can_reach_it_the_address_has_the_token() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port, gate = listener.getsockname()[1], Gate.for_host("0.0.0.0")
        assert _address("127.0.0.1", listener, Gate.for_host("127.0.0.1")) == f"http://127.0.0.1:{port}/"
        assert _address("::1", listener, Gate.for_host("::1")) == f"http://[::1]:{port}/"
        assert _address("0.0.0.0", listener, gate) == f"http://{socket.gethostname()}:{port}/enter/{gate.token}"


def test_ctrl_c_ends_it_quietly(store: str) -> None:
    command = [sys.executable, "-m", "daf.cli.watch", f"tracking.uri={store}", "watch.host=0.0.0.0", "watch.port=0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    assert process.stdout is not None
    address = process.stdout.readline().split()[-1]
    token = address.rpartition("/")[2]
    assert len(token) >= 32  # and not taken for a secret by the gate before the terminal
    place = f"http://127.0.0.1:{address.split(':')[2].partition('/')[0]}"
    with httpx.Client(base_url=place, follow_redirects=True, timeout=30) as visitor:
        assert visitor.get("/api/board").status_code == 401
        assert "DAF" in visitor.get(f"/enter/{token}").text
        assert visitor.get("/api/board").json()["going"] == []
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")


def test_a_curve_in_a_line_of_text() -> None:
    assert spark([(0, 0.0), (1, 1.0), (2, 0.5)]) == "▁█▅"
    assert spark([]) == ""
    assert len(spark([(step, float(step)) for step in range(60)])) <= 12
