"""What MLflow does not take: kept, told, delivered later, and each entry once."""

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from werkzeug.serving import BaseWSGIServer, make_server

from daf.errors import DAFError
from daf.runs import daf_deliver
from daf.tracking import courier
from daf.tracking.abandoned import HOST, PID, STARTED, end_abandoned, process_tags
from daf.tracking.begin import open_tidied
from daf.tracking.deliver import Entry
from daf.tracking.store import open_store
from daf.tracking.tracker import Tracker
from daf.tracking.undelivered import UNDELIVERED, deliver_files, noted_files


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(courier, "ATTEMPTS", 2)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def away(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the store takes nothing."""

    def refuse(*_: object, **__: object) -> None:
        raise MlflowException("database or disk is full", error_code=7)

    for name in ("log_batch", "log_artifact", "set_terminated", "get_run"):
        monkeypatch.setattr(client, name, refuse)


def test_the_next_run_delivers_what_an_earlier_one_could_not(
    tracker: Tracker, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        away(tracker.client, patch)
        tracker.log_metrics({"late": 2.0}, step=3)
        tracker.log_text("hello", "note.txt")
        tracker.close("FINISHED")
    kept = tmp_path / "out" / UNDELIVERED
    assert tracker.undelivered == len(kept.read_text().splitlines()) > 0
    assert str(kept) in caplog.text
    opened = open_tidied(store, "test")
    run = opened.client.get_run(tracker.run_id)
    assert (run.info.status, run.data.metrics["late"]) == ("FINISHED", 2.0)
    assert [item.path for item in opened.client.list_artifacts(tracker.run_id)] == ["note.txt"]
    assert [(each.run_ids, each.count) for each in opened.delivered] == [([tracker.run_id], tracker.undelivered)]
    assert not kept.exists()
    assert noted_files(store) == []
    assert open_tidied(store, "test").delivered == []


def test_what_is_damaged_stays_and_is_told_by_line(tracker: Tracker, tmp_path: Path, store: str) -> None:
    run_id = tracker.run_id
    good = Entry(run_id, "metrics", [("x", 1.0, 1000, 5)]).line().encode()
    stranger = Entry("0" * 32, "tags", {"a": "b"}).line().encode()
    bad = [b"{half", b"\xff\xfe", b"[]", b'{"run_id": 1, "kind": "end", "content": "FINISHED"}', b"\x00" * 9]
    path = tmp_path / UNDELIVERED
    path.write_bytes(good + b"\n".join(bad) + b"\n\n" + good + stranger)
    (found,) = deliver_files(tracker.client, [path, path])
    assert found.count == 2
    assert [problem.partition(": ")[0].rpartition("line ")[2].split()[0] for problem in found.problems] == [
        *"23456",
        "9",
    ]
    assert path.read_bytes().splitlines() == [*bad, stranger.strip()]
    history = MlflowClient(store).get_metric_history(run_id, "x")
    assert [(point.step, point.value) for point in history] == [(5, 1.0)]


def test_a_full_disk_everywhere_is_an_error(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes fail as on a full disk: the files lead to /dev/full."""
    away(tracker.client, monkeypatch)

    def full(path: Path) -> FileIO:
        return FileIO("/dev/full", "r+")

    monkeypatch.setattr("daf.tracking.undelivered._opened_locked", full)
    tracker.log_metrics({"lost": 1.0})
    with pytest.raises(DAFError, match="its end") as raised:
        tracker.close("FINISHED")
    assert raised.value.exit_code == 1
    assert [thread for thread in threading.enumerate() if thread.name == "daf-tracker"] == []


@pytest.mark.parametrize("state_is_full", [False, True])
def test_a_real_full_disk_under_store_and_output(
    state_is_full: bool,
    disk: Callable[[str], Path],
    fresh_database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """From the first write that fails to what is there once there is room again."""
    folder = disk("size=8m")
    shutil.copyfile(fresh_database, folder / "mlflow.db")
    store = f"sqlite:///{folder / 'mlflow.db'}"
    client, experiment_id = open_store(store, "test")
    (folder / "out").mkdir()
    if state_is_full:
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    tracker = Tracker(client, experiment_id, "test", folder / "out")
    tracker.log_metrics({"before": 1.0})
    wait_for(lambda: client.get_run(tracker.run_id).data.metrics)
    fill(folder / "filling")
    for step in range(50):
        tracker.log_metrics({f"x{i}": step for i in range(50)}, step=step)
    if state_is_full:
        with pytest.raises(DAFError, match=r"is not whole: neither .* takes .*its end.*Is a disk full\?"):
            tracker.close("FINISHED")
    else:
        tracker.close("FINISHED")
        assert tracker.undelivered > 0
    assert "Traceback" not in capfd.readouterr().err
    assert "MLflow: (sqlite3.OperationalError) database or disk is full" in caplog.text
    (folder / "filling").unlink()
    opened = open_tidied(store, "test")
    run = opened.client.get_run(tracker.run_id)
    assert run.data.metrics["before"] == 1.0
    ended = ("RUNNING", None) if state_is_full else ("FINISHED", 49.0)
    assert (run.info.status, run.data.metrics.get("x49")) == ended


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)


def fill(path: Path) -> None:
    """Writes until the disk takes nothing more."""
    with FileIO(path, "w") as file:
        for size in (2**16, 2**12, 1):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size) == size:
                    pass


@pytest.fixture
def server(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[BaseWSGIServer]:
    """MLflow's server, in a thread."""
    for key, value in (("FILE_STORE", store), ("ARTIFACT_ROOT", str(tmp_path / "artifacts"))):
        monkeypatch.setenv(f"_MLFLOW_SERVER_{key}", value)
    monkeypatch.setattr("mlflow.server.handlers._tracking_store", None)  # of the test before
    from mlflow.server import app

    own = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=own.serve_forever, daemon=True).start()
    yield own
    own.shutdown()
    own.server_close()


@pytest.mark.parametrize("answers", [False, True])
def test_a_server_that_dies_does_not_hold_up_the_end(
    answers: bool, server: BaseWSGIServer, tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses connections, as one that was killed, or takes them and is silent, as one that was stopped."""
    monkeypatch.setattr(courier, "CALL_S", 3.0 if answers else courier.CALL_S)
    client, experiment_id = open_store(f"http://127.0.0.1:{server.port}", "test")
    (tmp_path / "out").mkdir()
    tracker = Tracker(client, experiment_id, "test", tmp_path / "out")
    tracker.log_metrics({"x": 1.0})
    server.shutdown()
    server.server_close()
    with contextlib.ExitStack() as stack:
        if answers:
            stack.enter_context(socket.create_server(("127.0.0.1", server.port)))
        tracker.log_metrics({"x": 2.0}, step=1)
        started = time.monotonic()
        tracker.close("FINISHED")
        assert time.monotonic() - started < 10
    kept = [json.loads(line) for line in (tmp_path / "out" / UNDELIVERED).read_text().splitlines()]
    assert {"run_id": tracker.run_id, "kind": "end", "content": "FINISHED"} in kept
    assert MlflowClient(store).get_run(tracker.run_id).info.status == "RUNNING"


def test_where_the_output_folder_takes_nothing_the_state_folder_does(
    tracker: Tracker, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out" / UNDELIVERED).mkdir()
    with monkeypatch.context() as patch:
        away(tracker.client, patch)
        tracker.close("FINISHED")
    open_tidied(store, "test")
    assert MlflowClient(store).get_run(tracker.run_id).info.status == "FINISHED"


@pytest.mark.parametrize("door", ["log_batch", "log_artifact"])
def test_a_store_that_hangs_does_not_hold_up_the_end(
    door: str, tracker: Tracker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(courier, "CALL_S", 0.5)
    free = threading.Event()
    monkeypatch.setattr(tracker.client, door, lambda *_, **__: free.wait(30))
    if door == "log_artifact":
        tracker.log_text("first", "first.txt")
    for step in range(2000):
        tracker.log_metrics({"x": step}, step=step)
    tracker.log_text("hello", "note.txt")
    started = time.monotonic()
    tracker.close("FINISHED")
    free.set()
    assert time.monotonic() - started < 5
    kept = [json.loads(line) for line in (tmp_path / "out" / UNDELIVERED).read_text().splitlines()]
    assert {entry["kind"] for entry in kept} == {"metrics", "file", "end"}
    assert sum(len(entry["content"]) for entry in kept if entry["kind"] == "metrics") == 2001


def test_a_database_that_is_locked_for_a_while_is_waited_for_in_silence(
    tracker: Tracker, tmp_path: Path, store: str, capfd: pytest.CaptureFixture[str]
) -> None:
    holder = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    threading.Timer(1.0, lambda: holder.execute("ROLLBACK")).start()
    tracker.log_metrics({"x": 1.0})
    tracker.close("FINISHED")
    assert MlflowClient(store).get_run(tracker.run_id).data.metrics["x"] == 1.0
    assert tracker.undelivered == 0
    assert "Traceback" not in capfd.readouterr().err


def test_the_task_delivers_what_lies_below_a_folder(tracker: Tracker, tmp_path: Path, tiny: Any) -> None:
    folder = tmp_path / "old" / "run"
    folder.mkdir(parents=True)
    (folder / UNDELIVERED).write_text(Entry(tracker.run_id, "params", {"p": "1"}).line())
    config = tiny("task=deliver", f"tracking.undelivered={tmp_path / 'old'}")
    result = daf_deliver(config, tracker)
    assert result.notes == ("1 entries were delivered.",)
    assert result.tables[0].rows[0][1:] == ("1", tracker.run_id, "0")
    assert not (folder / UNDELIVERED).exists()
    (folder / UNDELIVERED).write_text("{half\n")
    with pytest.raises(DAFError, match="line 1 is damaged"):
        daf_deliver(config, tracker)


def test_a_run_whose_process_is_gone_is_killed_and_no_other(store: str) -> None:
    client, experiment = open_store(store, "test")
    mine = process_tags()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    tags = {
        "alive": mine,
        "gone": mine | {PID: str(gone.pid)},
        "reused": mine | {STARTED: "1000.00"},
        "elsewhere": mine | {PID: str(gone.pid), HOST: "another"},
        "damaged": mine | {PID: "x"},
        "stranger": {},
    }
    ids = {name: client.create_run(experiment, tags=own).info.run_id for name, own in tags.items()}
    assert sorted(end_abandoned(client)) == sorted([ids["gone"], ids["reused"]])
    status = {name: client.get_run(run_id).info.status for name, run_id in ids.items()}
    assert {name for name, is_now in status.items() if is_now == "KILLED"} == {"gone", "reused"}
    assert end_abandoned(client) == []


@pytest.mark.slow
def test_a_killed_process_leaves_no_run_that_seems_to_go_on(store: str, tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from daf.tracking import Tracker, open_store\n"
        "t = Tracker(*open_store(sys.argv[1], 'test'), 'x', Path(sys.argv[2])); print(t.run_id, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, store, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        process.send_signal(signal.SIGKILL)
    client = open_tidied(store, "other").client
    assert client.get_run(run_id).info.status == "KILLED"


def test_a_second_ctrl_c_waits_for_the_end_of_the_first(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, experiment = open_store(store, "test")
    end = client.set_terminated

    def slow(*arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        end(*arguments)

    monkeypatch.setattr(client, "set_terminated", slow)
    with pytest.raises(KeyboardInterrupt), Tracker(client, experiment, "x", tmp_path) as tracker:
        raise KeyboardInterrupt
    assert client.get_run(tracker.run_id).info.status == "KILLED"
