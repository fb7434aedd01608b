"""`task=report`: the report of a run, built again from what MLflow has of it, wherever it ran."""

from datetime import datetime
from itertools import starmap

from daf.config.schemas import DAFConfig
from daf.results import TaskResult
from daf.runs.differences import COMMIT, DIRTY
from daf.runs.find import TASK_TAG, named_run, run_problems
from daf.runs.logged import Logged
from daf.runs.page import write_page
from daf.runs.rebuilt import rebuild
from daf.tasks import Task
from daf.tracking.tracker import Tracker
from daf.visualization.text import NO_VALUE


def daf_report(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Builds the tables, pictures and the HTML report of the run that `run` names once more.

    They are computed from the episodes that are logged, by what computed them at first, so that they are the same
    where the code is the same. The run's output folder, its policies and its machine are not needed.

    Raises:
        DAFConfigError: there is no such run.
        DAFError: too little was logged of it; it says what is missing.
    """
    logged = Logged(*named_run(config))
    rebuilt = rebuild(logged, tracker)
    page = rebuilt.page
    if page is None:
        title = f"{logged.run.info.run_name}"
        path = tracker.output_dir / "report.html"
        page = write_page(path, title, _setup(logged), rebuilt.tables, rebuilt.notes, rebuilt.pictures)
    return TaskResult(
        objective=None,
        tables=rebuilt.tables,
        notes=(*rebuilt.notes, f"Report: {page}"),
        facts={"run_id": logged.run_id},
        files={"report": page, **{path.stem: path for path in rebuilt.pictures}},
    )


def _setup(logged: Logged) -> list[tuple[str, str]]:
    """What a run was, for who reads of it elsewhere."""
    info, tags, config = logged.run.info, logged.run.data.tags, logged.config
    dirty = ", with uncommitted changes" if tags.get(DIRTY) == "true" else ""
    mission = config["mission"]
    size = "".join(starmap(", {}={}".format, ((key, mission[key]) for key in ("cogs", "max_steps") if mission[key])))
    versions = [f"{name} {tags[key]}" for name in ("daf", "cogames") if (key := f"version.{name}") in tags]
    return [
        ("MLflow run", f"{logged.run_id}, {info.status}"),
        ("task", tags.get(TASK_TAG, NO_VALUE)),
        ("started", f"{datetime.fromtimestamp(info.start_time / 1000).astimezone():%Y-%m-%d %H:%M:%S %z}"),
        ("command", logged.command()),
        ("mission", f"{mission['name']}{size}"),
        ("seeds", f"training {config['seed']}, evaluation from {config['evaluation']['seed']}"),
        ("commit", tags.get(COMMIT, NO_VALUE) + dirty),
        ("versions", ", ".join(versions) or NO_VALUE),
    ]


REPORT = Task(
    name="report",
    run=daf_report,
    policies=lambda _: (),
    named_after=lambda _: (),
    missions=lambda _: (),
    problems=run_problems,
    gives=frozenset({"report"}),
    tracked=False,
)
