"""Addresses of stores that are wrong in every way: a sentence, soon, and nothing left behind."""

import http.server
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daf.errors import DAFConfigError
from daf.tracking import addresses
from daf.tracking.store import VARIABLE, open_store, tracking_problems, tracking_uri, ui_command


def refusal(uri: str | None) -> str:
    """What is said, by the check and by opening alike, within seconds and without an exception of others."""
    started = time.monotonic()
    problems = tracking_problems(uri, "test")
    assert len(problems) == 1
    with pytest.raises(DAFConfigError) as raised:
        open_store(uri, "test")
    assert raised.value.exit_code == 2
    assert time.monotonic() - started < 2 * addresses.ANSWER_S
    assert "Traceback" not in str(raised.value)
    return str(problems[0])


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("sqlite://", "every run would be lost"),
        ("sqlite:///", "every run would be lost"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///file::memory:?uri=true", "in memory"),
        ("sqlite:///x.db?mode=memory", "in memory"),
        ("sqlite:///file:x?mode=memory&uri=true", "in memory"),
        ("sqlite:///x.db?foo=bar", "'foo' are not accepted"),
        ("sqlite:////proc/none/x.db", "/proc is not a folder that can be written to"),
        ("sqlite:////" + "x" * 300 + "/y.db", "File name too long"),
        ("sqlite:////dev/null", "is not a file"),
        ("sqlite:////etc/hostname/mlflow.db", "hostname"),
        ("postgresql://user:pw@localhost/db", "driver is not installed: psycopg"),
        ("mysql://localhost/db", "driver is not installed: MySQLdb"),
        ("postgresql://localhost:port/db", "no address of a database"),
        ("sqlite+nothing:///x.db", "no address of a database"),
        ("databricks", "cannot be opened"),
        ("gopher://x", "knows no gopher: addresses"),
        ("file:///tmp/mlruns", "no longer keeps runs as files"),
        ("./mlruns", "no longer keeps runs as files"),
        ("http://", "names no server"),
        ("http://x:port", "no address"),
        ("http://127.0.0.1:1", "cannot be opened"),
        ("http://no-such-host.invalid", "cannot be opened"),
    ],
)
@pytest.mark.filterwarnings("error::sqlalchemy.exc.SAWarning")
def test_an_address_that_is_wrong_is_told(uri: str, said: str) -> None:
    assert said in refusal(uri)


def test_an_address_is_looked_at_once_on_the_way_to_its_store(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr("daf.tracking.store.check_address", lambda address, _: looked.append(address))
    assert tracking_problems(store, "test") == []
    open_store(store, "test")
    assert looked == [store]
    open_store(store, "test")
    assert looked == [store] * 2


def test_a_store_that_cannot_be_written_is_told(fresh_database: Path, disk: Callable[..., Path]) -> None:
    folder = disk("size=4m")
    shutil.copyfile(fresh_database, folder / "mlflow.db")
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    for path in (folder / "mlflow.db", folder / "new" / "mlflow.db"):
        assert "can be written to: Read-only file system" in refusal(f"sqlite:///{path}")


def test_a_file_that_is_no_store_is_told_and_left_alone(tmp_path: Path, fresh_database: Path) -> None:
    (tmp_path / "text.db").write_text("hello")
    whole = fresh_database.read_bytes()
    (tmp_path / "half.db").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "garbage.db").write_bytes(whole[:4096] + b"\xff" * 9000 + whole[13096:])
    (tmp_path / "folder.db").mkdir()
    os.mkfifo(tmp_path / "fifo.db")
    (tmp_path / "lost.db").symlink_to("/no/such/file")
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE studies (id)")
    shutil.copyfile(fresh_database, tmp_path / "newer.db")
    with sqlite3.connect(tmp_path / "newer.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'abcdef'")
    before = sorted(path.name for path in tmp_path.iterdir())
    said = {name: refusal(f"sqlite:///{tmp_path / name}") for name in before}
    assert "not an SQLite database" in said["text.db"]
    assert "damaged" in said["half.db"]
    assert "damaged" in said["garbage.db"]
    assert "is not a file" in said["folder.db"]
    assert "is not a file" in said["fifo.db"]
    assert "cannot be used" in said["lost.db"]
    assert "not MLflow's: it holds studies" in said["other.db"]
    assert "does not know: abcdef" in said["newer.db"]
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_locked_store_is_waited_for_and_told(
    tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(addresses, "LOCKED_S", 0.3)
    holder = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    assert "locked by another process" in refusal(store)
    monkeypatch.setattr(addresses, "LOCKED_S", 10.0)
    threading.Timer(0.5, lambda: holder.execute("ROLLBACK")).start()
    assert tracking_problems(store, "test") == []
    assert capfd.readouterr().err == ""


class _Wrong(http.server.BaseHTTPRequestHandler):
    """Answers everything, as no MLflow does."""

    def do_GET(self) -> None:
        """An HTML page."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def wrong_server() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Wrong)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_server_that_is_not_mlflow_is_told(wrong_server: str) -> None:
    assert "cannot be opened" in refusal(wrong_server)


def test_a_server_that_never_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daf.tracking.store.ANSWER_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "nothing answers there" in refusal(f"http://127.0.0.1:{silent.getsockname()[1]}")


def test_mlflows_own_variable_counts_where_no_address_is_given(
    monkeypatch: pytest.MonkeyPatch, store: str, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, store)
    assert tracking_uri(None) == store
    assert tracking_uri("http://x") == "http://x"
    assert store in ui_command(None)
    open_store(None, "test")
    monkeypatch.setenv(VARIABLE, "sqlite://")
    assert refusal(None).startswith("MLFLOW_TRACKING_URI: ")
    monkeypatch.chdir(tmp_path)
    assert tracking_uri("sqlite:///x.db") == f"sqlite:///{tmp_path / 'x.db'}"


def test_whoever_is_killed_while_it_makes_the_database_leaves_none_that_is_half_made(tmp_path: Path) -> None:
    path = tmp_path / "store" / "mlflow.db"
    uri, half = f"sqlite:///{path}", path.with_name(".mlflow.db.new")
    text = f"from daf.tracking.store import open_store; open_store({uri!r}, 'test')"
    making = subprocess.Popen([sys.executable, "-c", text])
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (half.is_file() and half.stat().st_size > 0):
        time.sleep(0.005)
    making.kill()
    making.wait()
    assert half.is_file()
    assert not path.exists()
    client, experiment = open_store(uri, "test")
    assert client.get_experiment(experiment).name == "test"
    assert not half.exists()
