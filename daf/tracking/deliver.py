"""How an entry of a run reaches MLflow, and what MLflow refuses of it."""

import json
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from daf.errors import first_line
from daf.redaction import redactor

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Limits of MLflow's `log_batch`.
METRICS_PER_BATCH, PARAMS_PER_BATCH = 1000, 100

#: What SQLAlchemy says before it comes to the point.
ABOUT_FLUSHES = "(raised as a result of Query-invoked autoflush"

Kind = Literal["metrics", "params", "tags", "file", "end"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Entry:
    """Something that MLflow is to know of a run.

    Attributes:
        content: of metrics (key, value, time in ms, step) for each; of params and tags key to value; of a file its path
            and the artifact folder or None; of the end the run's status.
    """

    run_id: str
    kind: Kind
    content: Any

    def line(self) -> str:
        """The entry as a line of JSON."""
        return json.dumps({"run_id": self.run_id, "kind": self.kind, "content": self.content}) + "\n"


class StoreAwayError(Exception):
    """The store takes nothing at the moment. What was asked may be asked again: it is there once in the end."""


@dataclass(frozen=True)
class Refused:
    """Something that MLflow does not take, now or later."""

    what: str
    why: str


def deliver(client: "MlflowClient", entry: Entry) -> list[Refused]:
    """Gives an entry to MLflow. A part that is refused takes no other part along.

    Raises:
        StoreAwayError: the store takes nothing at the moment.
    """
    try:
        if entry.kind == "file":
            return _deliver_file(client, entry)
        if entry.kind == "end":
            client.set_terminated(entry.run_id, entry.content)
            return []
    except Exception as error:  # MLflow and its databases raise what they like
        raise StoreAwayError(reason(error)) from error
    size = METRICS_PER_BATCH if entry.kind == "metrics" else PARAMS_PER_BATCH
    items = list(entry.content) if entry.kind == "metrics" else list(entry.content.items())
    refused: list[Refused] = []
    for start in range(0, len(items), size):
        refused += _deliver_batch(client, entry, items[start : start + size])
    return refused


def _deliver_file(client: "MlflowClient", entry: Entry) -> list[Refused]:
    path, folder = Path(entry.content[0]), entry.content[1]
    try:
        mode = path.stat().st_mode
    except OSError:
        return [Refused(f"file {path}", "it is not there any more")]
    if stat.S_ISDIR(mode):
        client.log_artifacts(entry.run_id, str(path), folder)
    elif stat.S_ISREG(mode):
        client.log_artifact(entry.run_id, str(path), folder)
    else:
        return [Refused(f"file {path}", "it is neither a file nor a folder")]
    return []


def _deliver_batch(client: "MlflowClient", entry: Entry, items: Sequence[Any]) -> list[Refused]:
    """One call where all goes well; halves, quarters, ... where something is refused."""
    try:
        client.log_batch(entry.run_id, **{entry.kind: [_ENTITY[entry.kind](item) for item in items]})
    except Exception as error:
        _raise_if_away(client, entry.run_id, error)
        if len(items) == 1:
            return [Refused(f"{entry.kind.removesuffix('s')} {items[0][0]!r}", reason(error))]
        half = len(items) // 2
        return [*_deliver_batch(client, entry, items[:half]), *_deliver_batch(client, entry, items[half:])]
    return []


def _raise_if_away(client: "MlflowClient", run_id: str, error: Exception) -> None:
    """Whether it was the entry or the store is not to be seen in the error: a store that answers has refused."""
    from mlflow.exceptions import MlflowException

    away = isinstance(error, MlflowException) and error.error_code == "TEMPORARILY_UNAVAILABLE"
    try:
        deleted = not away and client.get_run(run_id).info.lifecycle_stage == "deleted"
    except Exception:
        away, deleted = True, False
    if deleted:
        raise StoreAwayError(f"run {run_id} was deleted; restore it in MLflow") from error
    if away:
        raise StoreAwayError(reason(error)) from error


def _metric(item: Sequence[Any]) -> Any:
    from mlflow.entities import Metric

    return Metric(*item)


def _param(item: tuple[str, str]) -> Any:
    from mlflow.entities import Param

    return Param(*item)


def _tag(item: tuple[str, str]) -> Any:
    from mlflow.entities import RunTag

    return RunTag(*item)


_ENTITY: dict[str, Callable[[Any], Any]] = {"metrics": _metric, "params": _param, "tags": _tag}


def reason(error: BaseException) -> str:
    """What an error comes to, in one line without secrets."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith(ABOUT_FLUSHES)]
    return redactor().text(lines[0].strip() if lines else first_line(error))[:300]
