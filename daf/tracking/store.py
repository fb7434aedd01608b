"""Where runs are kept: the tracking store's address, and how it is opened."""

import contextlib
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from daf.errors import DAFError
from daf.execution.interrupts import interrupt_deferred
from daf.redaction import redactor

if TYPE_CHECKING:
    from mlflow import MlflowClient


def project_dir() -> Path:
    """The checkout that this package lies in, or the working directory where it is installed as a package."""
    checkout = Path(__file__).parents[2]
    return checkout if (checkout / "mlruns" / ".gitignore").is_file() else Path.cwd()


def tracking_uri(uri: str | None) -> str:
    """The configured address, or the embedded SQLite store as an absolute one."""
    return uri or f"sqlite:///{project_dir() / 'mlruns' / 'mlflow.db'}"


def ui_command(uri: str | None) -> str:
    """The command that shows the runs of a store in a browser."""
    if uri is None and (project_dir() / "scripts" / "mlflow-ui").is_file():
        return "./scripts/mlflow-ui"
    return f"mlflow ui --backend-store-uri {redactor().text(tracking_uri(uri))}"


def open_store(uri: str | None, experiment: str) -> tuple["MlflowClient", str]:
    """Opens the store, creating database and experiment where they are missing, under a lock for SQLite.

    Call it in the parent before any worker starts: several processes on a fresh database corrupt its migration.

    Returns:
        A client and the experiment's id.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # By default a server that is not there is waited for during four minutes at every call. The tracker retries itself.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    from filelock import FileLock
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    # Its migrations tell the terminal about every table.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)

    address = tracking_uri(uri)
    folder = _sqlite_folder(address)
    lock = contextlib.nullcontext() if folder is None else FileLock(folder / ".daf-store.lock")
    try:
        # Interrupted halfway, a migration may swallow Ctrl-C or keep the database locked.
        with interrupt_deferred(), lock:
            client = MlflowClient(address, registry_uri=address)
            found = client.get_experiment_by_name(experiment)
            if found is not None and found.lifecycle_stage == "deleted":
                hint = "restore it in MLflow, or give another tracking.experiment"
                raise DAFError(f"the experiment {experiment!r} was deleted: {hint}")
            if found is not None:
                return client, str(found.experiment_id)
            artifacts = (folder / "artifacts" / experiment).as_uri() if folder else None
            return client, str(client.create_experiment(experiment, artifact_location=artifacts))
    except MlflowException as error:
        raise DAFError(f"cannot open the tracking store {redactor().text(address)}: {error.message}") from error


def _sqlite_folder(address: str) -> Path | None:
    if not address.startswith("sqlite:///"):
        return None
    folder = Path(address.removeprefix("sqlite:///")).parent.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def is_run_id(text: str) -> bool:
    """Whether a text has the form of an MLflow run id."""
    return re.fullmatch(r"[0-9a-f]{32}", text) is not None
