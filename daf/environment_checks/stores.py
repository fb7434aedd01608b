"""Where runs and studies are kept."""

from pathlib import Path

from daf.config.schemas import DAFConfig
from daf.config.tracking_address import studies_folder, tracking_uri
from daf.environment_checks.needs import existing_folder
from daf.environment_checks.result import EnvironmentCheckResult, checked
from daf.errors import Problem
from daf.files import why_no_files
from daf.redaction import redactor
from daf.tracking.addresses import ANSWER_S, WrongAddressError, sqlite_file, within
from daf.tracking.deliver import reason
from daf.tracking.store import tracking_problems

STORE, STUDIES = "tracking store", "study storage"


def check_tracking_store(config: DAFConfig) -> EnvironmentCheckResult:
    """There must be an MLflow store at `tracking.uri`, of a schema that the installed MLflow knows, or room for one."""
    errors = tracking_problems(config.tracking.uri, config.tracking.experiment)
    address = redactor().text(tracking_uri(config.tracking.uri))
    return checked(STORE, f"{address}, experiment {config.tracking.experiment}", errors, remedy="Give another store.")


def check_study_storage(config: DAFConfig) -> EnvironmentCheckResult:
    """Where a sweep would keep its study must be writable, or must answer; nothing is made there."""
    address = config.sweep.storage
    try:
        if address and "://" in address:
            where = redactor().text(address)
            _check_database(address)
        else:
            where = address or str(studies_folder(config.tracking.uri))
            _check_journal(Path(where), is_file=bool(address))
    except WrongAddressError as error:
        return checked(STUDIES, "", [error.problem("sweep.storage")], remedy="Give another sweep.storage.")
    except Exception as error:  # a database and its driver raise what they like
        what = f"{redactor().text(str(address))} cannot be opened: {reason(error).rstrip('.')}."
        return checked(STUDIES, "", [Problem("sweep.storage", what)], remedy="Give another sweep.storage.")
    return checked(STUDIES, where)


def _check_journal(path: Path, *, is_file: bool) -> None:
    existing = existing_folder(path.absolute())
    if existing == path.absolute() and is_file:
        if not path.is_file():
            raise WrongAddressError(f"{path} is not a file.")
        existing = existing.parent
    if why := why_no_files(existing):
        raise WrongAddressError(f"{existing} is not a folder that can be written to: {why}.")


def _check_database(address: str) -> None:
    if (file := sqlite_file(address)) is not None:
        _check_journal(file, is_file=True)
        if not file.is_file():
            return
    from sqlalchemy import create_engine, inspect
    from sqlalchemy.pool import NullPool

    engine = create_engine(address, poolclass=NullPool)
    tables = within(ANSWER_S, lambda: inspect(engine).get_table_names())
    if tables and "studies" not in tables:
        some = ", ".join(sorted(tables)[:4])
        raise WrongAddressError(f"the database is not Optuna's: it holds {some}.", "Give one that is new or Optuna's.")
