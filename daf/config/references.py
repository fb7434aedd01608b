"""Policies that are named by where they are kept: a run, a registered model, a deployed version.

Each is brought here once, into a private folder under its digest, when the config that names it is validated. From
then on it is a checkpoint folder or a bundle like any other, in its names, its digests and in whether it is trusted.
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daf.bridge.bundles import ARCHIVES, SPEC_FILE, is_bundle, private_folder, read_bundle
from daf.config import policy_names
from daf.config.tracking_address import SQLITE, is_run_id, mlflow_client, tracking_uri
from daf.errors import first_line
from daf.files import sha256_of, user_cache, writing_whole

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL = re.compile(r"models:/(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<version>\d+))")
SERVER = re.compile(r"daf\+(?P<server>https?://.+)/(?P<name>[A-Za-z0-9][A-Za-z0-9_-]*)@(?P<version>[^/@]+)")
DEPLOYED = re.compile(r"deployed:(?P<name>[A-Za-z0-9][A-Za-z0-9_-]*)@(?P<version>[^/@]+)")
PREFIXES = ("models:", "daf+http:", "daf+https:", "deployed:")
FORMS = (
    "models:/name@alias, models:/name/3, daf+https://host/name@1.0.0, deployed:name@1.0.0, or the 32 characters of an"
    " MLflow run id"
)
#: Of a checkpoint folder: its name below a run's output folder and among its artifacts, and the tags with its place and
#: the SHA-256 of its weights.
CHECKPOINTS = policy_names.CHECKPOINTS
FOLDER_TAG, WEIGHTS_TAG = "daf.checkpoint_dir", "daf.checkpoint_sha256"
#: Of a bundle: the artifact folder of a run that packed one, and where versions keep its SHA-256.
BUNDLE, BUNDLE_TAG, VERSION_TAG = "bundle", "daf.bundle_sha256", "daf.digest"


@dataclass(frozen=True)
class Stores:
    """Where references lead to: `tracking.uri` and `deployment.url`."""

    tracking: str | None = None
    server: str | None = None


_NOWHERE = Stores()
_stores: ContextVar[Stores] = ContextVar("stores", default=_NOWHERE)


@contextmanager
def looking_in(stores: Stores) -> Iterator[None]:
    """Resolves references, inside, with a config's own stores."""
    token = _stores.set(stores)
    try:
        yield
    finally:
        _stores.reset(token)


@dataclass(frozen=True)
class Local:
    """What a reference led to.

    Attributes:
        path: a checkpoint folder or a bundle on this disk.
        name: to be shown for it.
        class_path: of the policy in it.
    """

    path: Path
    name: str
    class_path: str


#: What references led to, by store and text.
Memory = dict[tuple[Stores, str], Local]
_memory: ContextVar[Memory | None] = ContextVar("memory", default=None)


@contextmanager
def remembering(memory: Memory) -> Iterator[None]:
    """Asks, inside, for no reference a second time: an alias that moves meanwhile means what it meant at first."""
    token = _memory.set(memory)
    try:
        yield
    finally:
        _memory.reset(token)


def is_reference(text: str) -> bool:
    """Whether a text names a policy by where it is kept, rightly spelt or not."""
    return is_run_id(text) or text.startswith(PREFIXES)


def local(reference: str) -> Local:
    """Brings what a reference names to this disk.

    Raises:
        ValueError: it has no such form, leads nowhere, or to something else than was kept there.
    """
    memory, key = _memory.get(), (_stores.get(), reference)
    if memory is not None and key in memory:
        return memory[key]
    try:
        path, name = _fetched(reference)
        class_path = read_bundle(path).class_path
    except OSError as error:
        raise ValueError(f"{reference} cannot be kept here: {error.strerror or error}") from error
    # A run is called after its output folder, as its checkpoints are there.
    name = policy_names.display_name(class_path, name) if is_run_id(reference) else name
    found = Local(path, name, class_path)
    if memory is not None:
        memory[key] = found
    return found


def _fetched(reference: str) -> tuple[Path, str]:
    if is_run_id(reference):
        return _of_run(reference)
    if found := MODEL.fullmatch(reference):
        return _of_model(found), reference.removeprefix("models:/")
    if found := SERVER.fullmatch(reference):
        return _of_server(found["server"], found["name"], found["version"])
    if found := DEPLOYED.fullmatch(reference):
        server = _stores.get().server
        if server is None:
            raise ValueError(f"{reference} needs the server: set deployment.url, or write daf+https://host/name@1.0.0")
        return _of_server(server, found["name"], found["version"])
    raise ValueError(f"{reference!r} names no policy that is kept somewhere. Forms: {FORMS}")


def _of_server(server: str, name: str, version: str) -> tuple[Path, str]:
    from daf.config.policy_server import PolicyServer

    own = _stores.get().server
    with tempfile.TemporaryDirectory() as folder:
        asked = PolicyServer(server, trusted_with_token=own is not None and own.rstrip("/") == server.rstrip("/"))
        found = asked.fetch(name, version, Path(folder))
        return _kept_bundle(found.path, found.digest, f"{server} sent"), f"{name}@{found.version}"


def _of_model(found: re.Match[str]) -> Path:
    client = _client()
    name = found["name"]
    what = (found["alias"] and f"alias {found['alias']}") or f"version {found['version']}"
    with _asked(f"the registry has no {what} of a model {name}"):
        if found["alias"]:
            version = client.get_model_version_by_alias(name, found["alias"])
        else:
            version = client.get_model_version(name, found["version"])
        place = client.get_model_version_download_uri(name, version.version)
    with tempfile.TemporaryDirectory() as folder:
        with _asked(f"the files of {what} of the model {name} cannot be fetched"):
            from mlflow.artifacts import download_artifacts

            got = Path(download_artifacts(place, dst_path=folder, tracking_uri=client.tracking_uri))
        bundle = _the_bundle_in(got, f"{what} of the model {name}")
        return _kept_bundle(bundle, version.tags.get(VERSION_TAG), f"{what} of the model {name} holds")


def run_text(run_id: str, name: str) -> str | None:
    """A text among a run's artifacts; None where it logged no such file."""
    client = _client()
    if name not in {item.path for item in client.list_artifacts(run_id)}:
        return None
    with tempfile.TemporaryDirectory() as scratch, _asked(f"the {name} of run {run_id} cannot be fetched"):
        return Path(client.download_artifacts(run_id, name, scratch)).read_text()


def _of_run(run_id: str) -> tuple[Path, str]:
    """A run's newest checkpoint, or the bundle that it packed, and the run's name."""
    client = _client()
    with _asked(f"the tracking store has no run {run_id}"):
        run = client.get_run(run_id)
    tags = dict(run.data.tags)
    return _of_run_with(client, run_id, tags), tags.get(FOLDER_TAG) or str(run.info.run_name or run_id[:8])


def _of_run_with(client: "MlflowClient", run_id: str, tags: dict[str, str]) -> Path:
    digest, folder = tags.get(WEIGHTS_TAG), tags.get(FOLDER_TAG)
    if digest and folder and _weights_digest(Path(folder)) == digest:
        return _kept_checkpoint(Path(folder), digest, run_id)
    with tempfile.TemporaryDirectory() as scratch:
        for name in (CHECKPOINTS,) if digest or BUNDLE_TAG not in tags else (BUNDLE,):
            with _asked(f"run {run_id} left no checkpoint, neither on this disk nor in MLflow"):
                got = Path(client.download_artifacts(run_id, name, scratch))
        if name == BUNDLE:
            return _kept_bundle(_the_bundle_in(got, f"run {run_id}"), tags[BUNDLE_TAG], f"run {run_id} holds")
        return _kept_checkpoint(got, digest, run_id)


def _client() -> "MlflowClient":
    """A client of the store, which must exist: asking makes none."""
    address = tracking_uri(_stores.get().tracking)
    path = address.removeprefix(SQLITE).partition("?")[0]
    if address.startswith(SQLITE) and not Path(path).is_file():
        raise ValueError(f"there is no tracking store at {path}; set tracking.uri")
    with _asked("the tracking store cannot be opened"):
        return mlflow_client(address)


@contextmanager
def _asked(failed: str) -> Iterator[None]:
    """MLflow, its databases and servers raise what they like."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"{failed}: {first_line(error).rstrip('.')}") from error


def _the_bundle_in(folder: Path, where: str) -> Path:
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name.endswith(ARCHIVES))
    if not found:
        raise ValueError(f"{where} holds no bundle (.zip or .tar.gz)")
    return next((path for path in found if path.suffix == ".zip"), found[0])


def _kept_bundle(bundle: Path, digest: str | None, whose: str) -> Path:
    found = sha256_of(bundle)
    if digest is not None and found != digest:
        raise ValueError(f"{whose} another bundle than was deployed: its SHA-256 is {found}, not {digest}")
    name = "bundle.zip" if bundle.suffix == ".zip" else "bundle.tar.gz"
    return _kept(found, {name: bundle}) / name


def _kept_checkpoint(folder: Path, digest: str | None, run_id: str) -> Path:
    """The weights that a folder's spec names, with the spec: what else a training writes there is not needed."""
    found = _weights_digest(folder)
    if found is None or (digest is not None and found != digest):
        raise ValueError(f"the checkpoint of run {run_id} is not, or no longer, the one that it logged")
    weights = read_bundle(folder).data_path
    assert weights is not None, "it has a digest"
    spec = folder / SPEC_FILE
    # The same weights may come with other arguments.
    key = hashlib.sha256(f"{found} {weights} {sha256_of(spec)}".encode()).hexdigest()
    return _kept(key, {weights: folder / weights, SPEC_FILE: spec})


def _weights_digest(folder: Path) -> str | None:
    """SHA-256 of the weights in a checkpoint folder; None where it is none."""
    try:
        weights = read_bundle(folder).data_path if is_bundle(folder) else None
        return sha256_of(folder / weights) if weights else None
    except (OSError, ValueError):
        return None


def _kept(key: str, files: dict[str, Path]) -> Path:
    """A folder of this user's alone with copies of these files, each whole. What lies there already is compared."""
    folder = private_folder(private_folder(user_cache("references")) / key)
    for name, source in files.items():
        target = folder / name
        if not target.is_file() or target.is_symlink() or sha256_of(target) != sha256_of(source):
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _copied(source, target)
    return folder


def _copied(source: Path, target: Path) -> None:
    with source.open("rb") as content, writing_whole(target) as copy:
        shutil.copyfileobj(content, copy)
