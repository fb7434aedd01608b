"""One training seed of a trial: train and play, report on the way, stop when asked to."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

from daf.config.missions import mission_specs
from daf.config.schemas import DAFConfig
from daf.errors import DAFError
from daf.execution.executor import JobContext
from daf.records import EpisodeRecord
from daf.sweeps.jobs import ALIVE, Intermediate, Scores, TrialJob
from daf.tasks import Task, find_task, run_task
from daf.tracking.tracker import Tracker
from daf.training import daf_train

if TYPE_CHECKING:
    from daf.records import EpochReport


class TrialStoppedError(Exception):
    """The trial was asked to stop."""


@dataclass
class Progress:
    """What is to be recorded even of a trial that stops halfway."""

    agent_steps: int = 0


@dataclass(frozen=True, kw_only=True)
class SeedRun:
    """What one training seed's part of a trial works with.

    Attributes:
        job: the trial's.
        index: of the seed among the job's.
        config: the trial's with this seed, and with the output folder of this part.
        tracker: of the trial's run, or of the seed's own.
        progress: of the whole trial.
    """

    job: TrialJob
    index: int
    config: DAFConfig
    context: JobContext
    tracker: Tracker
    progress: Progress

    def stop_if_asked(self) -> None:
        """Raises `TrialStoppedError` if the trial was asked to stop."""
        if self.context.should_stop():
            raise TrialStoppedError


@dataclass(frozen=True, kw_only=True)
class SeedScore:
    """What one training seed gave: a value for each metric, the episodes' scores and the policy's folder."""

    values: tuple[float, ...]
    scores: Scores = field(default_factory=dict)
    checkpoint: str = ""


def run_seed(run: SeedRun) -> SeedScore:
    """Trains and scores a policy, or runs a task that gives its objective itself.

    Raises:
        TrialStoppedError: the trial was asked to stop.
    """
    task = find_task(run.config.task)
    if not task.scored_by_sweeps:
        return _run_task(task, run)
    training: dict[str, float] = {}
    weights = run.job.weights[run.index] if run.job.weights else run.config.policy.weights
    if task.trains(run.config) and run.job.weights is None:
        weights, training = _train(run)
    scores = _play(run, weights, training)
    missions = sorted({mission for mission, _ in scores})
    values = tuple(
        fmean(fmean(score[metric] for (mission, _), score in scores.items() if mission == each) for each in missions)
        for metric in range(len(run.config.objective.metric))
    )
    return SeedScore(values=values, scores=scores, checkpoint=weights or "")


def _run_task(task: Task, run: SeedRun) -> SeedScore:
    """Any other task: what it calls its objective is the trial's."""
    objective = run_task(task, run.config, run.tracker).objective
    values = objective if isinstance(objective, tuple) else (objective,)
    given = tuple(float(value) for value in values if value is not None)
    if len(given) != len(values) or len(values) != len(run.config.objective.metric):
        raise DAFError(f"task {task.name} gave the objective {objective!r}, not one for each objective.metric")
    return SeedScore(values=given)


def _train(run: SeedRun) -> tuple[str, dict[str, float]]:
    """Trains; returns where the policy lies, and what training took and earned (``train/...``)."""
    reporter = _Reporter(run)
    before, started = run.progress.agent_steps, time.perf_counter()

    def on_epoch(report: "EpochReport") -> None:
        run.progress.agent_steps = before + report.agent_steps
        reporter.after_epoch(report)

    result = daf_train(run.config, run.tracker, on_epoch=on_epoch, pictures=False)
    return str(result.checkpoint_dir), {
        "train/reward": float("nan") if result.objective is None else float(result.objective),  # type: ignore[arg-type]
        "train/agent_steps": float(run.progress.agent_steps - before),
        "train/seconds": time.perf_counter() - started,
    }


class _Reporter:
    """Reports the objective's mean over training episodes after every so many agent steps; stops when asked to.

    The value over replacement is not known before the evaluation: the training reward stands for it.
    """

    def __init__(self, run: SeedRun) -> None:
        metric = run.config.objective.metric[0]
        self._stat = f"environment/{metric}" if metric.startswith(("game/", "agent/")) else "reward"
        self._run = run
        self._offset = self._reported = run.index * run.config.training.num_steps
        self._values: list[float] = []

    def after_epoch(self, report: "EpochReport") -> None:
        if report.reward is not None:
            # A stat that is absent although an episode ended is 0, as in `EpisodeRecord.value`.
            self._values.append(report.metrics.get(self._stat, 0.0))
        self._run.context.report(ALIVE)
        if every := self._run.job.report_every:
            step = (self._offset + report.agent_steps) // every * every
            if step > self._reported and self._values:
                self._run.context.report(Intermediate(step, fmean(self._values)))
                self._reported, self._values = step, []
        self._run.stop_if_asked()


def _play(run: SeedRun, weights: str | None, training: Mapping[str, float]) -> Scores:
    """Plays and scores the held-out episodes; each is reported where the pruner looks at episodes."""
    from daf.sweeps.play_and_score import play_and_score

    policy = run.config.policy.model_copy(update={"weights": weights})
    config = run.config.model_copy(update={"policy": policy})
    missions = [mission.name for mission in mission_specs(config)]

    def on_solo(record: EpisodeRecord) -> None:
        if run.job.report_episodes:
            block = run.index * len(missions) + missions.index(record.mission_name)
            step = block * config.evaluation.episodes + record.seed - config.evaluation.seed
            run.context.report(Intermediate(step, record.value(config.objective.metric[0])))
        run.context.report(ALIVE)
        run.stop_if_asked()

    def on_mixed(_: EpisodeRecord) -> None:
        run.context.report(ALIVE)
        run.stop_if_asked()

    return play_and_score(config, run.tracker, training, on_solo=on_solo, on_mixed=on_mixed)
