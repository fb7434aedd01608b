"""What makes a trial's job: the sweep as it was asked for."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from daf.config.schemas import DAFConfig
from daf.redaction import redactor
from daf.sweeps.jobs import TrialJob, seeds_from
from daf.sweeps.mlflow_runs import with_run
from daf.sweeps.seeds import StudySeeds
from daf.sweeps.space import Assignments, Compose, Space, trial_name
from daf.sweeps.strategies import report_every
from daf.sweeps.study import RunningTrial
from daf.tracking.names import KIND
from daf.tracking.tracker import Tracker


@dataclass(frozen=True)
class SweepRequest:
    """A sweep as it was asked for, and where this run of it keeps its files and its MLflow runs.

    Attributes:
        config: the base config.
        output_dir: of this run of the sweep; every trial has a folder of its own below it.
        tracker: of the sweep's MLflow run.
        seeds: of the study.
    """

    config: DAFConfig
    space: Space
    compose: Compose
    output_dir: Path
    tracker: Tracker
    seeds: StudySeeds

    def sample(self, trial: RunningTrial) -> tuple[Assignments, DAFConfig]:
        """Samples what a trial varies, and notes it and the config that it makes.

        Raises:
            DAFConfigError: what was sampled makes no valid config.
            ValueError: a transform has no value.
        """
        assignments = trial.suggest(self.space, self.compose)
        trial.record(assignments=redactor().tree(assignments))
        config = self.compose(assignments)
        trial.record(config=redactor().tree(config.model_dump(mode="json", exclude={"sweep"})))
        return assignments, config

    def job(self, trial: RunningTrial, assignments: Assignments, config: DAFConfig, attempt: int) -> TrialJob:
        """The job of a trial that `sample` was asked for, with a folder and an MLflow run."""
        folder = _new_folder(self.output_dir, str(trial.number))
        # Reports must fall on the same steps in all trials, whatever they vary.
        sweep = self.config.sweep.model_copy(update={"report_every": report_every(self.config)})
        config = config.model_copy(update={"output_dir": str(folder), "sweep": sweep})
        trial.record(output_dir=str(folder))
        tags = {KIND: "trial", "daf.trial.number": str(trial.number), "daf.trial.attempt": str(attempt)}
        job = replace(
            trial_job(self.seeds.of_trial(config), trial.number, trial.facts.assignments, self.tracker.run_id),
            name=trial_name(assignments),
            tags=tags,
        )
        job = with_run(job, self.tracker)
        trial.record(run_id=job.run_id)
        return job


def trial_job(config: DAFConfig, number: int, assignments: Mapping[str, Any], parent_run_id: str | None) -> TrialJob:
    """The job of a trial whose config is known."""
    sweep = config.sweep
    single = len(config.objective.metric) == 1
    return TrialJob(
        config=config,
        trial=number,
        assignments=assignments,
        name=trial_name(assignments),
        parent_run_id=parent_run_id,
        training_seeds=seeds_from(config.seed, sweep.seeds_per_trial),
        report_every=report_every(config) if single and sweep.pruner != "wilcoxon" else None,
        report_episodes=single and sweep.pruner == "wilcoxon",
    )


def _new_folder(parent: Path, name: str) -> Path:
    """A folder that is not there yet: a trial that is run again leaves the files of its first run alone."""
    names = itertools.chain([name], (f"{name}-{count}" for count in itertools.count(2)))
    return next(parent / free for free in names if not (parent / free).exists())
