"""A trial inside a job of a Hydra launcher, wherever that runs; the study's storage is its way to the sweep."""

from dataclasses import replace
from typing import Any

from daf.config.schemas import DAFConfig
from daf.sweeps.jobs import Intermediate, TrialOutcome
from daf.sweeps.request import trial_job
from daf.sweeps.run_trial import run_trial
from daf.sweeps.strategies import make_pruner
from daf.sweeps.study import RunningTrial, load_stored


def run_launched(config: DAFConfig) -> TrialOutcome:
    """Runs the trial that `sweep.trial` names.

    Raises:
        DAFError: the study does not know the trial.
    """
    assert config.sweep.trial is not None, "the caller looked"
    stored = load_stored(config)
    stored.study.pruner = make_pruner(config)
    trial = stored.running_trial(config.sweep.trial)
    parent = stored.facts.parent_run_id
    job = trial_job(config, trial.number, trial.facts.assignments, parent)
    return run_trial(replace(job, run_id=trial.facts.run_id), _StorageContext(trial))


class _StorageContext:
    """A `JobContext` through the study's storage; the pruner decides right here."""

    def __init__(self, trial: RunningTrial) -> None:
        self._trial = trial
        self._stop = False

    def report(self, message: Any) -> None:
        """Stores an intermediate value."""
        if isinstance(message, Intermediate):
            self._stop = self._trial.report(message.step, message.value)

    def should_stop(self) -> bool:
        """Whether the pruner said so, or somebody asked for it."""
        return self._stop or self._trial.stop_asked
