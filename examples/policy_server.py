"""A server that keeps deployed policies, by the contract of docs/deployment.md and examples/policy_server.yaml.

    python examples/policy_server.py --folder policies

Listens on this machine only. With DAF_DEPLOYMENT_TOKEN in the environment every request but /health must bring it.
Behind a proxy that speaks HTTPS it serves others, too: then it wants a token, and `--host 0.0.0.0`.
"""

import argparse
import asyncio
import errno
import hashlib
import hmac
import json
import os
import re
import shutil
import sys
import uuid
from base64 import b64decode
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?")
MOST_BYTES = 2**30
TYPES = {"application/zip": "bundle.zip", "application/gzip": "bundle.tar.gz"}


class Store:
    """Policies in a folder: ``<name>/versions/<version>/{bundle.*,version.json}`` and ``<name>/aliases/<alias>.json``.

    A version's folder is made elsewhere and renamed, so that it is there whole or not at all; a rename never replaces
    one that is there. An alias and its moves are one file, which is replaced in one step.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.partial = folder / ".partial"
        shutil.rmtree(self.partial, ignore_errors=True)  # what a server that was killed had begun
        self.partial.mkdir(parents=True)

    def policy(self, name: str) -> dict[str, Any]:
        """What the contract's `Policy` has."""
        versions = {path.parent.name: read(path) for path in self.folder.glob(f"{name}/versions/*/version.json")}
        aliases = {path.stem: read(path) for path in self.folder.glob(f"{name}/aliases/*.json")}
        return {"name": name, "versions": versions, "aliases": aliases}

    def version(self, name: str, version: str) -> dict[str, Any] | None:
        """What the contract's `Version` has, or None."""
        path = self.folder / name / "versions" / version / "version.json"
        return read(path) if path.is_file() else None

    def keep(self, begun: Path, name: str, version: str) -> bool:
        """Renames a folder to a version; False if another one was faster."""
        target = self.folder / name / "versions" / version
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            begun.rename(target)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise
        return True

    def alias(self, name: str, alias: str) -> dict[str, Any] | None:
        """What the contract's `Alias` has, or None."""
        path = self.folder / name / "aliases" / f"{alias}.json"
        return read(path) if path.is_file() else None

    def set_alias(self, name: str, alias: str, content: dict[str, Any]) -> None:
        """Replaces an alias in one step."""
        path = self.folder / name / "aliases" / f"{alias}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(self.partial / uuid.uuid4().hex, content).replace(path)


def read(path: Path) -> dict[str, Any]:
    """A file's JSON."""
    return dict(json.loads(path.read_text()))


def write(path: Path, content: dict[str, Any]) -> Path:
    """Writes JSON to the disk, not only to its cache."""
    with path.open("w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    return path


def refuse(status: int, error: str, **more: object) -> JSONResponse:
    """A refusal with a sentence."""
    return JSONResponse({"error": error, **more}, status)


def asked_name(request: Request, key: str, form: re.Pattern[str] = NAME) -> str:
    """A name in the address, which also names a file."""
    name = str(request.path_params[key])
    if not form.fullmatch(name) or len(name) > 100:
        raise HTTPException(400, f"{name[:100]!r} is no {key}.")
    return name


async def health(request: Request) -> Response:
    """GET /health."""
    return JSONResponse({"status": "ok"})


async def get_policy(request: Request) -> Response:
    """GET /policies/{name}."""
    name = asked_name(request, "name")
    found = store_of(request).policy(name)
    if not found["versions"]:
        return refuse(404, f"There is no policy called {name}.")
    return JSONResponse(found)


async def get_bundle(request: Request) -> Response:
    """GET /policies/{name}/versions/{version}/bundle."""
    name, version = asked_name(request, "name"), asked_name(request, "version", VERSION)
    found = store_of(request).version(name, version)
    if found is None:
        return refuse(404, f"There is no {name} {version}.")
    path = store_of(request).folder / name / "versions" / version / found["file"]
    return FileResponse(path, headers={"ETag": f'"{found["digest"]}"'})


async def put_version(request: Request) -> Response:
    """PUT /policies/{name}/versions/{version}: keeps a bundle, whole or not at all."""
    name, version = asked_name(request, "name"), asked_name(request, "version", VERSION)
    digest, file = asked_digest(request), TYPES.get(request.headers.get("Content-Type", ""))
    if digest is None or file is None or not request.headers.get("Idempotency-Key"):
        kinds = " or ".join(TYPES)
        return refuse(400, f"Content-Digest (sha-256), Idempotency-Key or Content-Type ({kinds}) is missing.")
    if there := store_of(request).version(name, version):
        return same_or_conflict(name, version, there["digest"], digest)
    begun = store_of(request).partial / uuid.uuid4().hex
    try:
        begun.mkdir()
        return await receive_version(request, begun, file, digest)
    except TooLargeError:
        return refuse(413, f"A bundle has at most {MOST_BYTES} bytes.")
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return refuse(507 if full else 500, "The disk is full." if full else "The disk does not take it.")
    finally:
        shutil.rmtree(begun, ignore_errors=True)


async def receive_version(request: Request, begun: Path, file: str, digest: str) -> Response:
    """Receives a bundle into a folder, which becomes the version once all has arrived."""
    name, version, store = request.path_params["name"], request.path_params["version"], store_of(request)
    found, size = await receive(request, begun / file)
    if found != digest:
        return refuse(422, f"What arrived has the digest {found}, and {digest} was announced.")
    write(begun / "version.json", {"digest": digest, "file": file, "bytes": size, "created": now()})
    if store.keep(begun, name, version):
        return JSONResponse({"digest": digest}, 201)
    there = store.version(name, version) or {}  # another request was faster
    return same_or_conflict(name, version, there["digest"], digest)


def asked_digest(request: Request) -> str | None:
    """The SHA-256 (hex) in Content-Digest (RFC 9530)."""
    found = re.search(r"sha-256=:([A-Za-z0-9+/=]{44}):", request.headers.get("Content-Digest", ""))
    return b64decode(found[1]).hex() if found else None


def same_or_conflict(name: str, version: str, there: str, digest: str) -> Response:
    """What is said of a version that exists: it is never overwritten."""
    if there == digest:
        return JSONResponse({"digest": digest}, 200)
    return refuse(409, f"{name} {version} exists with another digest.", digest=there)


class TooLargeError(Exception):
    """More bytes than a bundle may have."""


async def receive(request: Request, path: Path) -> tuple[str, int]:
    """Writes the request's body to the disk; returns its SHA-256 (hex) and size."""
    digest, size = hashlib.sha256(), 0
    with path.open("xb") as file:
        async for part in request.stream():
            size += len(part)
            if size > MOST_BYTES:
                raise TooLargeError
            digest.update(part)
            file.write(part)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest(), size


async def put_alias(request: Request) -> Response:
    """PUT /policies/{name}/aliases/{alias}: moves an alias, if it still has the revision that the client saw."""
    name, alias = asked_name(request, "name"), asked_name(request, "alias")
    wanted, key = await request.json(), request.headers.get("Idempotency-Key", "")
    condition = request.headers.get("If-Match"), request.headers.get("If-None-Match")
    if condition == (None, None) or not key:
        return refuse(428, "If-Match with the revision (or If-None-Match: *) and Idempotency-Key are missing.")
    store = store_of(request)
    if store.version(name, str(wanted.get("version"))) is None:
        return refuse(404, f"There is no {name} {wanted.get('version')}.")
    async with request.app.state.lock:
        there = store.alias(name, alias)
        if there and there["key"] == key:  # the reply to this very request was lost
            return JSONResponse(there)
        if condition != ((f'"{there["revision"]}"', None) if there else (None, "*")):
            return refuse(412, f"{alias} was moved meanwhile.", **(there or {}))
        moved = after_move(there, wanted, key)
        store.set_alias(name, alias, moved)
    return JSONResponse(moved)


def after_move(there: dict[str, Any] | None, wanted: dict[str, Any], key: str) -> dict[str, Any]:
    """The alias with one more move."""
    move = {
        "kind": "rollback" if wanted.get("kind") == "rollback" else "deploy",
        "before": there["version"] if there else None,
        "after": wanted["version"],
        "why": str(wanted.get("why", ""))[:1000],
        "run_id": str(wanted.get("run_id", ""))[:100],
        "at": now(),
    }
    before = there or {"revision": 0, "moves": []}
    return {
        "version": wanted["version"],
        "revision": before["revision"] + 1,
        "moves": [*before["moves"], move],
        "key": key,
    }


def now() -> str:
    """The time in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def store_of(request: Request) -> Store:
    """The application's store."""
    store: Store = request.app.state.store
    return store


class WantsToken:
    """Lets nobody in without the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self.expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on what may pass."""
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        if scope["type"] == "http" and scope["path"] != "/health" and not hmac.compare_digest(given, self.expected):
            await refuse(401, "This server wants a token.")(scope, receive, send)
        else:
            await self.app(scope, receive, send)


async def on_refusal(request: Request, error: Exception) -> Response:
    """What Starlette refuses, as a sentence in JSON."""
    assert isinstance(error, HTTPException)
    return refuse(error.status_code, error.detail)


async def on_bad_json(request: Request, error: Exception) -> Response:
    """A body that is no JSON."""
    return refuse(400, "The body is no JSON object.")


async def on_disconnect(request: Request, error: Exception) -> Response:
    """Nobody is there any more; what was begun is gone."""
    return Response(status_code=400)


def application(folder: Path, token: str | None = None) -> Starlette:
    """The server's application."""
    handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
        HTTPException: on_refusal,
        ClientDisconnect: on_disconnect,
        json.JSONDecodeError: on_bad_json,
    }
    app = Starlette(
        routes=list(routes()),
        middleware=[Middleware(WantsToken, token=token)] if token else [],
        exception_handlers=handlers,
    )
    app.state.store = Store(folder)
    app.state.lock = asyncio.Lock()
    return app


def routes() -> Iterator[Route]:
    """The contract's addresses."""
    yield Route("/health", health)
    yield Route("/policies/{name}", get_policy)
    yield Route("/policies/{name}/versions/{version}", put_version, methods=["PUT"])
    yield Route("/policies/{name}/versions/{version}/bundle", get_bundle)
    yield Route("/policies/{name}/aliases/{alias}", put_alias, methods=["PUT"])


def main() -> None:
    """Serves until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Keeps deployed policies.")
    parser.add_argument("--folder", type=Path, default=Path("policies"), help="where they are kept")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen; this machine alone by default")
    parser.add_argument("--port", type=int, default=8470)
    arguments = parser.parse_args()
    token = os.environ.get("DAF_DEPLOYMENT_TOKEN") or None
    if arguments.host not in ("127.0.0.1", "::1", "localhost") and not token:
        sys.exit("Others than this machine may only ask with a token: set DAF_DEPLOYMENT_TOKEN.")
    # One process: an alias is compared and set under its lock.
    uvicorn.run(application(arguments.folder, token), host=arguments.host, port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
