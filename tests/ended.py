"""Tasks that end in every way that there is, at once and without policies."""

import math
import os

from daf.config import DAFConfig
from daf.errors import DAFConfigError, DAFError, DAFInterruptedError, Problem
from daf.results import ResultTable, TaskResult
from daf.tasks import Task
from daf.tracking.tracker import Tracker

TABLE = ResultTable("Found", ("policy", "reward"), (("a", "1.0"),))


def _ends(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Ends as `evaluation.episodes` says, for want of a key of its own."""
    tracker.log_metrics({"found/reward": 0.5})
    tracker.log_metrics({"found/step": 1.0}, step=7)
    how = WAYS[config.evaluation.episodes]
    if how == "prints":
        print("from Python", flush=True)
        os.write(1, b"from C\n")
        os.system("echo from a child")
    if how == "fails":
        raise DAFError("it did not work")
    if how == "breaks":
        raise ValueError("broken")
    if how == "interrupted":
        raise DAFInterruptedError("Interrupted after 3 steps.")
    if how == "wrong":
        raise DAFConfigError([Problem("mission.cogs", "are too many.", "At most 3.")])
    return TaskResult(
        objective=math.inf if how == "infinite" else 1.5,
        tables=(TABLE,),
        notes=("noted",),
        failed=2 if how == "incomplete" else 0,
        refused="the champion stays" if how == "refuses" else None,
        metrics={"found/ratio": math.nan if how == "infinite" else 2.0},
        facts={"winner": "a", "password": "hunter2hunter2"},
        files={"report": tracker.output_dir / "report.html"},
        next="python -m daf.run task=compare",
    )


WAYS = dict(
    enumerate(("ok", "prints", "fails", "breaks", "interrupted", "wrong", "infinite", "incomplete", "refuses"), start=1)
)
ends = Task(name="ends", run=_ends, policies=lambda _: (), named_after=lambda _: (), missions=lambda _: ())


def asked(how: str, *more: str) -> list[str]:
    """The overrides of a run that ends so."""
    number = next(number for number, way in WAYS.items() if way == how)
    return ["task.name=ends", "task.function=tests.ended.ends", f"evaluation.episodes={number}", *more]
