"""The plots of a finished sweep, drawn in a worker: one that takes too long is left out, and ends no sweep."""

import logging
from collections.abc import Sequence
from pathlib import Path

from daf.config.schemas import DAFConfig
from daf.execution.executor import Executor, JobContext, JobDone, JobFailed, JobMessage
from daf.sweeps.jobs import PlotJob
from daf.sweeps.mlflow_runs import last_line
from daf.sweeps.plots import sweep_plots
from daf.sweeps.study import load_stored

log = logging.getLogger(__name__)

#: Seconds that one plot may take: importances of many categories would take hours.
LONGEST_PLOT_S = 60.0


def draw_in_worker(pool: Executor, config: DAFConfig, folder: Path, limit_s: float = LONGEST_PLOT_S) -> Sequence[Path]:
    """Draws what there is to draw about the study of a config.

    Returns:
        The files.
    """
    drawn: list[Path] = []
    begun: list[str] = []
    while True:
        before = len(begun)
        job_id = pool.submit(PlotJob(config=config, folder=folder, skip=frozenset(begun)), time_limit_s=limit_s)
        for event in pool.events():
            if isinstance(event, JobMessage) and event.job_id == job_id:
                (drawn if isinstance(event.message, Path) else begun).append(event.message)
            elif isinstance(event, JobDone) and event.job_id == job_id:
                return drawn
            elif isinstance(event, JobFailed) and event.job_id == job_id:
                why = last_line(event.traceback) if event.reason == "error" else event.traceback.partition("\n")[0]
                what = f"plot {begun[-1]} was" if len(begun) > before else "plots were"
                log.warning("The %s left out: %s", what, why)
        if len(begun) == before:
            return drawn


def draw(job: PlotJob, context: JobContext) -> None:
    """What a worker does: says what it begins to draw, and where the file is."""
    import matplotlib.figure  # noqa: F401 - where it is broken, the job fails with the reason, before the first plot

    study = load_stored(job.config)
    for name, plot in sweep_plots(study, job.folder, job.config).items():
        if name not in job.skip:
            context.report(name)
            if path := plot():
                context.report(path)
