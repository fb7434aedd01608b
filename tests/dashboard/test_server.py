"""The server: who is let in, what may steer, and what a browser is told that it may load."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from daf.config import DAFConfig
from daf.dashboard.board import Board
from daf.dashboard.gate import Gate
from daf.dashboard.server import FILES, make_app
from daf.sweeps.api import with_sweep
from daf.tracking.begin import new_run
from daf.tracking.store import open_store
from tests.sweeps.support import open_study

Load = Callable[..., DAFConfig]
HERE = "http://127.0.0.1:8765"


def visit(config: DAFConfig, gate: Gate | None = None, address: str = HERE) -> TestClient:
    board = Board(config)
    board._next_look = float("-inf")
    return TestClient(make_app(board, gate or Gate.for_host("127.0.0.1")), base_url=address, follow_redirects=False)


@pytest.fixture
def sweep(tiny: Load) -> tuple[DAFConfig, str]:
    """A study with a running trial, and the id of its sweep's run."""
    space = {"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
    config = with_sweep(tiny("sweep.name=mine"), space=space)
    stored = open_study(config)
    stored.next_trial()
    client, experiment = open_store(str(config.tracking.uri), "watched")
    return config, new_run(client, experiment, "sweep mine", {"daf.kind": "sweep", "daf.sweep": "mine"})


def test_the_page_loads_nothing_from_elsewhere(tiny: Load) -> None:
    client = visit(tiny())
    page = client.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    for directive in policy.split(";"):
        assert set(directive.split()[1:]) <= {"'self'", "'none'"}
    for name in ("index.html", *FILES):
        text = (files("daf.dashboard") / "page" / name).read_text()
        assert [each for each in ("http://", "https://", "//cdn", "@import", "innerHTML", "eval(") if each in text] in (
            [],
            ["http://"] if text.count("http://") == text.count("http://www.w3.org/2000/svg") else [],
        )
        assert client.get(f"/{name}" if name in FILES else "/").status_code == 200
    assert client.get("/app.js").headers["cache-control"] == "no-cache"
    assert client.get("/api/board").headers["cache-control"] == "no-store"
    assert client.get("/../conf/config.yaml").status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "[::1", "0.0.0.0"])
def test_a_name_of_somebody_else_is_refused(tiny: Load, host: str) -> None:
    client = visit(tiny())
    assert client.get("/api/board", headers={"Host": host}).status_code == 421
    assert client.post("/api/steer/stop-sweep", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1", "[::1]:8765"])
def test_own_names_are_known(tiny: Load, host: str) -> None:
    assert visit(tiny()).get("/api/board", headers={"Host": host}).status_code == 200


def test_bound_wider_it_wants_the_token_once(tiny: Load) -> None:
    gate = Gate.for_host("0.0.0.0")
    assert gate.token and len(gate.token) >= 32
    client = visit(tiny(), gate, "http://machine:8765")
    for path in ("/", "/app.js", "/api/board", "/enter/", "/enter/wrong", f"/?token={gate.token}"):
        assert client.get(path).status_code == 401
    assert client.post(f"/enter/{gate.token}").status_code == 401
    entered = client.get(f"/enter/{gate.token}")
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    cookie = entered.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie
    assert client.get("/api/board").status_code == 200


def test_what_the_page_has_is_not_sent_again(sweep: tuple[DAFConfig, str]) -> None:
    config, run_id = sweep
    client = visit(config)
    for path in ("/api/board", f"/api/run/{run_id}", f"/api/sweep/{run_id}", f"/api/compare/{run_id}/{run_id}"):
        first = client.get(path)
        assert first.status_code == 200
        again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert client.get(f"/api/run/{'0' * 32}").json() == {"problem": "There is no such run in the store."}
    assert client.get("/api/run/x'y").status_code == 404


def own(client: TestClient, **changes: str) -> dict[str, str]:
    """The headers with which the page itself steers."""
    token = client.get("/").text.partition('name="daf-token" content="')[2].partition('"')[0]
    headers = {"X-DAF-Token": token, "Origin": HERE, "Sec-Fetch-Site": "same-origin", **changes}
    return {key: value for key, value in headers.items() if value}


FOREIGN = [{"X-DAF-Token": ""}, {"X-DAF-Token": "guessed"}, {"Origin": "http://evil.example"}, {"Origin": "null"}]


@pytest.mark.parametrize("changes", [*FOREIGN, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}])
def test_nobody_but_the_page_steers(sweep: tuple[DAFConfig, str], changes: dict[str, str]) -> None:
    config, run_id = sweep
    client = visit(config)
    answer = client.post("/api/steer/stop-sweep", json={"run": run_id}, headers=own(client, **changes))
    assert answer.status_code == 403
    assert client.get("/api/steer/stop-sweep").status_code == 405
    assert open_study(config).facts.stops == 0


def test_the_page_steers(sweep: tuple[DAFConfig, str]) -> None:
    config, run_id = sweep
    client = visit(config)

    def steer(what: str, **asked: Any) -> Any:
        return client.post(f"/api/steer/{what}", json={"run": run_id, **asked}, headers=own(client))

    assert "stops after" in steer("stop-trial", trial=0).json()["done"]
    assert "is trial 1 of mine" in steer("enqueue", point=["optimizer.lr=2e-3"]).json()["done"]
    assert "begins no more trials" in steer("stop-sweep").json()["done"]
    study = open_study(config)
    assert (study.trials()[0].facts.stop_asked, study.trials()[1].asked) == (True, {"optimizer.lr": 2e-3})
    refused = steer("enqueue", point=["optimizer.lr=2"])
    assert (refused.status_code, refused.json()) == (
        409,
        {"problem": "optimizer.lr: 2 is not among what it ranges over: 0.0001 to 0.01."},
    )
    assert steer("stop-trial", trial=7).status_code == 409
    assert [steer("stop-trial").status_code, steer("stop-trial", trial="x").status_code] == [400, 400]
    assert steer("delete").status_code == 404
    assert client.post("/api/steer/enqueue", content=b"x" * 30_000, headers=own(client)).status_code == 413
    assert client.post("/api/steer/enqueue", content=b"no json", headers=own(client)).status_code == 400


def test_looking_writes_nothing(sweep: tuple[DAFConfig, str], tmp_path: Path) -> None:
    config, run_id = sweep
    client = visit(config)
    client.get("/api/board")  # opens what is there
    before = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
    for path in ("/", "/api/board", f"/api/run/{run_id}", f"/api/sweep/{run_id}"):
        assert client.get(path).status_code == 200
    assert {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()} == before
