"""The page's server: its few files, what the board says, and requests to steer."""

import html
import json
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from daf.dashboard.board import Board, study_of
from daf.dashboard.gate import HEADERS, Gate
from daf.dashboard.store import SeenRun
from daf.errors import DAFError
from daf.records import digest
from daf.redaction import redactor
from daf.sweeps.steering import enqueue, find_study, read_point, stop_sweep, stop_trial
from daf.tracking.store import is_run_id

#: The page's files and their kinds.
FILES = {"app.js": "text/javascript", "style.css": "text/css", "icon.svg": "image/svg+xml"}
#: Bytes of a request to steer.
LONGEST_BODY = 20_000
COOKIE = "daf-watch"
#: Where the token is given: the address that is printed. As a parameter it would be taken for a secret, and blanked.
ENTER = "/enter/"


class _RefusedError(Exception):
    """A request that is answered with a status and a sentence."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def make_app(board: Board, gate: Gate) -> Starlette:
    """The application: `GET` reads, `POST` steers."""
    page = _Page(board, gate)
    routes = [
        Route("/", page.index),
        *(Route(f"/{name}", page.file) for name in FILES),
        Route("/api/board", page.board),
        Route("/api/run/{id}", page.run),
        Route("/api/sweep/{id}", page.sweep),
        Route("/api/compare/{one}/{other}", page.compare),
        Route("/api/steer/{what}", page.steer, methods=["POST"]),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(_Guard, gate=gate), Middleware(GZipMiddleware, minimum_size=1000)],
        exception_handlers={_RefusedError: _refused},
    )


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, _RefusedError), "registered for it"
    return _json({"problem": redactor().text(str(error))}, error.status)


class _Guard(BaseHTTPMiddleware):
    """Lets in who may come in, and says to browsers what the page may do."""

    def __init__(self, app: Any, gate: Gate) -> None:
        super().__init__(app)
        self._gate = gate

    async def dispatch(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = self._answer(request) or await call_next(request)
        response.headers.update(HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    def _answer(self, request: Request) -> Response | None:
        """What a visitor is told who does not come in, or only now."""
        if not self._gate.knows_host(request.headers.get("host", "")):
            return PlainTextResponse("This page answers to the name of this machine only, such as localhost.", 421)
        if self._gate.token is None:
            return None
        cookie = f"{COOKIE}-{request.url.port or 80}"
        given = request.url.path.removeprefix(ENTER)
        if given != request.url.path and request.method == "GET" and self._gate.lets_in(given):
            # The address without the token is the one that stays in the history.
            response = RedirectResponse("/", 303)
            response.set_cookie(cookie, given, httponly=True, samesite="lax")
            return response
        if not self._gate.lets_in(request.cookies.get(cookie)):
            return PlainTextResponse("Open the address that daf watch printed: it ends with a long word", 401)
        return None


class _Page:
    """The endpoints. Those that read are plain functions, which Starlette runs in threads."""

    def __init__(self, board: Board, gate: Gate) -> None:
        self._board = board
        self._gate = gate
        folder = files("daf.dashboard") / "page"
        self._files = {name: (folder / name).read_bytes() for name in ("index.html", *FILES)}

    def index(self, _: Request) -> Response:
        token = html.escape(self._gate.form_token, quote=True).encode()
        return Response(self._files["index.html"].replace(b"{{token}}", token), media_type="text/html")

    def file(self, request: Request) -> Response:
        name = request.url.path.strip("/")
        return Response(self._files[name], media_type=FILES[name], headers={"Cache-Control": "no-cache"})

    def board(self, request: Request) -> Response:
        """What has changed since the version that the page has; 304 where nothing has."""
        known = request.headers.get("if-none-match", "").strip('"')
        version, changes = self._board.changes(known)
        tag = {"ETag": f'"{version}"'}
        return Response(status_code=304, headers=tag) if changes is None else _json(changes, headers=tag)

    def run(self, request: Request) -> Response:
        return _tagged(request, self._board.run_detail(self._found(request, "id")))

    def sweep(self, request: Request) -> Response:
        run = self._found(request, "id")
        try:
            detail = self._board.studies.detail(*study_of(run))
        except DAFError as error:
            raise _RefusedError(404, str(error)) from error
        return _tagged(request, detail)

    def compare(self, request: Request) -> Response:
        one, other = (self._found(request, each) for each in ("one", "other"))
        return _tagged(request, self._board.comparison(one, other, request.query_params.get("metric", "")))

    def _found(self, request: Request, name: str) -> SeenRun:
        run_id = request.path_params[name]
        run = self._board.find(run_id) if is_run_id(run_id) else None
        if run is None:
            raise _RefusedError(404, "There is no such run in the store.")
        return run

    async def steer(self, request: Request) -> Response:
        """Stops a trial or a sweep, or enqueues a point; answers with a sentence."""
        if not self._gate.may_steer(request.headers):
            raise _RefusedError(403, "Only the page itself may steer. Open it anew, and try again.")
        body = await request.body()
        if len(body) > LONGEST_BODY:
            raise _RefusedError(413, "That is too long.")
        try:
            asked = json.loads(body)
            run_id, what = str(asked["run"]), request.path_params["what"]
        except (ValueError, TypeError, KeyError) as error:
            raise _RefusedError(400, "The request cannot be read.") from error
        return _json({"done": await run_in_threadpool(self._steered, run_id, what, asked)})

    def _steered(self, run_id: str, what: str, asked: dict[str, Any]) -> str:
        run = self._board.find(run_id) if is_run_id(run_id) else None
        if run is None:
            raise _RefusedError(404, "There is no such run in the store.")
        name, storage = study_of(run)
        try:
            study = find_study(self._board.studies.config_of(storage), name)
            if what == "stop-trial":
                return stop_trial(study, int(asked["trial"]))
            if what == "stop-sweep":
                return stop_sweep(study)
            if what == "enqueue":
                return enqueue(study, read_point([str(text) for text in asked["point"]]))
        except DAFError as error:
            raise _RefusedError(409, _sentences(error)) from error
        except (KeyError, TypeError, ValueError) as error:
            raise _RefusedError(400, "The request cannot be read.") from error
        raise _RefusedError(404, f"Nothing can be done of the name {what!r}.")


def _sentences(error: DAFError) -> str:
    """Its problems without the heading, which counts them."""
    problems = getattr(error, "problems", None)
    return "\n".join(map(str, problems)) if problems else str(error)


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    text = json.dumps(_finite(content), separators=(",", ":"), ensure_ascii=False)
    return Response(text, status, headers, "application/json")


def _tagged(request: Request, content: Any) -> Response:
    """The content, or 304 where the page has it."""
    tag = f'"{digest(content)}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    return _json(content, headers={"ETag": tag})


def _finite(node: Any) -> Any:
    """JSON has no NaN and no infinity, and a browser refuses what it has not."""
    if isinstance(node, dict):
        return {key: _finite(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_finite(value) for value in node]
    return None if isinstance(node, float) and not abs(node) < float("inf") else node
