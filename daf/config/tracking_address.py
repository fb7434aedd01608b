"""The address of the tracking store, and the client that asks it."""

import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Where MLflow's other tools look for the address.
VARIABLE = "MLFLOW_TRACKING_URI"
SQLITE = "sqlite:///"
QUIET = {
    "mlflow": logging.WARNING,
    "mlflow.store.db.utils": logging.CRITICAL,
    "alembic": logging.WARNING,
    "sqlalchemy.pool": logging.CRITICAL,
    "urllib3.connectionpool": logging.ERROR,
}


def project_dir() -> Path:
    """The checkout that this package lies in, or the working directory where it is installed as a package."""
    checkout = Path(__file__).parents[2]
    return checkout if (checkout / "mlruns" / ".gitignore").is_file() else Path.cwd()


def tracking_uri(uri: str | None) -> str:
    """The configured address, else that of ``MLFLOW_TRACKING_URI``, else the embedded SQLite store; files absolute."""
    address = uri or os.environ.get(VARIABLE) or f"sqlite:///{project_dir() / 'mlruns' / 'mlflow.db'}"
    path, slashes = address.removeprefix(SQLITE), address.startswith(SQLITE)
    is_relative = slashes and path and not path.startswith(("/", ":", "?", "file:"))
    return f"{SQLITE}{Path.cwd() / path}" if is_relative else address


def studies_folder(uri: str | None) -> Path:
    """Where studies are kept without `sweep.storage`: beside the tracking store where that is a file."""
    address = tracking_uri(uri)
    local = address.startswith(SQLITE)
    return (Path(address.removeprefix(SQLITE)).parent if local else project_dir() / "mlruns") / "studies"


def address_key(uri: str | None) -> str:
    """Where the address comes from: the config's key, or the environment's variable."""
    return VARIABLE if not uri and os.environ.get(VARIABLE) else "tracking.uri"


def mlflow_client(address: str) -> "MlflowClient":
    """A client of the store and of the registry in it, which gives up within seconds and writes nothing to stderr."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # By default a server that is not there is waited for during minutes at every call. The tracker retries itself.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "8")
    # A file or two need no bar.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow import MlflowClient

    # Migrations tell the terminal about every table, and what a database or a server refuses is told by the tracker.
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
    return MlflowClient(address, registry_uri=address)


def is_run_id(text: str) -> bool:
    """Whether a text has the form of an MLflow run id."""
    return re.fullmatch(r"[0-9a-f]{32}", text) is not None
