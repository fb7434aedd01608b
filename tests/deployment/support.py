"""Bundles, a server on a real socket, and a line to it that breaks where a test says."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from daf.bridge.catalogue import catalogue
from daf.deployment.archives import Member, write_zip
from daf.deployment.metadata import METADATA_FILE, BundleMetadata, BundleMetric
from daf.deployment.targets import file_sha256

#: By its name, since mypy reads the examples as the scripts that they are.
policy_server = import_module("examples.policy_server")


@dataclass(frozen=True)
class Made:
    path: Path
    metadata: BundleMetadata
    digest: str


def made_bundle(
    folder: Path,
    version: str = "1.0.0",
    *,
    policy: str = "noop",
    padding: int = 0,
    metrics: Sequence[BundleMetric] = (),
    name: str = "pol",
) -> Made:
    """A bundle of one of CoGames' own policies; `padding` bytes make it as large as a test wants it."""
    class_path = catalogue().policies[policy]
    spec = f'{{"class_path": "{class_path}", "data_path": null, "init_kwargs": {{}}, "setup_script": null}}'
    noise = Member.of(bytes(hash_bytes(f"{name}{version}", padding)))
    members = {"policy_spec.json": Member.of(spec.encode()), "notes.bin": noise}
    files = {member: content.digest for member, content in members.items()}
    metadata = BundleMetadata(
        name=name, version=version, class_path=class_path, files=files, metrics=tuple(metrics), config={}
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{policy}-{padding}.zip"
    write_zip(path, {**members, METADATA_FILE: Member.of(metadata.text())})
    return Made(path, metadata, file_sha256(path))


def hash_bytes(seed: str, count: int) -> bytes:
    """Bytes that no compression makes smaller."""
    import numpy as np

    return np.random.default_rng(list(seed.encode())).bytes(count)


@contextmanager
def serving(app: ASGIApp) -> Iterator[int]:
    """Serves on a free port of this machine, which it gives."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 20
    while not server.started and time.monotonic() < end:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(20)


@dataclass
class Line:
    """A proxy on a port of its own. Each connection takes the next fault of `plan`; without one it is sound.

    Attributes:
        plan: ``request:N`` cuts the line after N bytes to the server, ``reply:N`` after N bytes back, ``stall`` keeps
            the reply back for ever.
        connections: how many there were.
    """

    target: int
    plan: list[str] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    @contextmanager
    def open(self) -> Iterator["Line"]:
        """Listens until the end."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = listening.getsockname()[1]
            threading.Thread(target=self._accept, args=(listening,), daemon=True).start()
            yield self

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listening.accept()
                self.connections += 1
                kind, _, count = (self.plan.pop(0) if self.plan else "").partition(":")
                far = socket.create_connection(("127.0.0.1", self.target))
                limit = int(count or 0)
                there = limit if kind == "request" else None
                back = {"reply": limit, "stall": -1}.get(kind)
                close = _closing(near, far)
                threading.Thread(target=_relay, args=(near, far, there, close), daemon=True).start()
                threading.Thread(target=_relay, args=(far, near, back, close), daemon=True).start()


def _closing(*sockets: socket.socket) -> Callable[[], None]:
    def close() -> None:
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    return close


def _relay(source: socket.socket, sink: socket.socket, limit: int | None, close: Callable[[], None]) -> None:
    """Passes bytes on, `limit` at most (-1: none, and the line stays open)."""
    passed = 0
    with suppress(OSError):
        while part := source.recv(65536):
            if limit == -1:
                continue
            if limit is not None and passed + len(part) > limit:
                sink.sendall(part[: limit - passed])
                break
            sink.sendall(part)
            passed += len(part)
    if limit != -1:
        close()
