"""A season's server on a real socket of this machine: what CoGames' client asks for, with faults on demand.

It speaks HTTP/1.1 through uvicorn. A fault is named by the step that it hits, such as "complete":

- `cut before`: the connection ends, and nothing was done;
- `cut after`: it is done, and the connection ends without an answer;
- `late`: the connection ends without an answer, and it is done a moment later;
- a whole number: that status, and nothing was done; a real one: so many seconds later than usual;
- a response: that, and nothing was done;
- `500 after`: it is done, and the answer is 500.
"""

import asyncio
import json
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

#: What stands in the signed addresses that it gives out: none of it may be found anywhere.
SIGNATURE = {
    "X-Amz-Signature": "51gn4tur3f00dfacef00dfacef00dface",
    "X-Amz-Credential": "AK1ACREDENT1AL/20260131/eu/s3/aws4_request",
    "X-Amz-Security-Token": "s3cur1tyt0ken/with+more==",
    "sig": "sh0rtS1g%2Bnature=",
    "AWSAccessKeyId": "AK1AEXAMPLE1DENT1TY",
    "Signature": "0ldSt7leS1gnature",
    "GoogleAccessId": "someb0dy@example.iam",
    "policy": "eyJleHBpcmF0aW9uIjoiMjAyNiJ9c2lnbmVk",
}
TOKEN = "t0p-s3cret-t0ken-of-ada"
ACCOUNT = "ada@example.org"
LATE_S = 0.6


@dataclass
class SeasonServer:
    """The state of a server.

    Attributes:
        faults: what goes wrong at a step, one after the other.
        counts: requests by step, faulty ones included.
        tokens: accounts by their tokens.
        heard: tokens that came, by step; "" where none came.
        uploads: upload ids, with the bytes that were sent.
        versions: of policies, in order.
        entries: (season, version id) for every entry that was accepted.
        once: whether completing an upload again makes no second version, as a careful server has it.
        enters_on_complete: whether completing an upload enters the version in the season, as CoGames' server does.
        upload_host: of signed addresses; the server's own where empty.
        address: of the server, once it runs.
    """

    faults: dict[str, list[Any]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    tokens: dict[str, str] = field(default_factory=lambda: {TOKEN: ACCOUNT})
    heard: dict[str, list[str]] = field(default_factory=dict)
    uploads: dict[str, bytes | None] = field(default_factory=dict)
    versions: list[dict[str, Any]] = field(default_factory=list)
    entries: list[tuple[str, str]] = field(default_factory=list)
    seasons: list[dict[str, Any]] = field(default_factory=lambda: [season("spring"), season("autumn", False)])
    completed: dict[str, dict[str, Any]] = field(default_factory=dict)
    once: bool = False
    enters_on_complete: bool = True
    upload_host: str = ""
    address: str = ""

    def app(self) -> Any:
        """Its interface. The paths are those of CoGames' client."""
        routes = [
            ("/whoami", "whoami", "GET", self._whoami),
            ("/tournament/seasons", "seasons", "GET", self._seasons),
            ("/tournament/seasons/{season}/leaderboard", "leaderboard", "GET", self._leaderboard),
            ("/tournament/seasons/{season}/matches", "matches", "GET", self._matches),
            ("/tournament/seasons/{season}/submissions", "enter", "POST", self._enter),
            ("/tournament/my-memberships", "memberships", "GET", self._memberships),
            ("/stats/policy-versions", "versions", "GET", self._versions),
            ("/stats/policies/submit/presigned-url", "presign", "POST", self._presign),
            ("/stats/policies/submit/complete", "complete", "POST", self._complete),
            ("/storage/{upload_id}", "put", "PUT", self._put),
            ("/tokens/cli", "login", "GET", self._login),
        ]
        inner = Starlette(
            routes=[Route(path, self._step(name, act), methods=[method]) for path, name, method, act in routes]
        )

        async def outer(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":  # what uvicorn passes is a method of what holds the connection
                scope["daf.connection"] = send.__self__.transport
            await inner(scope, receive, send)

        return outer

    def _step(self, name: str, act: Callable[[Request, bytes], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            body = await request.body()
            self.counts[name] += 1
            token = request.headers.get("X-Auth-Token", "")
            self.heard.setdefault(name, []).append(token)
            waiting = self.faults.get(name)
            fault = waiting.pop(0) if waiting else None
            if instead := _instead(fault):
                return instead
            if fault == "late":
                asyncio.get_running_loop().call_later(LATE_S, act, request, body)
                return _Cut()
            if isinstance(fault, float):
                await asyncio.sleep(fault)
            if name not in ("put", "login") and token not in self.tokens:
                return JSONResponse({"detail": "who are you?"}, status_code=401)
            done = act(request, body)
            if fault == "cut after":
                return _Cut()
            return JSONResponse({"detail": "oops"}, status_code=500) if fault == "500 after" else done

        return answer

    def _login(self, request: Request, body: bytes) -> Response:
        return Response(headers={"Location": f"{request.query_params['callback']}?token={TOKEN}"}, status_code=302)

    def _whoami(self, request: Request, body: bytes) -> Response:
        return JSONResponse({"user_email": self.tokens[request.headers["X-Auth-Token"]]})

    def _seasons(self, request: Request, body: bytes) -> Response:
        return JSONResponse(self.seasons)

    def _versions(self, request: Request, body: bytes) -> Response:
        name = request.query_params.get("name_exact")
        return JSONResponse(
            {"entries": [version for version in self.versions[::-1] if name in (None, version["name"])]}
        )

    def _memberships(self, request: Request, body: bytes) -> Response:
        return JSONResponse({v["id"]: [s for s, entered in self.entries if entered == v["id"]] for v in self.versions})

    def _leaderboard(self, request: Request, body: bytes) -> Response:
        entered = [v for v in self.versions if (request.path_params["season"], v["id"]) in self.entries]
        return JSONResponse(
            [
                {"rank": rank, "policy": _summary(version), "score": 10.0 / rank, "matches": 4}
                for rank, version in enumerate(entered, 1)
            ]
        )

    def _matches(self, request: Request, body: bytes) -> Response:
        asked = request.query_params.getlist("policy_version_ids")
        found = [v for v in self.versions if v["id"] in asked]
        return JSONResponse([_match(request.path_params["season"], v) for v in found])

    def _presign(self, request: Request, body: bytes) -> Response:
        upload_id = str(uuid.uuid4())
        self.uploads[upload_id] = None
        query = "&".join(f"{key}={value}" for key, value in SIGNATURE.items())
        host = self.upload_host or self.address
        return JSONResponse({"upload_id": upload_id, "upload_url": f"{host}/storage/{upload_id}?{query}"})

    def _put(self, request: Request, body: bytes) -> Response:
        assert request.headers["content-length"] == str(len(body))
        self.uploads[request.path_params["upload_id"]] = body
        return Response()

    def _complete(self, request: Request, body: bytes) -> Response:
        asked = _json(body)
        upload_id, season_name = asked["upload_id"], asked.get("season")
        if self.uploads.get(upload_id) is None:
            return JSONResponse({"detail": "there is no such upload"}, status_code=404)
        if self.once and upload_id in self.completed:
            return JSONResponse({"detail": "completed already"}, status_code=409)
        version = self.add_version(asked["name"])
        self.completed[upload_id] = version
        if season_name and self.enters_on_complete:
            self.entries.append((season_name, version["id"]))
        return JSONResponse({key: version[key] for key in ("id", "name", "version")} | {"pools": ["qualifying"]})

    def _enter(self, request: Request, body: bytes) -> Response:
        entry = (request.path_params["season"], _json(body)["policy_version_id"])
        if entry in self.entries:
            return JSONResponse({"detail": "submitted already"}, status_code=409)
        self.entries.append(entry)
        return JSONResponse({"pools": ["qualifying"]})

    def add_version(self, name: str) -> dict[str, Any]:
        """Makes another version of a policy."""
        now = datetime.now(UTC).isoformat()
        number = sum(version["name"] == name for version in self.versions) + 1
        ids = {"id": str(uuid.uuid4()), "policy_id": str(uuid.uuid4()), "user_id": ACCOUNT}
        self.versions.append({**ids, "created_at": now, "policy_created_at": now, "name": name, "version": number})
        return self.versions[-1]


def _instead(fault: Any) -> Response | None:
    """What is answered where nothing is done."""
    if isinstance(fault, int):
        return JSONResponse({"detail": f"fault {fault}"}, status_code=fault)
    if fault == "cut before":
        return _Cut()
    return fault if isinstance(fault, Response) else None


class _Cut(Response):
    """Ends the connection without an answer."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["daf.connection"].abort()


def season(name: str, is_default: bool = True, **more: Any) -> dict[str, Any]:
    """A season as the server lists it."""
    plain = {"id": str(uuid.uuid4()), "name": name, "version": 1, "canonical": True, "summary": f"The {name} season"}
    return {**plain, "is_default": is_default, "compat_version": "0.17", "pools": [], **more}


def html(status: int = 200) -> Response:
    """What a captive portal or a proxy answers."""
    return HTMLResponse("<html><body>Please log in</body></html>", status_code=status)


def _json(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body)
    return found


def _summary(version: dict[str, Any]) -> dict[str, Any]:
    return {key: version[key] for key in ("id", "name", "version")}


def _match(season_name: str, version: dict[str, Any]) -> dict[str, Any]:
    player = {"policy": _summary(version), "num_agents": 4, "score": 2.5}
    fixed = {"id": str(uuid.uuid4()), "season_name": season_name, "pool_name": "qualifying", "status": "completed"}
    open_ends = {"error": None, "episode_id": None, "created_at": datetime.now(UTC).isoformat()}
    return {**fixed, **open_ends, "assignments": [0] * 8, "players": [player, player]}


@contextmanager
def serving(state: SeasonServer) -> Iterator[SeasonServer]:
    """The server on a free port of this machine."""
    listening = socket.create_server(("127.0.0.1", 0))
    state.address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    config = uvicorn.Config(state.app(), log_level="critical", log_config=None, access_log=False, http="h11")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield state
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
