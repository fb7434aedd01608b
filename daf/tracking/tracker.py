"""One run in MLflow, as the rest of DAF writes it."""

import atexit
import contextlib
import json
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from daf.errors import DAFError, DAFInterruptedError
from daf.execution.interrupts import interrupt_deferred
from daf.files import write_whole
from daf.redaction import redactor
from daf.results import ResultTable
from daf.tracking.abandoned import process_tags
from daf.tracking.begin import new_run
from daf.tracking.courier import Courier
from daf.tracking.deliver import Entry, Kind, reason
from daf.tracking.names import Keys, artifact_path, finite, legal_text, legal_value
from daf.tracking.undelivered import Delivered, Keeper

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

#: Suffixes of files that are read for secrets before they are logged.
TEXT_FILES = frozenset({".csv", ".diff", ".html", ".json", ".jsonl", ".log", ".md", ".svg", ".txt", ".yaml", ".yml"})


class Tracker:
    """One MLflow run, and its copy on disk.

    Metrics and files are delivered by a thread of the tracker's own, so that a slow or broken store never holds up or
    ends the work: what cannot be delivered is kept in ``<output_dir>/undelivered.jsonl``, told, and delivered with the
    next run against the same store. Every metric also goes to ``<output_dir>/metrics.jsonl`` at once, each line with
    its run: one that goes on, or is made again, adds to the file.

    Use it as a context manager: the run ends as FINISHED, as KILLED after Ctrl-C, or as FAILED after any other error.

    Attributes:
        delivered: what earlier runs had left and this one's start brought to MLflow.
        ends_as: how the run ends where nothing is raised.
        figures: the metrics that were logged without a step, secrets blanked from their names.
        overrides: what the run was asked for on the command line.
    """

    overrides: tuple[str, ...] = ()

    def __init__(
        self,
        client: "MlflowClient",
        experiment_id: str,
        name: str,
        output_dir: Path,
        *,
        parent_run_id: str | None = None,
        run_id: str | None = None,
        delivered: Sequence[Delivered] = (),
    ) -> None:
        """Begins a run, or goes on with one.

        Raises:
            DAFError: the store takes no run, or the folder no file.
        """
        self.client = client
        self.experiment_id = experiment_id
        self.output_dir = output_dir
        self.delivered = delivered
        self.ends_as: Literal["FINISHED", "FAILED"] = "FINISHED"
        self.figures: dict[str, float] = {}
        self._redactor = redactor()
        self._tables: list[dict[str, str]] = []
        self._started = time.time()
        self._closed = False
        self._keys = {"metrics": Keys(), "params": Keys(), "tags": Keys()}
        self._metrics_file = _opened(output_dir / "metrics.jsonl")
        tags = {"mlflow.parentRunId": parent_run_id} if parent_run_id else {}
        with interrupt_deferred() as stop_if_interrupted:
            self.run_id: str = self._begin(run_id, name, tags)
            self._courier = Courier(client, Keeper(output_dir, client.tracking_uri, self.run_id))
            self._courier.start()
            atexit.register(self._close_at_exit)
            try:
                stop_if_interrupted()
            except KeyboardInterrupt:
                self._close_told("KILLED")
                raise

    def _begin(self, run_id: str | None, name: str, tags: Mapping[str, str]) -> str:
        """Begins or reopens the run, and returns its id."""
        try:
            return (
                new_run(self.client, self.experiment_id, name, tags) if run_id is None else self._reopen(run_id, tags)
            )
        except DAFError:
            self._metrics_file.close()
            raise

    def _reopen(self, run_id: str, tags: Mapping[str, str]) -> str:
        from mlflow.entities import RunTag
        from mlflow.exceptions import MlflowException

        try:
            self.client.update_run(run_id, status="RUNNING")
            self.client.log_batch(
                run_id, tags=[RunTag(key, value) for key, value in {**process_tags(), **tags}.items()]
            )
        except MlflowException as error:
            raise DAFError(f"MLflow takes no run: {reason(error)}") from error
        return run_id

    @property
    def undelivered(self) -> int:
        """Number of entries that MLflow did not take, and that are kept on disk."""
        return self._courier.undelivered

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        # A second Ctrl-C waits until the end of the first is written down.
        with interrupt_deferred():
            if error is None:
                self.close(self.ends_as)
            elif isinstance(error, KeyboardInterrupt | DAFInterruptedError):
                self._close_told("KILLED")
            else:
                self.set_tags({"daf.error": f"{type(error).__name__}: {error}"})
                self._close_told("FAILED")

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Logs parameters under dotted keys; secrets are blanked."""
        self._put("params", self._legal("params", params))

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Logs numbers at a step (agent steps in training). NaN, infinity and what is no number are left out."""
        redact = self._redactor.text
        numbers = {redact(key): number for key, value in metrics.items() if (number := finite(value)) is not None}
        now = int(time.time() * 1000)
        if not step:
            self.figures |= numbers
        self._write_metrics({"run_id": self.run_id, "step": step, "time_ms": now, "metrics": numbers})
        keys = self._keys["metrics"].of(numbers)
        self._put("metrics", [(keys[key], value, now, int(step)) for key, value in numbers.items()])

    def _write_metrics(self, line: Mapping[str, Any]) -> None:
        """The copy on disk. A full disk ends the copy, not the work: MLflow gets them nonetheless."""
        if self._metrics_file.closed:
            return
        data = (json.dumps(line) + "\n").encode()
        try:
            if self._metrics_file.write(data) == len(data):
                return
            why = "it is full"
        except OSError as error:
            why = error.strerror or str(error)
        log.warning("%s takes no more metrics: %s", self.output_dir / "metrics.jsonl", why)
        with contextlib.suppress(OSError):
            self._metrics_file.close()

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Sets tags of the run; secrets are blanked."""
        self._put("tags", self._legal("tags", tags))

    def _legal(self, kind: Literal["params", "tags"], values: Mapping[str, Any]) -> dict[str, str]:
        """Keys and values as MLflow takes them, secrets blanked."""
        names = {key: self._redactor.text(str(key)) for key in values}
        keys = self._keys[kind].of(names.values())
        return {keys[name]: legal_value(self._redactor.value(str(key), values[key])) for key, name in names.items()}

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Logs a file or a folder's files as artifacts; they must stay in place until the tracker is closed.

        Secrets in text files are blanked in place.
        """
        _blank_files(path)
        self._put("file", (str(path.absolute()), None if folder is None else artifact_path(folder)))

    def log_text(self, text: str, name: str) -> Path:
        """Writes a text below the output folder, secrets blanked, and logs it under the same name.

        Raises:
            DAFError: the folder does not take it.
        """
        path = self.output_dir / artifact_path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, legal_text(self._redactor.text(text)))
        except OSError as error:
            raise DAFError(f"{path} cannot be written: {error.strerror or error}") from error
        folder = path.parent.relative_to(self.output_dir).as_posix()
        self._put("file", (str(path.absolute()), None if folder == "." else folder))
        return path

    def log_table(self, table: ResultTable, name: str) -> None:
        """Logs a table (``....json``) in the form that MLflow's UI shows side by side for several runs."""
        columns = list(table.columns)
        self.log_text(json.dumps({"columns": columns, "data": [list(row) for row in table.rows]}), name)
        self._tables.append({"path": artifact_path(name), "type": "table"})
        self.set_tags({"mlflow.loggedArtifacts": json.dumps(self._tables)})

    def warn(self, message: str) -> None:
        """Tells the user something that does not stop the work, and keeps it with the run."""
        log.warning("%s", message)
        self.set_tags({"daf.warning": message})

    def close(self, status: str) -> None:
        """Delivers what is still queued and ends the run, within seconds where the store is away. Ctrl-C waits.

        A second call does nothing.

        Raises:
            DAFError: neither MLflow nor a disk takes what is left.
        """
        with interrupt_deferred():
            if self._closed:
                return
            self._closed = True
            atexit.unregister(self._close_at_exit)
            self.log_metrics({"duration_s": time.time() - self._started})
            self._put("end", status)
            self._courier.finish()
            with contextlib.suppress(OSError):
                self._metrics_file.close()
            if lost := self._courier.lost:
                raise DAFError(_lost(self.run_id, lost, self.output_dir))

    def _close_told(self, status: str) -> None:
        """Closes where another error is on its way, which says how the work ended."""
        try:
            self.close(status)
        except DAFError as error:
            log.error("%s", error)

    def _close_at_exit(self) -> None:
        """Nobody closed it: the process was ended in between, or it was not used as a context manager."""
        self._close_told("KILLED")

    def _put(self, kind: Kind, content: Any) -> None:
        self._courier.put(Entry(self.run_id, kind, content))


def _opened(path: Path) -> FileIO:
    """A file to append to, without a buffer that a full disk could leave half written.

    Raises:
        DAFError: there is none.
    """
    try:
        return FileIO(path, "a")
    except OSError as error:
        raise DAFError(f"{path} cannot be written: {error.strerror or error}") from error


def _blank_files(path: Path) -> None:
    """Blanks secrets in a text file, or in those of a folder, unless there are none."""
    files = [path] if path.is_file() else path.rglob("*")
    for file in files:
        if file.suffix in TEXT_FILES and file.is_file():
            text = file.read_text(errors="surrogateescape")
            if (clean := redactor().text(text)) != text:
                write_whole(file, clean.encode(errors="surrogateescape"))


def _lost(run_id: str, lost: Sequence[Entry], output_dir: Path) -> str:
    """What is said of entries that nothing takes."""
    counts = Counter("its end" if entry.kind == "end" else entry.kind for entry in lost)
    kinds = ", ".join(f"{kind} ({count})" if count > 1 else kind for kind, count in counts.items())
    return (
        f"MLflow run {run_id} is not whole: neither the tracking store nor {output_dir} nor the state folder of DAF "
        f"takes {kinds}. Is a disk full?"
    )


def metric_name(*parts: str) -> str:
    """A metric's name from parts; the tracker makes a legal key of it."""
    return "/".join(parts)
