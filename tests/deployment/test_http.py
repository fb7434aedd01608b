"""A server as a target: the reference server behind a real socket, and every way in which the line to it breaks."""

import errno
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

import daf.deployment.http as http_module
from daf.deployment.addresses import address_problem
from daf.deployment.http import HttpTarget, content_digest
from daf.deployment.moves import Move, Use
from daf.deployment.targets import MovedMeanwhileError
from daf.errors import DAFError
from tests.deployment.support import Line, Made, made_bundle, policy_server, serving

TOKEN = "a-token-that-nobody-may-see"
LARGE = 400_000


class Faults:
    """Answers the next requests itself, with what stands in `answers`, before the server sees them."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.answers: list[Response] = []
        self.seen: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(f"{scope['method']} {scope['path']}")
        await (self.answers.pop(0) if self.answers else self.app)(scope, receive, send)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "FIRST_WAIT_S", 0.001)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "policies"


@pytest.fixture
def server(folder: Path) -> Faults:
    return Faults(policy_server.application(folder, TOKEN))


@pytest.fixture
def port(server: Faults) -> Iterator[int]:
    with serving(server) as port:
        yield port


@pytest.fixture
def line(port: int) -> Iterator[Line]:
    with Line(port).open() as line:
        yield line


@pytest.fixture
def target(line: Line) -> HttpTarget:
    return client(line)


def client(line: Line, *, token: str | None = TOKEN, timeout_s: float = 5.0) -> HttpTarget:
    address = f"http://127.0.0.1:{line.port}"
    return HttpTarget(address, "pol", "champion", attempts=4, timeout_s=timeout_s, token=token)


def upload(target: HttpTarget, made: Made) -> bool:
    return target.upload(made.path, made.metadata, made.digest)


def move(target: HttpTarget, version: str, seen: Use | None = None) -> None:
    seen = seen or target.use()
    target.move(seen, Move(kind="deploy", before=seen.version, after=version, why="a test", run_id="r"))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_version_is_kept_aliased_and_fetched(target: HttpTarget, folder: Path, tmp_path: Path) -> None:
    assert target.versions() == {}
    assert target.use() == Use(None)
    made, newer = made_bundle(tmp_path, padding=LARGE), made_bundle(tmp_path, "1.1.0")
    assert upload(target, made)
    move(target, "1.0.0")
    assert upload(target, newer)
    move(target, "1.1.0")
    assert target.versions() == {"1.0.0": made.digest, "1.1.0": newer.digest}
    use = target.use()
    assert use.version == "1.1.0"
    assert [(step.before, step.after, step.why, step.run_id) for step in use.moves] == [
        (None, "1.0.0", "a test", "r"),
        ("1.0.0", "1.1.0", "a test", "r"),
    ]
    assert target.fetch("1.0.0", tmp_path / "back").read_bytes() == made.path.read_bytes()
    assert files(folder) == [
        "pol/aliases/champion.json",
        *(
            f"pol/versions/{version}/{file}"
            for version in ("1.0.0", "1.1.0")
            for file in ("bundle.zip", "version.json")
        ),
    ]


def test_a_version_is_never_overwritten(target: HttpTarget, server: Faults, tmp_path: Path) -> None:
    made, other = made_bundle(tmp_path), made_bundle(tmp_path, policy="random")
    assert upload(target, made)
    assert not upload(target, made)
    assert server.seen.count("PUT /policies/pol/versions/1.0.0") == 1, "what is there is not sent again"
    with pytest.raises(DAFError, match=r"never overwritten.*deployment\.version=1\.0\.1"):
        upload(target, other)
    assert target.versions() == {"1.0.0": made.digest}


def test_of_two_uploads_at_once_one_wins(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have seen that the version is not there."""
    together = threading.Barrier(2, timeout=20)
    original = HttpTarget._ask

    def ask(self: HttpTarget, request: Any, expected: set[int]) -> Any:
        if request.method == "PUT":
            together.wait()
        return original(self, request, expected)

    monkeypatch.setattr(HttpTarget, "_ask", ask)
    outcomes: list[str] = []

    def run(made: Made) -> None:
        try:
            outcomes.append(str(upload(client(line), made)))
        except DAFError as error:
            outcomes.append(str(error))

    bundles = [made_bundle(tmp_path, padding=LARGE), made_bundle(tmp_path, policy="random", padding=LARGE)]
    threads = [threading.Thread(target=run, args=(made,)) for made in bundles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert "True" in outcomes
    assert any("never overwritten" in outcome for outcome in outcomes)


def test_of_two_moves_from_the_same_place_one_wins(target: HttpTarget, tmp_path: Path) -> None:
    for version in ("1.0.0", "1.1.0"):
        upload(target, made_bundle(tmp_path, version))
    seen = target.use()
    move(target, "1.0.0", seen)
    with pytest.raises(MovedMeanwhileError, match=r"from nothing to 1\.0\.0"):
        move(target, "1.1.0", seen)
    assert target.use().version == "1.0.0"
    with pytest.raises(DAFError, match=r"404: There is no pol 9\.9\.9"):
        move(target, "9.9.9")


# Connection 1 looks whether the version is there, connection 2 sends it.
@pytest.mark.parametrize("cut", ["request:0", "request:500", "request:200000", "reply:0", "reply:20"])
def test_a_cut_upload_is_finished_and_kept_once(
    target: HttpTarget, line: Line, folder: Path, tmp_path: Path, cut: str
) -> None:
    made = made_bundle(tmp_path, padding=LARGE)
    line.plan = ["", cut]
    upload(target, made)
    assert line.connections == 3
    assert files(folder) == ["pol/versions/1.0.0/bundle.zip", "pol/versions/1.0.0/version.json"]
    assert target.versions() == {"1.0.0": made.digest}


def test_a_command_that_gave_up_is_finished_by_the_same_command(
    target: HttpTarget, line: Line, folder: Path, tmp_path: Path
) -> None:
    made = made_bundle(tmp_path, padding=LARGE)
    line.plan = ["", *["request:200000"] * 4]
    with pytest.raises(DAFError, match="cannot be reached"):
        upload(target, made)
    end = time.monotonic() + 10
    while files(folder) and time.monotonic() < end:  # the server notices
        time.sleep(0.01)
    assert files(folder) == [], "no half of a bundle stays"
    assert upload(target, made)


@pytest.mark.parametrize("cut", ["request:50", "reply:0", "reply:30"])
def test_a_cut_move_is_made_once(target: HttpTarget, line: Line, tmp_path: Path, cut: str) -> None:
    upload(target, made_bundle(tmp_path))
    seen = target.use()
    line.plan = [cut]
    move(target, "1.0.0", seen)
    assert [step.after for step in target.use().moves] == ["1.0.0"]


@pytest.mark.parametrize("cut", ["reply:0", "reply:100", "reply:200000"])
def test_a_cut_download_is_fetched_whole(target: HttpTarget, line: Line, tmp_path: Path, cut: str) -> None:
    made = made_bundle(tmp_path, padding=LARGE)
    upload(target, made)
    line.plan = ["", cut]
    assert target.fetch("1.0.0", tmp_path / "back").read_bytes() == made.path.read_bytes()
    assert files(tmp_path / "back") == ["bundle.zip"]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_fails_in_passing_is_tried_again(target: HttpTarget, server: Faults, status: int) -> None:
    server.answers = [JSONResponse({"error": "busy"}, status) for _ in range(3)]
    assert target.versions() == {}
    assert len(server.seen) == 4
    server.answers = [JSONResponse({"error": "busy"}, status) for _ in range(4)]
    with pytest.raises(DAFError, match=f"answers {status}: busy"):
        target.versions()


@pytest.mark.parametrize("status", [400, 403, 413, 501])
def test_what_fails_for_good_is_not_tried_again(target: HttpTarget, server: Faults, status: int) -> None:
    server.answers = [JSONResponse({"error": "no"}, status)]
    with pytest.raises(DAFError, match=f"answers {status}: no"):
        target.versions()
    assert len(server.seen) == 1


def test_the_server_is_waited_for_as_long_as_it_asks(target: HttpTarget, server: Faults) -> None:
    server.answers = [Response(status_code=429, headers={"Retry-After": "1"})]
    begun = time.monotonic()
    target.versions()
    assert time.monotonic() - begun >= 1


def test_a_silent_server_is_left(line: Line) -> None:
    line.plan = ["stall"] * 4
    with pytest.raises(DAFError, match=r"did not answer within 0\.1 s"):
        client(line, timeout_s=0.1).versions()
    assert line.connections == 4


def test_a_server_that_is_away_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    target = HttpTarget(f"http://127.0.0.1:{port}", "pol", "champion", attempts=2, timeout_s=1)
    with pytest.raises(DAFError, match="cannot be reached"):
        target.versions()


def test_what_arrives_otherwise_than_announced_is_refused(port: int, folder: Path, tmp_path: Path) -> None:
    made, other = made_bundle(tmp_path), made_bundle(tmp_path, policy="random")
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "Content-Type": "application/zip",
        "Content-Digest": content_digest(other.digest),
        "Idempotency-Key": "k",
    }
    address = f"http://127.0.0.1:{port}/policies"
    answer = httpx.put(f"{address}/pol/versions/1.0.0", content=made.path.read_bytes(), headers=headers)
    assert answer.status_code == 422
    for bad in ("pol/versions/1.0", "p%20l/versions/1.0.0", "pol/versions/1.0.0%2f..%2f..%2fx", "../x/versions/1.0.0"):
        assert httpx.put(f"{address}/{bad}", headers=headers).status_code in (400, 404)
    assert files(folder) == []


def test_what_the_server_changed_is_not_taken(target: HttpTarget, folder: Path, tmp_path: Path) -> None:
    upload(target, made_bundle(tmp_path))
    other = made_bundle(tmp_path, policy="random")
    (folder / "pol/versions/1.0.0/bundle.zip").write_bytes(other.path.read_bytes())
    with pytest.raises(DAFError, match="sent another file"):
        target.fetch("1.0.0", tmp_path / "back")
    assert files(tmp_path / "back") == []


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_leaves_nothing(
    target: HttpTarget, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def full(_: int) -> None:
        raise OSError(error, os.strerror(error))

    made = made_bundle(tmp_path, padding=LARGE)
    with monkeypatch.context() as patch:
        patch.setattr(policy_server.os, "fsync", full)
        what = "507: The disk is full" if error == errno.ENOSPC else "500: The disk does not take it"
        with pytest.raises(DAFError, match=what):
            upload(target, made)
    assert files(folder) == []
    assert upload(target, made)


def test_a_killed_server_starts_clean(folder: Path) -> None:
    (folder / ".partial" / "begun").mkdir(parents=True)
    (folder / ".partial" / "begun" / "bundle.zip").write_bytes(b"half")
    policy_server.Store(folder)
    assert files(folder) == []


def test_the_token_goes_nowhere_else(
    target: HttpTarget, line: Line, server: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(DAFError, match="DAF_DEPLOYMENT_TOKEN"):
        client(line, token=None).versions()
    with pytest.raises(DAFError, match="DAF_DEPLOYMENT_TOKEN"):
        client(line, token="wrong").versions()
    server.seen.clear()
    server.answers = [RedirectResponse(f"http://127.0.0.1:{line.port}/elsewhere")]
    with pytest.raises(DAFError, match="not followed"):
        target.versions()
    assert server.seen == ["GET /policies/pol"]
    caplog.set_level(logging.INFO)
    target.versions()
    assert [record.name for record in caplog.records if record.name.startswith("http")] == []


@pytest.mark.parametrize(
    ("address", "right"),
    [
        ("https://policies.example.org", True),
        ("https://policies.example.org/prefix/", True),
        ("http://127.0.0.1:8470", True),
        ("http://[::1]:8470", True),
        ("http://localhost:8470", True),
        ("http://policies.example.org", False),
        ("http://127.0.0.1.example.org", False),
        ("http://0.0.0.0", False),
        ("https://user:word@policies.example.org", False),
        ("https://policies.example.org?x=1", False),
        ("ftp://policies.example.org", False),
        ("policies.example.org", False),
        ("http://[::1", False),
        ("http://host:port", False),
        (None, False),
    ],
)
def test_addresses(address: str | None, right: bool) -> None:
    problem = address_problem(address)
    assert (problem is None) == right
    assert problem is None or problem.where == "deployment.url"


def test_an_answer_that_breaks_the_contract_is_told(target: HttpTarget, server: Faults) -> None:
    server.answers = [Response("<html>", 200)]
    with pytest.raises(DAFError, match="no JSON"):
        target.versions()
    server.answers = [JSONResponse({"versions": {"1.0.0": {"digest": 3, "file": "bundle.zip"}}})]
    with pytest.raises(DAFError, match=r"contract; versions\.1\.0\.0\.digest"):
        target.versions()


def test_the_server_starts_with_one_command(tmp_path: Path) -> None:
    root = Path(str(policy_server.__file__)).parents[1]
    environment = {name: value for name, value in os.environ.items() if name != "DAF_DEPLOYMENT_TOKEN"}
    command = [sys.executable, "examples/policy_server.py", "--folder", str(tmp_path / "kept"), "--port"]
    refused = subprocess.run(
        [*command, "0", "--host", "0.0.0.0"], cwd=root, env=environment, capture_output=True, text=True, timeout=60
    )
    assert refused.returncode == 1
    assert "DAF_DEPLOYMENT_TOKEN" in refused.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    started = subprocess.Popen([*command, str(port)], cwd=root, env=environment)
    try:
        assert _answer(lambda: httpx.get(f"http://127.0.0.1:{port}/health")) == {"status": "ok"}
    finally:
        started.terminate()
        started.wait(20)


def _answer(ask: Callable[[], httpx.Response]) -> Any:
    end = time.monotonic() + 60
    while True:
        try:
            return ask().json()
        except httpx.TransportError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


CONTRACT = yaml.safe_load(Path(str(policy_server.__file__)).with_suffix(".yaml").read_text())


def conforms(value: Any, schema: dict[str, Any]) -> None:
    """Asserts that a value is what a schema of the contract says, with its references looked up in the contract."""
    jsonschema.Draft202012Validator({**schema, "components": CONTRACT["components"]}).validate(value)


def test_the_server_keeps_the_written_contract(target: HttpTarget, port: int, server: Faults, tmp_path: Path) -> None:
    """Every address and status of the server stands in the contract, and its answers have the schemas of that."""
    routes = {(method, route.path) for route in policy_server.routes() for method in route.methods - {"HEAD"}}
    paths = CONTRACT["paths"].items()
    written = {(method.upper(), path) for path, item in paths for method in item.keys() - {"parameters"}}
    assert routes == written
    for version in ("1.0.0", "1.1.0"):
        upload(target, made_bundle(tmp_path, version))
    move(target, "1.0.0")
    move(target, "1.1.0")
    headers = {"Authorization": f"Bearer {TOKEN}"}
    asked = [
        ("GET", "/policies/{name}", {}, 200),
        ("GET", "/policies/{name}/versions/{version}/bundle", {"version": "9.9.9"}, 404),
        ("PUT", "/policies/{name}/versions/{version}", {}, 400),
        ("PUT", "/policies/{name}/aliases/{alias}", {}, 428),
    ]
    for method, path, names, status in asked:
        place = path.format(**{"name": "pol", "version": "1.0.0", "alias": "champion"} | names)
        answer = httpx.request(method, f"http://127.0.0.1:{port}{place}", headers=headers, json={"version": "1.0.0"})
        assert answer.status_code == status
        described = CONTRACT["paths"][path][method.lower()]["responses"][str(status)]
        if "$ref" in described:
            described = CONTRACT["components"]["responses"][described["$ref"].rpartition("/")[2]]
        conforms(answer.json(), described["content"]["application/json"]["schema"])
