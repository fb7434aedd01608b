"""One trial in an MLflow run of its own: every training seed's part, the objective, and what went wrong."""

import functools
import logging
import math
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import yaml

from daf.config.schemas import DAFConfig
from daf.errors import DAFTrainingDivergedError
from daf.execution.executor import JobContext
from daf.redaction import redactor
from daf.sweeps.jobs import TrialJob, TrialOutcome
from daf.sweeps.run_seed import Progress, SeedRun, SeedScore, TrialStoppedError, run_seed
from daf.tracking.names import KIND
from daf.tracking.provenance import flatten
from daf.tracking.store import open_store
from daf.tracking.tracker import Tracker, metric_name

if TYPE_CHECKING:
    from mlflow import MlflowClient


def run_trial(job: TrialJob, context: JobContext) -> TrialOutcome:
    """Runs a trial in an MLflow run of its own.

    Raises:
        Exception: whatever went wrong; the MLflow run says FAILED and holds the traceback and the log.
    """
    client, experiment_id = _store(job.config.tracking.uri, job.config.tracking.experiment)
    output_dir = Path(job.config.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    started, progress = time.perf_counter(), Progress()
    tracker = Tracker(client, experiment_id, job.name, output_dir, parent_run_id=job.parent_run_id, run_id=job.run_id)
    try:
        with tracker, _logged(tracker):
            _log_job(job, tracker)
            outcome = _run_seeds(job, context, tracker, progress)
    except DAFTrainingDivergedError:
        outcome = TrialOutcome(state="diverged", run_id=tracker.run_id, error=traceback.format_exc())
    outcome = replace(outcome, agent_steps=progress.agent_steps, seconds=time.perf_counter() - started)
    outcome.save(output_dir)
    return outcome


@functools.lru_cache(maxsize=4)
def _store(uri: str | None, experiment: str) -> tuple["MlflowClient", str]:
    return open_store(uri, experiment)


@contextmanager
def _logged(tracker: Tracker) -> Iterator[None]:
    """Keeps the trial's log, and the traceback of what ends it, with its run."""
    path = tracker.output_dir / "trial.log"
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("[%(asctime)s][%(name)s][%(levelname)s] %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    except Exception:
        tracker.log_text(traceback.format_exc(), "traceback.txt")
        tracker.set_tags({"daf.trial.state": "FAILED"})
        raise
    finally:
        root.removeHandler(handler)
        handler.close()
        tracker.log_file(path)


def _log_job(job: TrialJob, tracker: Tracker) -> None:
    """The trial's config. Where code, packages and machine come from stands in the parent run."""
    data = redactor().tree(job.config.model_dump(mode="json", exclude={"sweep"}))
    tracker.log_params(dict(flatten(data)))
    tracker.log_text(yaml.safe_dump(data, sort_keys=False), "config.yaml")
    tracker.set_tags({**job.tags, "daf.task": job.config.task.name, "daf.output_dir": str(tracker.output_dir)})


def _run_seeds(job: TrialJob, context: JobContext, tracker: Tracker, progress: Progress) -> TrialOutcome:
    """Every training seed in turn; the trial's values are the means of theirs."""
    try:
        parts = [_run_seed(job, index, context, tracker, progress) for index in range(len(job.training_seeds))]
    except TrialStoppedError:
        tracker.set_tags({"daf.trial.state": "PRUNED"})
        return TrialOutcome(state="stopped", run_id=tracker.run_id)
    values = tuple(fmean(of_metric) for of_metric in zip(*(part.values for part in parts), strict=True))
    if not all(map(math.isfinite, values)):
        raise DAFTrainingDivergedError(_not_finite(job.config, values))
    tracker.log_metrics(dict(zip(_metric_names(job.config), values, strict=False)))
    tracker.set_tags({"daf.trial.state": "COMPLETE"})
    return TrialOutcome(
        state="complete",
        run_id=tracker.run_id,
        values=values,
        scores=tuple(part.scores for part in parts),
        checkpoints=tuple(part.checkpoint for part in parts if part.checkpoint),
    )


def _run_seed(job: TrialJob, index: int, context: JobContext, tracker: Tracker, progress: Progress) -> SeedScore:
    """One training and its evaluation; where there are several, each in a run of its own below the trial's."""
    config = job.config.model_copy(update={"seed": job.training_seeds[index]})
    run = SeedRun(job=job, index=index, config=config, context=context, tracker=tracker, progress=progress)
    if len(job.training_seeds) == 1:
        return run_seed(run)
    folder = tracker.output_dir / f"seed-{config.seed}"
    folder.mkdir(exist_ok=True)
    name = f"seed={config.seed}"
    with Tracker(tracker.client, tracker.experiment_id, name, folder, parent_run_id=tracker.run_id) as inner:
        inner.set_tags({KIND: "training"})
        try:
            config = config.model_copy(update={"output_dir": str(folder)})
            return run_seed(replace(run, config=config, tracker=inner))
        except TrialStoppedError as error:
            inner.set_tags({"daf.trial.state": "PRUNED"})
            stopped = error
    # Outside the block, which would call the seed's run failed.
    raise stopped


def _not_finite(config: DAFConfig, values: tuple[float, ...]) -> str:
    pairs = ", ".join(f"{metric} is {value}" for metric, value in zip(config.objective.metric, values, strict=True))
    hint = (
        " No episode ended while it trained: give it more training.num_steps." if "train/reward is nan" in pairs else ""
    )
    return f"The objective is no number: {pairs}.{hint}"


def _metric_names(config: DAFConfig) -> list[str]:
    metrics = config.objective.metric
    return ["objective"] if len(metrics) == 1 else [metric_name("objective", metric) for metric in metrics]
