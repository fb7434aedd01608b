"""A run as MLflow's UI describes it: what was asked, what came out, and its tables beside those of other runs."""

import shlex
from collections.abc import Iterator, Sequence

from daf.config.override_secrets import override_without_secrets
from daf.results import TaskResult
from daf.tracking import Tracker

#: Rows of a table that a description shows; the whole table is an artifact.
MOST_ROWS = 20


def describe(tracker: Tracker, result: TaskResult, overrides: Sequence[str]) -> None:
    """Sets the run's description, and logs its tables in the form that MLflow shows side by side for several runs."""
    text = "\n\n".join(_parts(result, overrides))
    tracker.set_tags({"mlflow.note.content": text})
    for table in result.tables:
        tracker.log_table(table, f"tables/{table.file_name}.json")


def _parts(result: TaskResult, overrides: Sequence[str]) -> Iterator[str]:
    if overrides:
        yield f"    python -m daf.run {shlex.join(map(override_without_secrets, overrides))}"
    if result.notes:
        yield "\n".join(f"- {note}" for note in result.notes)
    for table in result.tables:
        lines = table.to_markdown().splitlines()
        # A title, an empty line, headings and a rule stand above the rows.
        more = len(table.rows) - MOST_ROWS
        yield "\n".join([*lines[: 4 + MOST_ROWS], *([f"\n{more} rows more in the artifacts"] if more > 0 else [])])
