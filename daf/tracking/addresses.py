"""What can be wrong with the address of a tracking store, found out before anything is made or begun."""

import contextlib
import os
import queue
import sqlite3
import threading
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from daf.errors import Problem, install_command
from daf.files import why_no_files
from daf.tracking.deliver import reason

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

#: Seconds that a store may take to answer, and that a locked database is waited for.
ANSWER_S, LOCKED_S = 15.0, 10.0
#: A database is read through only up to so many bytes.
READ_AT_MOST = 2**26
DATABASES = ("mssql", "mysql", "postgresql", "sqlite")
SQLITE_HEADER = b"SQLite format 3\x00"
FORMS = "Write sqlite:////folder/mlflow.db, http(s)://server, postgresql://..., or null for the embedded store."


class WrongAddressError(Exception):
    """A sentence on what is wrong, and one on what would be right."""

    def __init__(self, what: str, hint: str = "", key: str = "") -> None:
        super().__init__(what)
        self._hint = hint
        self._key = key

    def problem(self, where: str) -> Problem:
        """It as a problem of a config key, unless it knows a better one."""
        return Problem(self._key or where, str(self), self._hint)


def check_address(address: str, experiment: str) -> None:
    """Looks at a store without changing it, within `ANSWER_S` seconds.

    Raises:
        WrongAddressError: no run can be kept there, or the experiment was deleted.
    """
    scheme = _scheme(address)
    if scheme in DATABASES:
        _check_database(address, experiment)
    elif scheme in ("http", "https"):
        _check_server(address)
    elif scheme in ("", "file") and address != "databricks":
        if os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() not in ("true", "1"):
            raise WrongAddressError("MLflow no longer keeps runs as files in a folder.", FORMS)
    elif scheme not in _registered():
        raise WrongAddressError(f"MLflow knows no {scheme}: addresses.", FORMS)


def is_server(address: str) -> bool:
    """Whether somebody else answers at the address: it is neither a database nor a folder."""
    return address == "databricks" or _scheme(address) not in (*DATABASES, "", "file")


def _scheme(address: str) -> str:
    return address.partition(":")[0].partition("+")[0] if ":" in address else ""


def within[Result](seconds: float, action: Callable[[], Result]) -> Result:
    """The action's result. It runs in a thread of its own, which is left alone where it takes longer.

    Raises:
        WrongAddressError: it took longer.
        Exception: whatever the action raises.
    """
    done: queue.Queue[tuple[Result | None, BaseException | None]] = queue.Queue()

    def run() -> None:
        try:
            done.put((action(), None))
        except BaseException as error:
            done.put((None, error))

    threading.Thread(target=run, name="daf-store-check", daemon=True).start()
    try:
        result, error = done.get(timeout=seconds)
    except queue.Empty:
        raise WrongAddressError(f"nothing answers there within {seconds:.0f} seconds.") from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


def _registered() -> Iterable[str]:
    """The schemes that MLflow and its plugins know."""
    from mlflow.tracking._tracking_service.utils import _tracking_store_registry

    return _tracking_store_registry._registry.keys()


def _check_server(address: str) -> None:
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise WrongAddressError(f"is no address: {error}.", FORMS) from error
    if not host:
        raise WrongAddressError("names no server.", FORMS)


def _check_database(address: str, experiment: str) -> None:
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.exc import SAWarning, SQLAlchemyError
    from sqlalchemy.pool import NullPool

    try:
        url = make_url(address)
        if url.get_backend_name() == "sqlite":
            _file_of(url)
        with warnings.catch_warnings():
            warnings.simplefilter("error", SAWarning)  # of what would be ignored
            engine = create_engine(url, poolclass=NullPool)
    except ModuleNotFoundError as error:
        what = f"the database's driver is not installed: {error.name}."
        raise WrongAddressError(what, f"Install it: {install_command(_package(error.name))}") from error
    except (SQLAlchemyError, SAWarning, ValueError) as error:
        raise WrongAddressError(f"is no address of a database: {reason(error)}", FORMS) from error
    if url.get_backend_name() == "sqlite" and not _sqlite_exists(url):
        return
    try:
        within(ANSWER_S, lambda: _look(engine, experiment))
    except SQLAlchemyError as error:
        cause = error.__cause__ or error
        raise WrongAddressError(f"the database cannot be opened: {reason(cause)}") from error


def _package(module: str | None) -> str:
    return {"MySQLdb": "mysqlclient", "psycopg2": "psycopg2-binary"}.get(module or "", module or "it")


def _look(engine: "Engine", experiment: str) -> None:
    """Whether a database is empty or of MLflow, in a version that the installed one knows, with a usable experiment."""
    from sqlalchemy import inspect, text

    with engine.connect() as connection:
        tables = set(inspect(connection).get_table_names())
        if not any(not table.startswith("alembic_") for table in tables):
            return
        if not {"alembic_version", "experiments", "runs"} <= tables:
            some = ", ".join(sorted(tables)[:4])
            raise WrongAddressError(
                f"the database is not MLflow's: it holds {some}.", "Give one that is new or MLflow's."
            )
        versions = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
        unknown = [version for version in versions if not _is_known(version)]
        if unknown or not versions:
            schema = ", ".join(map(str, unknown)) or "none"
            what = f"the database has a schema that this MLflow does not know: {schema}."
            raise WrongAddressError(what, "A newer MLflow made it: install that, or give another store.")
        query = text("SELECT lifecycle_stage FROM experiments WHERE name = :name")
        if connection.execute(query, {"name": experiment}).scalars().first() == "deleted":
            raise deleted_experiment(experiment)


def deleted_experiment(name: str) -> WrongAddressError:
    """That an experiment was deleted."""
    hint = "Restore it in MLflow, or give another tracking.experiment."
    return WrongAddressError(f"{name!r} was deleted.", hint, "tracking.experiment")


def _is_known(version: str) -> bool:
    import mlflow
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    scripts = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    try:
        return scripts.get_revision(version) is not None
    except CommandError:
        return False


def sqlite_file(address: str) -> Path | None:
    """The absolute path of an SQLite address' file; None for what is no SQLite address.

    Raises:
        WrongAddressError: it names no file.
    """
    if not address.startswith("sqlite"):
        return None
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:
        raise WrongAddressError(f"is no address of a database: {reason(error)}", FORMS) from error
    return _file_of(url)


def _file_of(url: "URL") -> Path:
    name = url.database or ""
    in_memory = not name or ":memory:" in name or url.query.get("mode") == "memory"
    if in_memory or url.host:
        what = "names no file" if url.host or not name else "is a database in memory, which ends with the process"
        raise WrongAddressError(f"{what}: every run would be lost.", "Write sqlite:////folder/mlflow.db.")
    if "\x00" in name or name.startswith("file:"):
        raise WrongAddressError("names no plain file.", "Write sqlite:////folder/mlflow.db.")
    return Path(name).absolute()


def _sqlite_exists(url: "URL") -> bool:
    """Whether there is a file, once it is known to be a usable database; else one can be made there.

    Raises:
        WrongAddressError: it is something else, is damaged, or cannot be written.
    """
    path = _file_of(url)
    try:
        exists = os.path.lexists(path) and path.stat() is not None
        existing = next(folder for folder in path.parents if folder.exists())
    except OSError as error:
        raise WrongAddressError(f"{path} cannot be used: {error.strerror}.") from error
    if why := why_no_files(existing):
        raise WrongAddressError(f"{existing} is not a folder that can be written to: {why}.")
    if not exists:
        return False
    if not path.is_file():
        raise WrongAddressError(f"{path} is not a file.", FORMS)
    try:
        path.open("r+b").close()
    except OSError as error:
        raise WrongAddressError(f"{path} cannot be written: {error.strerror}.") from error
    if path.stat().st_size:
        _check_sqlite_file(path)
    return True


def _check_sqlite_file(path: Path) -> None:
    with path.open("rb") as file:
        header = file.read(100)
    if not header.startswith(SQLITE_HEADER):
        raise WrongAddressError(f"{path} is not an SQLite database.", FORMS)
    damaged = WrongAddressError(f"{path} is damaged.", "Restore a copy, or give another store.")
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=LOCKED_S, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            small = path.stat().st_size <= READ_AT_MOST
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if small else "ok"
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            what = f"{path} has been locked by another process for {LOCKED_S:.0f} seconds."
            raise WrongAddressError(what, "Try again when that is done, or give another store.") from error
        raise WrongAddressError(f"{path} cannot be used: {error}.") from error
    except sqlite3.DatabaseError as error:
        raise damaged from error
    if found != "ok":
        raise damaged
