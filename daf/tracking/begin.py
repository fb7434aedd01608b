"""The start against a store: what earlier processes left behind there comes first."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from daf.errors import DAFError
from daf.redaction import redactor
from daf.tracking.abandoned import end_abandoned, process_tags
from daf.tracking.deliver import reason
from daf.tracking.names import NAME_LENGTH, legal_value
from daf.tracking.store import open_store, tracking_uri
from daf.tracking.undelivered import UNDELIVERED, Delivered, deliver_files, noted_files

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)


class OpenedStore(NamedTuple):
    """A store that a run may begin in, and what earlier runs had left for it."""

    client: "MlflowClient"
    experiment_id: str
    delivered: list[Delivered]


def open_tidied(uri: str | None, experiment: str) -> OpenedStore:
    """`open_store` for a process that begins: delivers what is noted as undelivered, and ends runs that were killed.

    Raises:
        DAFConfigError: as `open_store`; nothing else.
    """
    client, experiment_id = open_store(uri, experiment)
    delivered = deliver_files(client, noted_files(tracking_uri(uri)))
    tell(delivered)
    # After that: what was delivered may have been an end.
    end_abandoned(client)
    return OpenedStore(client, experiment_id, delivered)


def new_run(client: "MlflowClient", experiment_id: str, name: str, tags: Mapping[str, str | None]) -> str:
    """Begins a run of this process, under a name without secrets that every database takes, and returns its id.

    Raises:
        DAFError: the store takes none.
    """
    from mlflow.exceptions import MlflowException

    clean = legal_value(redactor().text(name), NAME_LENGTH)
    try:
        return str(client.create_run(experiment_id, run_name=clean, tags={**process_tags(), **tags}).info.run_id)
    except MlflowException as error:
        raise DAFError(f"MLflow takes no run: {reason(error)}") from error


def tell(delivered: list[Delivered]) -> None:
    """Says what was delivered and what stays where it is."""
    for each in delivered:
        if each.count:
            runs = ", ".join(each.run_ids)
            log.info("%d entries of %s, which MLflow had not taken, are delivered", each.count, runs)
        for problem in each.problems[:3]:
            log.warning("undelivered: %s", problem)
        if len(each.problems) > 3:
            log.warning("undelivered: %s: %d more", each.path, len(each.problems) - 3)


def find_files(folder: Path) -> list[Path]:
    """Files with undelivered entries in a folder and all below it."""
    return sorted(folder.rglob(UNDELIVERED)) if folder.is_dir() else []
