"""Where runs are kept: the tracking store's address, and how it is opened."""

from pathlib import Path
from typing import TYPE_CHECKING

from daf.config.tracking_address import VARIABLE as VARIABLE
from daf.config.tracking_address import address_key, mlflow_client
from daf.config.tracking_address import is_run_id as is_run_id
from daf.config.tracking_address import project_dir as project_dir
from daf.config.tracking_address import tracking_uri as tracking_uri
from daf.errors import DAFConfigError, Problem, missing_requirement
from daf.execution.interrupts import interrupt_deferred
from daf.redaction import redactor
from daf.tracking.addresses import (
    ANSWER_S,
    LOCKED_S,
    WrongAddressError,
    check_address,
    deleted_experiment,
    is_server,
    sqlite_file,
    within,
)
from daf.tracking.deliver import reason
from daf.tracking.names import folder_name

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCK = ".daf-store.lock"
#: With its kind the UI opens on runs and metrics, not on traces of language models.
EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": "Runs of DAF: each holds its config, command, tables, pictures and records as artifacts.",
}
#: Addresses with experiments that were just looked at: to open them, they are not looked at again.
_found_right: set[tuple[str, str]] = set()


def ui_command(uri: str | None) -> str:
    """The command that shows the runs of a store in a browser, or the address of a server that does."""
    address = redactor().text(tracking_uri(uri))
    if address_key(uri) == "tracking.uri" and uri is None and (project_dir() / "scripts" / "mlflow-ui").is_file():
        return "./scripts/mlflow-ui"
    return address if address.startswith("http") else f"mlflow ui --backend-store-uri {address}"


def tracking_problems(uri: str | None, experiment: str) -> list[Problem]:
    """What is wrong with a store, as far as it shows without making anything there; it takes seconds at most."""
    try:
        address = tracking_uri(uri)
        _check_calmly(address, experiment)
        if is_server(address):  # nothing is made by asking it
            within(ANSWER_S, lambda: _experiment_of(mlflow_client(address), experiment))
    except WrongAddressError as error:
        return [error.problem(address_key(uri))]
    except Exception as error:  # a server may answer anything
        if missing_requirement(error):
            raise
        return [_unopened(uri, error)]
    _found_right.add((address, experiment))
    return []


def _check_calmly(address: str, experiment: str) -> None:
    """Another process may be making the database at this moment: then its lock is waited for."""
    try:
        check_address(address, experiment)
    except WrongAddressError:
        path = sqlite_file(address)
        if path is None or not (path.parent / LOCK).exists():
            raise
        from filelock import FileLock, Timeout

        try:
            with FileLock(path.parent / LOCK, timeout=LOCKED_S):
                check_address(address, experiment)
        except Timeout as error:
            raise WrongAddressError(f"another process is making {path} for long.") from error


def _unopened(uri: str | None, error: Exception) -> Problem:
    address = redactor().text(tracking_uri(uri))
    return Problem(address_key(uri), f"the tracking store {address} cannot be opened: {reason(error).rstrip('.')}.")


def open_store(uri: str | None, experiment: str) -> tuple["MlflowClient", str]:
    """Opens the store, creating database and experiment where they are missing, under a lock for SQLite.

    Call it in the parent before any worker starts: several processes on a fresh database corrupt its migration.

    Returns:
        A client and the experiment's id.

    Raises:
        DAFConfigError: there is no store at the address, or its experiment was deleted.
    """
    address = tracking_uri(uri)
    try:
        known = (address, experiment) in _found_right
        _found_right.discard((address, experiment))
        if not known:
            _check_calmly(address, experiment)
        path = sqlite_file(address)
        if path is None:
            return within(ANSWER_S, lambda: _opened(address, experiment, None))
        path.parent.mkdir(parents=True, exist_ok=True)
        from filelock import FileLock

        # Interrupted halfway, a migration may swallow Ctrl-C or keep the database locked.
        with interrupt_deferred(), FileLock(path.parent / LOCK):
            _make_whole(path)
            return _opened(address, experiment, path.parent)
    except WrongAddressError as error:
        raise DAFConfigError([error.problem(address_key(uri))]) from error
    except Exception as error:  # MLflow, its databases and servers raise what they like
        raise DAFConfigError([_unopened(uri, error)]) from error


def _make_whole(path: Path) -> None:
    """Gives a new database its name once it is complete: one that is killed halfway could never be opened again."""
    if _holds_something(path):
        return
    from sqlalchemy import URL

    partial = path.with_name(f".{path.name}.new")
    partial.unlink(missing_ok=True)  # of somebody who was killed
    address = URL.create("sqlite", database=str(partial)).render_as_string()
    mlflow_client(address).search_experiments(max_results=1)
    partial.replace(path)


def _opened(address: str, experiment: str, folder: Path | None) -> tuple["MlflowClient", str]:
    client = mlflow_client(address)
    found = _experiment_of(client, experiment)
    if found is not None:
        return client, found
    artifacts = (folder / "artifacts" / folder_name(experiment)).as_uri() if folder else None
    return client, str(client.create_experiment(experiment, artifact_location=artifacts, tags=EXPERIMENT_TAGS))


def client_of(uri: str | None) -> "MlflowClient | None":
    """A client of a store that is there; None where nothing has been made yet, and nothing is.

    Raises:
        DAFConfigError: it cannot be opened.
    """
    address = tracking_uri(uri)
    try:
        path = sqlite_file(address)
        return None if path is not None and not _holds_something(path) else mlflow_client(address)
    except WrongAddressError as error:
        raise DAFConfigError([error.problem(address_key(uri))]) from error
    except Exception as error:  # as in `open_store`
        raise DAFConfigError([_unopened(uri, error)]) from error


def _holds_something(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _experiment_of(client: "MlflowClient", name: str) -> str | None:
    """The id of an experiment that is there and not deleted."""
    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage == "deleted":
        raise deleted_experiment(name)
    return None if found is None else str(found.experiment_id)
