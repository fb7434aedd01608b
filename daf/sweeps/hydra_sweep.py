"""The Hydra side: from the arguments of `-m` to a sweep, and its trials through Hydra's launchers."""

import itertools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobStatus
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from pydantic import ValidationError

from daf.config.explain import explain_validation
from daf.config.override_syntax import override_text, split_overrides
from daf.config.schemas import DAFConfig, DAFParameterConfig
from daf.errors import DAFConfigError, DAFError, Problem
from daf.sweeps.bookkeeping import Request, Trials, end_run
from daf.sweeps.checks import MOST_PROBES
from daf.sweeps.composition import compose_overrides
from daf.sweeps.launch import SweepResult, daf_launch_sweep
from daf.sweeps.space import Compose, Parameter, trial_name
from daf.sweeps.strategies import make_pruner, report_every
from daf.sweeps.study import StoredStudy, default_storage, report
from daf.sweeps.trial import Intermediate
from daf.tasks import print_result

if TYPE_CHECKING:
    import optuna

    from daf.sweeps.trial import TrialOutcome

log = logging.getLogger(__name__)

BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


def sweep(
    hydra_context: HydraContext, task_function: TaskFunction, hydra_config: DictConfig, arguments: Sequence[str]
) -> SweepResult:
    """Runs what the command line describes and tells the result.

    Raises:
        DAFConfigError: the request is wrong; nothing was started.
    """
    fixed, swept = split_overrides(arguments, hydra_context.config_loader)
    config_dir, extra = _config_folders(hydra_config)
    # Composed anew for every trial, so that an output folder named after the time must be fixed once.
    fixed = [*extra, *fixed]
    name = hydra_config.hydra.job.config_name
    compose = compose_overrides(fixed, config_dir, name)
    try:
        base = with_space(compose({}), swept)
    except DAFConfigError as error:
        raise DAFConfigError(_all_problems(error.problems, swept, compose)) from error
    base = base.model_copy(update={"output_dir": str(Path(hydra_config.hydra.sweep.dir).absolute())})
    launcher = None
    if hydra_config.hydra.launcher._target_ != BASIC_LAUNCHER:
        launcher = _Launched(hydra_context, task_function, hydra_config, fixed)
    result = daf_launch_sweep(base, compose=compose, overrides=arguments, run_trials=launcher)
    print_result(result, result.output_dir, result.run_id, base.tracking.uri)
    return result


def _all_problems(found: list[Problem], swept: dict[str, Any], compose: Compose) -> list[Problem]:
    """The base config's problems and those that the swept values add to them."""
    problems = list(found)
    for key, value in swept.items():
        try:
            probes = Parameter(key, DAFParameterConfig.model_validate(value)).probes()
        except ValidationError:
            continue  # told with the space, once the base is right
        for probe in probes[:MOST_PROBES]:
            try:
                compose({key: probe})
            except DAFConfigError as error:
                problems += [problem for problem in error.problems if problem not in problems]
    return problems


def with_space(config: DAFConfig, swept: dict[str, Any]) -> DAFConfig:
    """The config with keys of the command line added to `sweep.space`.

    Raises:
        DAFConfigError: a range is none.
    """
    try:
        added = {key: DAFParameterConfig.model_validate(value) for key, value in swept.items()}
    except ValidationError as error:
        raise DAFConfigError(explain_validation(error)) from error
    swept_paths = {key.lstrip("+") for key in added}
    kept = {key: own for key, own in config.sweep.space.items() if key.lstrip("+") not in swept_paths}
    sweep_config = config.sweep.model_copy(update={"space": {**kept, **added}})
    return config.model_copy(update={"sweep": sweep_config})


def _config_folders(hydra_config: DictConfig) -> tuple[Path, list[str]]:
    """The primary config's folder, and the override that adds the one of `--config-dir`."""
    sources = {source.provider: source.path for source in hydra_config.hydra.runtime.config_sources}
    extra = [f"hydra.searchpath=[file://{sources['command-line']}]"] if "command-line" in sources else []
    return Path(sources["main"]), extra


class _Launched:
    """Hands the trials to a Hydra launcher, `sweep.n_jobs` at a time."""

    def __init__(
        self,
        hydra_context: HydraContext,
        task_function: TaskFunction,
        hydra_config: DictConfig,
        fixed: Sequence[str],
    ) -> None:
        from hydra.core.plugins import Plugins

        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=hydra_config
        )
        self._fixed = [override for override in fixed if not override.startswith("hydra.")]
        self._launched = 0

    def __call__(self, stored: StoredStudy, request: Request) -> None:
        """Launches batches until there are enough trials; those that fail are tried again in a batch of their own."""
        trials = Trials(stored, request, log.info)
        sweep_config = request.config.sweep
        while batch := list(itertools.islice(iter(trials.next, None), sweep_config.n_jobs)):
            for attempt in range(sweep_config.max_retries + 1):
                batch = self._launch(batch, trials, stored, request, attempt)

    def _launch(
        self, batch: "Sequence[optuna.Trial]", trials: Trials, stored: StoredStudy, request: Request, attempt: int
    ) -> "list[optuna.Trial]":
        """Runs a batch; returns the trials that failed and are to be tried again."""
        ready = [trial for trial in batch if trials.job(trial, attempt)]
        again = []
        for trial, outcome in zip(ready, self._outcomes(ready, stored, request), strict=True):
            if isinstance(outcome, str) and (unheard := trials.untold_outcome(trial)):
                outcome = unheard
            if not isinstance(outcome, str):
                trials.finish(trial, outcome)
                continue
            end_run(request.tracker, trial.user_attrs["run_id"], "FAILED", outcome)
            if attempt < request.config.sweep.max_retries:
                again.append(trial)
            else:
                trials.fail(trial, outcome)
        stored.tell_alive()
        return again

    def _outcomes(
        self, ready: "Sequence[optuna.Trial]", stored: StoredStudy, request: Request
    ) -> "Sequence[TrialOutcome | str]":
        """Launches trials; returns how each ended, or what went wrong with it."""
        if not ready:
            return []
        jobs = [self._overrides(trial, stored, request) for trial in ready]
        first, self._launched = self._launched, self._launched + len(jobs)
        try:
            returns = self._launcher.launch(jobs, initial_job_idx=first)
        except KeyboardInterrupt:
            for trial in ready:
                end_run(request.tracker, trial.user_attrs["run_id"], "KILLED")
            raise
        except Exception as error:  # a job that dies takes the launcher's others with it
            return [f"{type(error).__name__}: {error}"] * len(jobs)
        return [
            own.return_value
            if own.status is JobStatus.COMPLETED
            else f"{type(own._return_value).__name__}: {own._return_value}"
            for own in returns
        ]

    def _overrides(self, trial: "optuna.Trial", stored: StoredStudy, request: Request) -> list[str]:
        """What tells a job of Hydra's which trial it is."""
        attrs = trial.user_attrs
        # A storage of the user's own stands in the config already, and may hold a password that must not be told.
        journal = str(default_storage(request.config).absolute())
        return [
            *self._fixed,
            *(override_text(key, value) for key, value in attrs["assignments"].items()),
            override_text("sweep.name", stored.name),
            *([] if request.config.sweep.storage else [override_text("sweep.storage", journal)]),
            override_text("sweep.report_every", report_every(request.config)),
            override_text("sweep.trial", trial.number),
            override_text("hydra.sweep.subdir", Path(attrs["output_dir"]).name),
        ]


def run_launched(config: DAFConfig) -> "TrialOutcome":
    """Runs one trial in a job of a Hydra launcher, wherever that is; the study's storage is the line to the sweep.

    Raises:
        DAFError: the study does not know the trial.
    """
    import optuna

    from daf.sweeps.bookkeeping import trial_job
    from daf.sweeps.study import load_stored
    from daf.sweeps.trial import run_trial

    number = config.sweep.trial
    assert number is not None, "the caller looked"
    study = load_stored(config)
    study.pruner = make_pruner(config)
    trials = study.get_trials(deepcopy=False)
    if number >= len(trials):
        raise DAFError(f"study {config.sweep.name} has no trial {number}")
    attrs = trials[number].user_attrs
    job = trial_job(config, trial_name(attrs["assignments"]), study.user_attrs["parent_run_id"], attrs["run_id"])
    return run_trial(job, _StorageLine(optuna.trial.Trial(study, trials[number]._trial_id)))


class _StorageLine:
    """A trial's line to the sweep through the study's storage; the pruner decides right here."""

    def __init__(self, trial: "optuna.Trial") -> None:
        self._trial = trial
        self._stop = False

    def report(self, message: Any) -> None:
        """Stores what the trial says."""
        if isinstance(message, Intermediate):
            self._stop = report(self._trial, message.step, message.value)

    def should_stop(self) -> bool:
        """Whether the pruner said so."""
        return self._stop
