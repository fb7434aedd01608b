"""One trial, as a worker process runs it: train and play, report on the way, stop when asked to."""

import functools
import importlib
import json
import logging
import math
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from daf.config.missions import mission_specs
from daf.config.schemas import DAFConfig
from daf.environment_checks import daf_check_environment
from daf.errors import DAFError, DAFTrainingDivergedError, Problem
from daf.records import EpisodeRecord
from daf.tasks import Task, find_task
from daf.tracking.provenance import flatten
from daf.tracking.redaction import Redactor
from daf.tracking.store import open_store
from daf.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from daf.bridge.trainer import EpochReport
    from daf.sweeps.scores import Scores


@dataclass(frozen=True, kw_only=True)
class TrialJob:
    """What a worker needs to know.

    Attributes:
        config: the trial's whole config; its seed is the first training seed, its output folder the trial's own.
        name: of the MLflow run.
        parent_run_id: the MLflow run that it is filed under.
        run_id: its own MLflow run, which whoever sends the job can then end in the place of a worker that died; None
            makes a new one.
        tags: of the MLflow run.
        training_seeds: one training each.
        weights: policies that were trained before, one for each training seed; None trains them.
        report_every: agent steps between two reports of the training reward; None reports nothing while training.
        report_episodes: whether every evaluation episode is reported, for a pruner that looks at those.
    """

    config: DAFConfig
    name: str
    parent_run_id: str | None
    run_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    training_seeds: tuple[int, ...]
    weights: tuple[str, ...] | None = None
    report_every: int | None = None
    report_episodes: bool = False


#: In a trial's folder, from the moment on at which it has ended and its MLflow run, too.
OUTCOME_FILE = "outcome.json"


@dataclass(frozen=True)
class CheckJob:
    """Asks a worker whether a config can run: it has torch and CoGames at hand, which take seconds to import."""

    config: DAFConfig


@dataclass(frozen=True)
class Intermediate:
    """A worker reports the objective on the way, at an agent step or after an episode."""

    step: int
    value: float


@dataclass(frozen=True, kw_only=True)
class TrialOutcome:
    """How a trial ended.

    Attributes:
        state: ``complete``, ``stopped`` (it was asked to) or ``diverged`` (it would diverge again).
        values: one for each metric; empty unless complete.
        scores: for each training seed what its policy scored in every episode.
        checkpoints: for each training seed where the policy lies.
        agent_steps: trained in this trial.
        error: what went wrong, where it diverged.
    """

    state: str
    run_id: str
    values: tuple[float, ...] = ()
    scores: "tuple[Scores, ...]" = ()
    checkpoints: tuple[str, ...] = ()
    agent_steps: int = 0
    seconds: float = 0.0
    error: str = ""

    def save(self, folder: Path) -> None:
        """Leaves it in the trial's folder, without the scores, so that it outlives whoever waits for it."""
        facts = asdict(replace(self, scores=(), error=Redactor().text(self.error)))
        partial = folder / f"{OUTCOME_FILE}.partial"
        partial.write_text(json.dumps(facts, indent=2) + "\n")
        partial.replace(folder / OUTCOME_FILE)

    @classmethod
    def load(cls, folder: Path) -> "TrialOutcome | None":
        """What `save` left there; None where the trial never came to an end."""
        try:
            facts: dict[str, Any] = json.loads((folder / OUTCOME_FILE).read_text())
        except FileNotFoundError:
            return None
        lists = {key: tuple(value) for key, value in facts.items() if isinstance(value, list)}
        return cls(**(facts | lists))


class Line(Protocol):
    """A trial's line to whoever decides about it."""

    def report(self, message: Any) -> None:
        """Sends a message."""

    def should_stop(self) -> bool:
        """Whether the trial was asked to stop."""


class _StoppedError(Exception):
    """The trial was asked to stop."""


@dataclass
class _Progress:
    """What is to be told even of a trial that stops halfway."""

    agent_steps: int = 0


def warm_up() -> None:
    """Imports, once in a worker's life, what training and playing need."""
    from daf.bridge.imports import contained
    from daf.episodes import worker

    warm_up_tracking()
    worker.warm_up()
    with contained():
        # torch's first optimizer imports _dynamo.
        for module in ("cogames.train", "daf.training.task", "daf.sweeps.scores", "torch._dynamo"):
            importlib.import_module(module)


def warm_up_tracking() -> None:
    """Imports what every trial needs, whatever its task."""
    importlib.import_module("mlflow.store.tracking.sqlalchemy_store")
    logging.getLogger().setLevel(logging.INFO)


def initializer(config: DAFConfig) -> str:
    """What a worker does before its first trial, for a `ProcessExecutor`."""
    plays = find_task(config.task).scored_by_sweeps
    return f"{__name__}:{'warm_up' if plays else 'warm_up_tracking'}"


def work(job: TrialJob | CheckJob, line: Line) -> TrialOutcome | list[Problem]:
    """What a worker does."""
    return list(daf_check_environment(job.config).errors) if isinstance(job, CheckJob) else run_trial(job, line)


def run_trial(job: TrialJob, line: Line) -> TrialOutcome:
    """Runs a trial in an MLflow run of its own.

    Raises:
        Exception: whatever went wrong; the MLflow run says FAILED and holds the traceback and the log.
    """
    client, experiment_id = _store(job.config.tracking.uri, job.config.tracking.experiment)
    output_dir = Path(job.config.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    started, progress = time.perf_counter(), _Progress()
    tracker = Tracker(client, experiment_id, job.name, output_dir, parent_run_id=job.parent_run_id, run_id=job.run_id)
    try:
        with tracker, _logged(tracker):
            _log_request(job, tracker)
            outcome = _run(job, line, tracker, progress)
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


def _log_request(job: TrialJob, tracker: Tracker) -> None:
    """The trial's config. Where code, packages and machine come from stands in the parent run."""
    data = Redactor().tree(job.config.model_dump(mode="json", exclude={"sweep"}))
    tracker.log_params(dict(flatten(data)))
    tracker.log_text(yaml.safe_dump(data, sort_keys=False), "config.yaml")
    tracker.set_tags({**job.tags, "daf.task": job.config.task.name, "daf.output_dir": str(tracker.output_dir)})


def _run(job: TrialJob, line: Line, tracker: Tracker, progress: _Progress) -> TrialOutcome:
    try:
        parts = [_run_seed(job, index, line, tracker, progress) for index in range(len(job.training_seeds))]
    except _StoppedError:
        tracker.set_tags({"daf.trial.state": "PRUNED"})
        return TrialOutcome(state="stopped", run_id=tracker.run_id)
    values = tuple(fmean(part.values[metric] for part in parts) for metric in range(len(parts[0].values)))
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


def _not_finite(config: DAFConfig, values: tuple[float, ...]) -> str:
    pairs = ", ".join(f"{metric} is {value}" for metric, value in zip(config.objective.metric, values, strict=True))
    hint = (
        " No episode ended while it trained: give it more training.num_steps." if "train/reward is nan" in pairs else ""
    )
    return f"The objective is no number: {pairs}.{hint}"


def _metric_names(config: DAFConfig) -> list[str]:
    from daf.tracking.tracker import metric_name

    metrics = config.objective.metric
    return ["objective"] if len(metrics) == 1 else [metric_name("objective", metric) for metric in metrics]


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What one training seed gave."""

    values: tuple[float, ...]
    scores: "Scores" = field(default_factory=dict)
    checkpoint: str = ""


def _run_seed(job: TrialJob, index: int, line: Line, tracker: Tracker, progress: _Progress) -> _Part:
    """One training and its evaluation; where there are several, each in a run of its own below the trial's."""
    config = job.config.model_copy(update={"seed": job.training_seeds[index]})
    if len(job.training_seeds) == 1:
        return _train_and_play(job, config, index, line, tracker, progress)
    own = tracker.output_dir / f"seed-{config.seed}"
    own.mkdir(exist_ok=True)
    name = f"seed={config.seed}"
    with Tracker(tracker.client, tracker.experiment_id, name, own, parent_run_id=tracker.run_id) as inner:
        try:
            return _train_and_play(
                job, config.model_copy(update={"output_dir": str(own)}), index, line, inner, progress
            )
        except _StoppedError as error:
            inner.set_tags({"daf.trial.state": "PRUNED"})
            stopped = error
    raise stopped


def _train_and_play(
    job: TrialJob, config: DAFConfig, index: int, line: Line, tracker: Tracker, progress: _Progress
) -> _Part:
    task = find_task(config.task)
    if not task.scored_by_sweeps:
        return _run_task(task, config, tracker)
    extra: dict[str, float] = {}
    weights = job.weights[index] if job.weights else config.policy.weights
    if task.trains(config) and job.weights is None:
        weights, extra = _train(job, config, index, line, tracker, progress)
    policy = config.policy.model_copy(update={"weights": weights})
    scores = _play(job, config.model_copy(update={"policy": policy}), index, line, tracker, extra)
    missions = sorted({mission for mission, _ in scores})
    values = tuple(
        fmean(fmean(own[metric] for (mission, _), own in scores.items() if mission == each) for each in missions)
        for metric in range(len(config.objective.metric))
    )
    return _Part(values=values, scores=scores, checkpoint=weights or "")


def _run_task(task: Task, config: DAFConfig, tracker: Tracker) -> _Part:
    """Any other task: what it calls its objective is the trial's."""
    objective = task.run(config, tracker).objective
    values = objective if isinstance(objective, tuple) else (objective,)
    if len(values) != len(config.objective.metric) or any(value is None for value in values):
        raise DAFError(f"task {config.task.name} gave the objective {objective!r}, not one for each objective.metric")
    return _Part(values=tuple(float(value) for value in values if value is not None))


def _train(
    job: TrialJob, config: DAFConfig, index: int, line: Line, tracker: Tracker, progress: _Progress
) -> tuple[str, dict[str, float]]:
    from daf.training.task import daf_train

    reporter = _Reporter(config.objective.metric[0], job.report_every, index * config.training.num_steps, line)
    before, started = progress.agent_steps, time.perf_counter()

    def on_epoch(report: "EpochReport") -> None:
        progress.agent_steps = before + report.agent_steps
        reporter.after_epoch(report)

    result = daf_train(config, tracker, on_epoch=on_epoch)
    return str(result.checkpoint_dir), {
        "train/reward": float("nan") if result.objective is None else float(result.objective),  # type: ignore[arg-type]
        "train/agent_steps": float(progress.agent_steps - before),
        "train/seconds": time.perf_counter() - started,
    }


class _Reporter:
    """Reports the objective's mean over training episodes after every so many agent steps; stops when asked to.

    The value over replacement is not known before the evaluation: the training reward stands for it.
    """

    def __init__(self, metric: str, every: int | None, offset: int, line: Line) -> None:
        self._stat = f"environment/{metric}" if metric.startswith(("game/", "agent/")) else "reward"
        self._every = every
        self._offset = offset
        self._line = line
        self._reported = offset
        self._values: list[float] = []

    def after_epoch(self, report: "EpochReport") -> None:
        if report.reward is not None:
            # A stat that is absent although an episode ended is 0, as in `EpisodeRecord.value`.
            self._values.append(report.metrics.get(self._stat, 0.0))
        if self._every:
            step = (self._offset + report.agent_steps) // self._every * self._every
            if step > self._reported and self._values:
                self._line.report(Intermediate(step, fmean(self._values)))
                self._reported, self._values = step, []
        _stop_if_asked(self._line)


def _play(
    job: TrialJob, config: DAFConfig, index: int, line: Line, tracker: Tracker, training: Mapping[str, float]
) -> "Scores":
    """Plays and scores the held-out episodes; each is reported where the pruner looks at episodes."""
    from daf.sweeps.scores import play_and_score

    missions = [mission.name for mission in mission_specs(config)]

    def on_solo(record: EpisodeRecord) -> None:
        if job.report_episodes:
            block = index * len(missions) + missions.index(record.mission_name)
            step = block * config.evaluation.episodes + record.seed - config.evaluation.seed
            line.report(Intermediate(step, record.value(config.objective.metric[0])))
        _stop_if_asked(line)

    return play_and_score(config, tracker, training, on_solo=on_solo, on_mixed=lambda record: _stop_if_asked(line))


def _stop_if_asked(line: Line) -> None:
    if line.should_stop():
        raise _StoppedError


def seeds_from(first: int, count: int) -> tuple[int, ...]:
    """So many seeds in a row."""
    return tuple(range(first, first + count))
