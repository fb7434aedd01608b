"""What MLflow did not take of earlier runs is delivered: `task=deliver`."""

from pathlib import Path

from daf.config.schemas import DAFConfig
from daf.errors import DAFError
from daf.results import ResultTable, TaskResult
from daf.tasks import Task
from daf.tracking.begin import find_files, tell
from daf.tracking.tracker import Tracker
from daf.tracking.undelivered import deliver_files


def daf_deliver(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Delivers the entries in every ``undelivered.jsonl`` below `tracking.undelivered`, and says what was delivered.

    What is noted for the store was delivered when the run began, as it is with any task. Files that are whole with
    MLflow are removed; what is left in others is told line by line.

    Raises:
        DAFError: something is left.
    """
    found = deliver_files(tracker.client, find_files(Path(config.tracking.undelivered)))
    tell(found)
    done = [*tracker.delivered, *found]
    rows = tuple((str(each.path), str(each.count), " ".join(each.run_ids), str(len(each.problems))) for each in done)
    table = ResultTable(title="Delivered", columns=("file", "entries", "MLflow runs", "problems"), rows=rows)
    if problems := [problem for each in done for problem in each.problems]:
        tracker.log_text(table.to_csv(), "tables/delivered.csv")
        raise DAFError("\n".join(["not everything was delivered:", *(f"  - {problem}" for problem in problems)]))
    count = sum(each.count for each in done)
    return TaskResult(
        objective=None,
        tables=(table,) if rows else (),
        notes=(f"{count} entries were delivered.",),
        metrics={"delivered": count},
    )


deliver = Task(
    name="deliver",
    run=daf_deliver,
    policies=lambda _: (),
    named_after=lambda _: (),
    missions=lambda _: (),
)
