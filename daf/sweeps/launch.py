"""A whole sweep: check, open or resume the study, run the trials, confirm the best, conclude."""

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from pathlib import Path

from daf.config.override_secrets import override_without_secrets
from daf.config.schemas import DAFConfig
from daf.errors import DAFConfigError, DAFError, DAFInterruptedError, Problem
from daf.execution.executor import Executor, JobDone, JobFailed, JobMessage
from daf.execution.processes import ProcessExecutor
from daf.execution.progress import counted, say, working
from daf.execution.retries import Retries
from daf.records import digest
from daf.redaction import redactor
from daf.sweeps.checks import check_sweep, is_grid
from daf.sweeps.composition import compose_onto
from daf.sweeps.conclude import conclude
from daf.sweeps.confirm import OnDone, confirm
from daf.sweeps.cut_short import shown_if_cut_short
from daf.sweeps.draw import draw_in_worker
from daf.sweeps.engine import run_jobs, run_trials
from daf.sweeps.identity import default_storage, study_name
from daf.sweeps.jobs import CheckJob, TrialJob
from daf.sweeps.judge import Confirmation
from daf.sweeps.live import live_view
from daf.sweeps.mlflow_runs import sweep_run
from daf.sweeps.request import SweepRequest
from daf.sweeps.results import SweepResult
from daf.sweeps.space import Compose, Space
from daf.sweeps.status import SweepStatus, read_status
from daf.sweeps.study import StoredStudy, open_storage
from daf.sweeps.worker import WORK, initializer, warm_up_tracking
from daf.tasks import find_task, noted_as_it_ends, notifying
from daf.tracking.output_folder import Request, claimed
from daf.tracking.provenance import log_provenance
from daf.tracking.tracker import Tracker

#: Runs trials elsewhere than on this machine's workers, such as on a Hydra launcher.
MakeExecutor = Callable[[StoredStudy], Executor]
#: Seconds that a check of the environment may take: it loads policies and builds missions.
LONGEST_CHECK_S = 300.0


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
        with working("checking the sweep"):
            say(f"starting {counted(workers, 'worker')}")
            warm_up_tracking()
            space = _checked_space(config, compose, lambda checked: _check_in_worker(pool, checked))
        return _carried_out(config, space, compose, overrides, pool, executor)


def _carried_out(
    config: DAFConfig,
    space: Space,
    compose: Compose,
    overrides: Sequence[str],
    pool: ProcessExecutor,
    executor: MakeExecutor | None,
) -> SweepResult:
    """The trials, the confirmation and the conclusion, in the sweep's own folder and MLflow run."""
    output_dir = Path(config.output_dir).absolute()
    with (
        notifying(config),
        claimed(output_dir, _request(config)) as claim,
        _study(config, space, compose) as stored,
        noted_as_it_ends("sweep", output_dir) as ending,
        _parent_run(stored, output_dir) as tracker,
    ):
        ending.tracker = tracker
        claim.is_of(tracker.run_id)
        if overrides:
            stored.record(command=_typed(overrides))
        if stored.facts.parent_run_id != tracker.run_id:
            _describe(tracker, stored, overrides)
        request = SweepRequest(config, space, compose, output_dir, tracker, stored.seeds)
        try:
            with shown_if_cut_short(stored, request):
                confirmation = _work(stored, request, pool, executor)
        except KeyboardInterrupt as error:
            raise interrupted(read_status(stored), config.sweep.confirm) from error
        with working("writing tables and plots"):
            result = conclude(stored, request, confirmation, lambda folder: draw_in_worker(pool, config, folder))
        ending.finish(result)
        return result


def _checked_space(
    config: DAFConfig, compose: Compose, check_environment: Callable[[DAFConfig], list[Problem]]
) -> Space:
    """What the sweep ranges over, once everything about it is known to be right."""
    space = Space.from_config(config.sweep.space)
    problems = check_sweep(config, space, compose, check_environment)
    if problems:
        raise DAFConfigError(problems)
    return space


@contextmanager
def _study(config: DAFConfig, space: Space, compose: Compose) -> Iterator[StoredStudy]:
    """The study that is to be begun or gone on with."""
    with working("reading the study"):
        grid = is_grid(config, space)
        stored = StoredStudy(config, open_storage(config), space, space.points(compose), is_grid=grid)
    with closing(stored):
        yield stored


@contextmanager
def _parent_run(stored: StoredStudy, output_dir: Path) -> Iterator[Tracker]:
    """The sweep's MLflow run, with its trials below it."""
    with ExitStack() as stack:
        with working("opening the tracking store"):
            tracker = stack.enter_context(sweep_run(stored, output_dir))
        yield tracker


def _request(config: DAFConfig) -> Request:
    """The sweep, whichever of its runs it is: a study gives its folder to all of them, one after the other."""
    name, storage = study_name(config), config.sweep.storage or str(default_storage(config).absolute())
    return Request(what=f"sweep {name}", digest=digest([name, redactor().text(storage)]))


def _check_in_worker(pool: Executor, config: DAFConfig) -> list[Problem]:
    retries, attempt = Retries(config.sweep.max_retries + 1, frozenset(("died", "hung"))), 0
    while True:
        pool.submit(CheckJob(config), time_limit_s=LONGEST_CHECK_S)
        event = pool.next_event()
        while isinstance(event, JobMessage):
            say(event.message)
            event = pool.next_event()
        if isinstance(event, JobDone):
            problems: list[Problem] = event.result
            return problems
        assert isinstance(event, JobFailed), "it has ended"
        if not retries.allows(event, attempt):
            raise DAFError(f"the environment could not be checked:\n{event.traceback}")
        attempt = retries.next_attempt(event, attempt)


def _describe(tracker: Tracker, stored: StoredStudy, overrides: Sequence[str]) -> None:
    """Logs what a new run of a sweep is, and notes it with the study."""
    # Noted first: whoever comes next finds it, and does not describe it once more.
    stored.record(parent_run_id=tracker.run_id)
    log_provenance(tracker, stored.config, overrides)
    tracker.set_tags({"daf.sweep": stored.name})


def _typed(overrides: Sequence[str]) -> str:
    """The command line that goes on with a study, without secrets."""
    return f"python -m daf.run -m {shlex.join(map(override_without_secrets, overrides))}"


def _work(
    stored: StoredStudy, request: SweepRequest, pool: Executor, executor: MakeExecutor | None
) -> Confirmation | None:
    # Any other task says nothing while it runs.
    limit_s = request.config.sweep.silence_s if find_task(request.config.task).scored_by_sweeps else None
    with live_view() as show:
        status = read_status(stored)
        if status.finished:
            show(status, {}, f"reading {counted(status.finished, 'finished trial')}")
        with executor(stored) if executor else nullcontext(pool) as runs_trials:
            # A launcher's jobs end by the launcher's own limits.
            run_trials(stored, request, runs_trials, show, None if executor else limit_s)

        def run_confirmation(jobs: Sequence[TrialJob], on_done: OnDone) -> list[str]:
            return run_jobs(jobs, on_done, stored, request, pool, show, limit_s)

        return confirm(stored, request, run_confirmation)


def interrupted(status: SweepStatus, confirm: str) -> DAFInterruptedError:
    """What was done, and what remains."""
    left = status.n_trials - status.finished
    ending = "the tables and plots" if confirm == "off" else "the confirmation of the best on fresh seeds"
    rest = f"{counted(left, 'trial')} and {ending}" if left > 0 else ending
    return DAFInterruptedError(
        f"Interrupted: {status.finished} of {status.n_trials} trials are done. What remains: {rest}."
        " The same command goes on with that."
    )
