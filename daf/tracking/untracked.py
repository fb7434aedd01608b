"""The tracker of work that is no run in MLflow: it writes the same files, and tells nobody."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daf.redaction import redactor
from daf.results import ResultTable
from daf.tracking.deliver import Kind
from daf.tracking.tracker import Tracker


class Untracked(Tracker):
    """A `Tracker` without a run: texts and tables are written below the output folder, secrets blanked, and no more.

    It has no `client`, its `run_id` is empty, and it needs no end.
    """

    def __init__(self, output_dir: Path, overrides: Sequence[str] = ()) -> None:
        self.run_id = ""
        self.output_dir = output_dir
        self.overrides = tuple(overrides)
        self.delivered = ()
        self.figures: dict[str, float] = {}
        self._redactor = redactor()

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Numbers go nowhere."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Parameters go nowhere."""

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Tags go nowhere."""

    def log_table(self, table: ResultTable, name: str) -> None:
        """The form of MLflow's UI is for MLflow."""

    def close(self, status: str) -> None:
        """There is nothing to end."""

    def _put(self, kind: Kind, content: Any) -> None:
        """There is nobody to tell."""
