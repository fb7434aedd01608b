"""A run, and what is logged of it, found in a store that is there: nothing is made by looking."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml

from daf.config.schemas import DAFConfig
from daf.errors import DAFConfigError, DAFError, Problem
from daf.redaction import redactor
from daf.tracking.deliver import reason
from daf.tracking.store import client_of, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PARENT_TAG, KIND_TAG, TASK_TAG = "mlflow.parentRunId", "daf.kind", "daf.task"
#: Characters of a run's id that are shown, unless more are needed to tell runs apart.
SHORT = 8
#: So many runs are named where a name or a beginning is of several.
NAMED = 5


def store_problems(config: DAFConfig) -> list[Problem]:
    """A problem where there is no store yet, in which a run could be."""
    try:
        open_existing(config)
    except DAFConfigError as error:
        return list(error.problems)
    return []


def run_problems(config: DAFConfig) -> list[Problem]:
    """What is wrong where a run must be named by `run`: before anything is made, it must be found."""
    if config.run is None:
        hint = "For example: run=1f0c, the beginning of its id. python -m daf.run task=runs lists runs."
        return [Problem("run", f"task={config.task.name} needs the run that it is about.", hint)]
    try:
        named_run(config)
    except DAFConfigError as error:
        return list(error.problems)
    return []


def named_run(config: DAFConfig) -> "tuple[MlflowClient, Run]":
    """The config's store, and the run in it that `run` names.

    Raises:
        DAFConfigError: there is none.
    """
    client = open_existing(config)
    return client, find_run(client, config.run or "", "run")


def open_existing(config: DAFConfig) -> "MlflowClient":
    """A client of the config's store.

    Raises:
        DAFConfigError: there is none yet, or it cannot be opened.
    """
    client = client_of(config.tracking.uri)
    if client is None:
        where = redactor().text(tracking_uri(config.tracking.uri))
        raise DAFConfigError([Problem("tracking.uri", f"nothing has been logged to {where} yet.")])
    return client


def find_run(client: "MlflowClient", text: str, key: str) -> "Run":
    """The run of an id, of the beginning of one, or of a name, in whatever experiment of the store.

    Args:
        key: of the config, where the text stands.

    Raises:
        DAFConfigError: there is none, or several.
    """
    from mlflow.exceptions import MlflowException

    try:
        found = _by_id(client, text) or _by_name(client, text)
    except MlflowException as error:
        raise DAFConfigError([Problem(key, f"the store cannot be asked for {text}: {reason(error)}")]) from error
    if not found:
        hint = "python -m daf.run task=runs lists runs."
        raise DAFConfigError([Problem(key, f"there is no run {text!r} in this store.", hint)])
    if len(found) > 1:
        names = ", ".join(f"{run.info.run_id} ({run.info.run_name})" for run in found[:NAMED])
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        raise DAFConfigError([Problem(key, f"{text!r} may be any of several runs: {names}{more}.", "Give the id.")])
    return found[0]


def _by_id(client: "MlflowClient", text: str) -> "list[Run]":
    if not re.fullmatch(r"[0-9a-f]{1,32}", text):
        return []
    return _search(client, f"attributes.run_id LIKE '{text}%'")


def _by_name(client: "MlflowClient", text: str) -> "list[Run]":
    quote = '"' if "'" in text else "'"
    return _search(client, f"attributes.run_name = {quote}{text}{quote}")


def _search(client: "MlflowClient", filter_string: str) -> "list[Run]":
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments, filter_string, max_results=NAMED * 4)) if experiments else []


def logged_text(client: "MlflowClient", run_id: str, path: str) -> str | None:
    """The text of an artifact of a run, or None where it has no such one."""
    with TemporaryDirectory(prefix="daf-artifact-") as folder:
        found = logged_file(client, run_id, path, Path(folder))
        return None if found is None else found.read_text(encoding="utf-8")


def logged_file(client: "MlflowClient", run_id: str, path: str, folder: Path) -> Path | None:
    """An artifact of a run, brought into a folder; None where it has no such one.

    Raises:
        DAFError: it has one that cannot be fetched.
    """
    try:
        parent = path.rpartition("/")[0]
        if path not in {item.path for item in client.list_artifacts(run_id, parent or None)}:
            return None
        return Path(client.download_artifacts(run_id, path, str(folder)))
    except Exception as error:  # stores of artifacts raise what they like
        raise DAFError(f"{path} of MLflow run {run_id} cannot be fetched: {reason(error)}") from error


def logged_config(client: "MlflowClient", run: "Run") -> dict[str, Any]:
    """The whole config of a run, as it was logged: secrets are blanked.

    Raises:
        DAFError: it has none.
    """
    text = logged_text(client, run.info.run_id, "config.yaml")
    data = None if text is None else yaml.safe_load(text)
    if not isinstance(data, dict):
        raise DAFError(f"MLflow run {run.info.run_id} ({run.info.run_name}) has no config.yaml among its artifacts")
    return data
