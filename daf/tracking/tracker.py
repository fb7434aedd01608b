"""Everything that touches MLflow."""

import json
import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daf.errors import DAFError, DAFInterruptedError
from daf.execution.interrupts import interrupt_deferred
from daf.files import write_whole
from daf.redaction import redactor
from daf.results import ResultTable

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

#: Limits of MLflow's `log_batch`.
METRICS_PER_BATCH, PARAMS_PER_BATCH, PARAM_LENGTH = 1000, 100, 6000
ATTEMPTS = 5
#: Suffixes of files that are read for secrets before they are logged.
TEXT_FILES = frozenset({".csv", ".diff", ".html", ".json", ".jsonl", ".log", ".md", ".svg", ".txt", ".yaml", ".yml"})


class Tracker:
    """One MLflow run, and its copy on disk.

    Metrics and files are delivered by a thread of the tracker's own, so that a slow or broken store never holds up or
    ends the work: what cannot be delivered after `ATTEMPTS` tries is kept in ``<output_dir>/undelivered.jsonl`` and
    counted in `undelivered`. Every metric also goes to ``<output_dir>/metrics.jsonl`` at once.

    Use it as a context manager: the run ends as FINISHED, as KILLED after Ctrl-C, or as FAILED after any other error.
    """

    def __init__(
        self,
        client: "MlflowClient",
        experiment_id: str,
        name: str,
        output_dir: Path,
        *,
        parent_run_id: str | None = None,
        run_id: str | None = None,
    ) -> None:
        self.client = client
        self.experiment_id = experiment_id
        self.output_dir = output_dir
        self.undelivered = 0
        self._redactor = redactor()
        tags = {"mlflow.parentRunId": parent_run_id} if parent_run_id else {}
        self._tables: list[dict[str, str]] = []
        self._started = time.time()
        self._metrics_file = (output_dir / "metrics.jsonl").open("a", buffering=1)
        self._queue: queue.Queue[tuple[str, Any] | None] = queue.Queue()
        self._patient = True
        self._thread = threading.Thread(target=self._deliver_all, name="daf-tracker", daemon=True)
        with interrupt_deferred() as stop_if_interrupted:
            if run_id:
                client.update_run(run_id, status="RUNNING")
            clean = self._redactor.text(name)
            self.run_id: str = run_id or client.create_run(experiment_id, run_name=clean, tags=tags).info.run_id
            self._thread.start()
            try:
                stop_if_interrupted()
            except KeyboardInterrupt:
                self.close("KILLED")
                raise

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None:
            self.close("FINISHED")
        elif isinstance(error, KeyboardInterrupt | DAFInterruptedError):
            self.close("KILLED")
        else:
            self.set_tags({"daf.error": f"{type(error).__name__}: {error}"})
            self.close("FAILED")

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Logs parameters under dotted keys; secrets are blanked."""
        redact = self._redactor
        clean = {legal_key(redact.text(key)): redact.value(key, value)[:PARAM_LENGTH] for key, value in params.items()}
        self._queue.put(("params", clean))

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Logs numbers at a step (agent steps in training). NaN and infinity are left out."""
        finite = {
            self._redactor.text(key): float(value) for key, value in metrics.items() if abs(float(value)) < float("inf")
        }
        now = int(time.time() * 1000)
        self._metrics_file.write(json.dumps({"step": step, "time_ms": now, "metrics": finite}) + "\n")
        self._queue.put(("metrics", [(key, value, now, step) for key, value in finite.items()]))

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Sets tags of the run; secrets are blanked."""
        self._queue.put(("tags", {key: self._redactor.value(key, value)[:PARAM_LENGTH] for key, value in tags.items()}))

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Logs a file or a folder's files as artifacts; they must stay in place until the tracker is closed.

        Secrets in text files are blanked in place.
        """
        _blank_files(path)
        self._queue.put(("file", (str(path), folder)))

    def log_text(self, text: str, name: str) -> Path:
        """Writes a text below the output folder, secrets blanked, and logs it under the same name."""
        path = self.output_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, self._redactor.text(text))
        folder = str(Path(name).parent)
        self._queue.put(("file", (str(path), None if folder == "." else folder)))
        return path

    def log_table(self, table: ResultTable, name: str) -> None:
        """Logs a table (``....json``) in the form that MLflow's UI shows side by side for several runs."""
        columns = list(table.columns)
        self.log_text(json.dumps({"columns": columns, "data": [list(row) for row in table.rows]}), name)
        self._tables.append({"path": name, "type": "table"})
        self.set_tags({"mlflow.loggedArtifacts": json.dumps(self._tables)})

    def warn(self, message: str) -> None:
        """Tells the user something that does not stop the work, and keeps it with the run."""
        log.warning("%s", message)
        self.set_tags({"daf.warning": message})

    def run_tags(self, run_id: str) -> dict[str, str]:
        """The tags of any run in the same store.

        Raises:
            DAFError: there is no such run.
        """
        from mlflow.exceptions import MlflowException

        try:
            return dict(self.client.get_run(run_id).data.tags)
        except MlflowException as error:
            raise DAFError(f"the tracking store has no run {run_id}: {error.message}") from error

    def fetch_artifacts(self, run_id: str, folder: str, destination: Path) -> Path:
        """Downloads a run's artifact folder and returns where it is."""
        return Path(self.client.download_artifacts(run_id, folder, str(destination)))

    def close(self, status: str) -> None:
        """Delivers what is still queued and ends the run. No thread is left. A second call does nothing."""
        if not self._thread.is_alive():
            return
        self.log_metrics({"duration_s": time.time() - self._started})
        self._queue.put(("end", status))
        self._queue.put(None)
        self._thread.join()
        self._metrics_file.close()
        if self.undelivered:
            log.warning(
                "MLflow did not take %d entries of this run; they are kept in %s",
                self.undelivered,
                self.output_dir / "undelivered.jsonl",
            )

    def _deliver_all(self) -> None:
        for kind, content in _merged(self._queue):
            if not self._try(lambda kind=kind, content=content: self._deliver(kind, content)):  # type: ignore[misc]
                self._keep(kind, content)

    def _try(self, deliver: Callable[[], None]) -> bool:
        """Retries with growing pauses; after one lasting failure every later entry gets a single try."""
        from tenacity import RetryError, retry, stop_after_attempt, wait_exponential

        attempts = stop_after_attempt(ATTEMPTS if self._patient else 1)
        try:
            retry(stop=attempts, wait=wait_exponential(multiplier=0.1, max=5))(deliver)()
        except RetryError as error:
            log.warning("MLflow: %s", self._redactor.text(str(error.last_attempt.exception())))
            self._patient = False
            return False
        self._patient = True
        return True

    def _deliver(self, kind: str, content: Any) -> None:
        from mlflow.entities import Metric, Param, RunTag

        if kind == "metrics":
            self.client.log_batch(self.run_id, metrics=[Metric(*entry) for entry in content])
        elif kind == "params":
            params = [Param(key, value) for key, value in content.items()]
            for start in range(0, len(params), PARAMS_PER_BATCH):
                self.client.log_batch(self.run_id, params=params[start : start + PARAMS_PER_BATCH])
        elif kind == "tags":
            self.client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in content.items()])
        elif kind == "file":
            path, folder = content
            log_artifact = self.client.log_artifacts if Path(path).is_dir() else self.client.log_artifact
            log_artifact(self.run_id, path, folder)
        else:
            self.client.set_terminated(self.run_id, content)

    def _keep(self, kind: str, content: Any) -> None:
        self.undelivered += 1
        with (self.output_dir / "undelivered.jsonl").open("a") as file:
            file.write(json.dumps({"run_id": self.run_id, "kind": kind, "content": content}) + "\n")


def _blank_files(path: Path) -> None:
    """Blanks secrets in a text file, or in those of a folder, unless there are none."""
    files = [path] if path.is_file() else path.rglob("*")
    for file in files:
        if file.suffix in TEXT_FILES and file.is_file():
            text = file.read_text(errors="surrogateescape")
            if (clean := redactor().text(text)) != text:
                write_whole(file, clean.encode(errors="surrogateescape"))


def legal_key(key: str) -> str:
    """A key made of what the user named, such as ``+policy.init_kwargs.x``, in the characters that MLflow takes."""
    return re.sub(r"[^\w\-. :/]", "_", key)


def _merged(entries: "queue.Queue[tuple[str, Any] | None]") -> Iterator[tuple[str, Any]]:
    """Yields queued entries; metrics that are waiting are joined: one transaction is cheaper than many."""
    waiting: list[tuple[str, float, int, int]] = []
    while (entry := entries.get()) is not None:
        kind, content = entry
        if kind == "metrics":
            waiting.extend(content)
            if not entries.empty() and len(waiting) < METRICS_PER_BATCH:
                continue
        yield from (
            ("metrics", waiting[start : start + METRICS_PER_BATCH])
            for start in range(0, len(waiting), METRICS_PER_BATCH)
        )
        waiting = []
        if kind != "metrics":
            yield entry


def metric_name(*parts: str) -> str:
    """A metric name from parts, with what MLflow does not allow in one replaced or, as in a path, left out."""
    segments = [segment for segment in "/".join(parts).split("/") if segment not in ("", ".", "..")]
    return legal_key("/".join(segments))
