"""A whole sweep: check, open or resume the study, run the trials, confirm the best, conclude."""

import os
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from pathlib import Path

from daf.config.schemas import DAFConfig
from daf.errors import DAFConfigError, DAFError, DAFInterruptedError, Problem
from daf.execution.executor import Executor, JobDone, JobFailed
from daf.execution.processes import ProcessExecutor
from daf.sweeps.checks import check_sweep, is_grid
from daf.sweeps.composition import compose_onto
from daf.sweeps.conclude import conclude
from daf.sweeps.confirm import OnDone, confirm
from daf.sweeps.engine import run_jobs, run_trials
from daf.sweeps.jobs import CheckJob, TrialJob
from daf.sweeps.judge import Confirmation
from daf.sweeps.live import live_view
from daf.sweeps.mlflow_runs import sweep_run
from daf.sweeps.request import SweepRequest
from daf.sweeps.results import SweepResult
from daf.sweeps.space import Compose, Space
from daf.sweeps.status import read_status
from daf.sweeps.study import StoredStudy, open_storage
from daf.sweeps.worker import WORK, initializer, warm_up_tracking
from daf.tracking.provenance import log_provenance
from daf.tracking.tracker import Tracker

#: Runs trials elsewhere than on this machine's workers, such as on a Hydra launcher.
MakeExecutor = Callable[[StoredStudy], Executor]


def daf_launch_sweep(
    config: DAFConfig,
    *,
    compose: Compose | None = None,
    overrides: Sequence[str] = (),
    executor: MakeExecutor | None = None,
) -> SweepResult:
    """Runs the sweep that `config.sweep` and `config.objective` describe, or goes on with it.

    Args:
        config: the base of every trial.
        compose: makes a trial's config from what it varies; by default the values are set in `config`, and a group's
            option replaces the group's section.
        overrides: what was asked for on the command line, for the record.
        executor: makes what runs the trials, elsewhere than on this machine's workers.

    Raises:
        DAFConfigError: a key, a value or the stored study does not fit; nothing was started.
        DAFError: too many trials failed, or none finished.
        DAFInterruptedError: Ctrl-C; the same call goes on.
    """
    compose = compose or compose_onto(config)
    # Where trials run elsewhere, workers only check and confirm.
    workers = min(config.sweep.n_jobs, len(os.sched_getaffinity(0))) if executor else config.sweep.n_jobs
    # They import what they need while this process does the same, and checks and opens everything.
    with ProcessExecutor(WORK, workers, initializer=initializer(config)) as pool:
        warm_up_tracking()
        stored, space = _open_study(config, compose, lambda checked: _check_in_worker(pool, checked))
        output_dir = Path(config.output_dir).absolute()
        output_dir.mkdir(parents=True, exist_ok=True)
        with closing(stored), sweep_run(stored, output_dir) as tracker:
            if tracker.is_new:
                _describe(tracker, stored, overrides)
            request = SweepRequest(config=config, space=space, compose=compose, output_dir=output_dir, tracker=tracker)
            try:
                confirmation = _work(stored, request, pool, executor)
            except KeyboardInterrupt as error:
                raise _interrupted(stored) from error
            return conclude(stored, request, confirmation)


def _open_study(
    config: DAFConfig, compose: Compose, check_environment: Callable[[DAFConfig], list[Problem]]
) -> tuple[StoredStudy, Space]:
    """The study that is to be begun or gone on with, once everything about it is known to be right."""
    space = Space.from_config(config.sweep.space)
    problems = check_sweep(config, space, compose, check_environment)
    if problems:
        raise DAFConfigError(problems)
    grid = None
    if is_grid(config, space):
        grid = space.grid(compose)
    return StoredStudy(config, open_storage(config), space, grid), space


def _check_in_worker(pool: Executor, config: DAFConfig) -> list[Problem]:
    pool.submit(CheckJob(config))
    event = pool.next_event()
    if isinstance(event, JobFailed):
        raise DAFError(f"the environment could not be checked:\n{event.traceback}")
    assert isinstance(event, JobDone), "a check sends no messages"
    problems: list[Problem] = event.result
    return problems


def _describe(tracker: Tracker, stored: StoredStudy, overrides: Sequence[str]) -> None:
    """Logs what a new run of a sweep is."""
    log_provenance(tracker, stored.config, overrides)
    tracker.set_tags({"daf.sweep": stored.name})


def _work(
    stored: StoredStudy, request: SweepRequest, pool: Executor, executor: MakeExecutor | None
) -> Confirmation | None:
    with live_view() as show:
        with executor(stored) if executor else nullcontext(pool) as runs_trials:
            run_trials(stored, request, runs_trials, show)

        def run_confirmation(jobs: Sequence[TrialJob], on_done: OnDone) -> list[str]:
            return run_jobs(jobs, on_done, stored, request, pool, show)

        return confirm(stored, request, run_confirmation)


def _interrupted(stored: StoredStudy) -> DAFInterruptedError:
    status = read_status(stored)
    return DAFInterruptedError(
        f"Interrupted: {status.finished} of {status.n_trials} trials are done. The same command goes on with the rest."
    )
