"""A whole sweep: check, open or resume the study, run the trials, confirm the best, tell and keep the result."""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daf.config import CONF_DIR
from daf.config.schemas import DAFConfig
from daf.errors import DAFConfigError, DAFError, DAFInterruptedError, Problem
from daf.results import TaskResult
from daf.sweeps.bookkeeping import Request
from daf.sweeps.checks import check_sweep, is_grid
from daf.sweeps.composition import compose_onto
from daf.sweeps.confirm import Confirmation, confirm, confirmation_json
from daf.sweeps.engine import Engine
from daf.sweeps.live import live_view
from daf.sweeps.plots import daf_plot_sweep
from daf.sweeps.space import Compose, Space
from daf.sweeps.state import SweepStatus, read_status, trials_table
from daf.sweeps.study import StoredStudy, default_storage, open_storage
from daf.sweeps.trial import CheckJob, initializer, warm_up_tracking
from daf.sweeps.winner import write_winner
from daf.tracking.redaction import redactor

if TYPE_CHECKING:
    import optuna
    from mlflow import MlflowClient

    from daf.execution.processes import WorkerPool
    from daf.tracking.tracker import Tracker

#: Runs trials in another way than on our own workers: a Hydra launcher.
RunTrials = Callable[[StoredStudy, Request], None]


@dataclass(frozen=True, kw_only=True)
class SweepResult(TaskResult):
    """A finished sweep.

    Attributes:
        study_name: goes with `sweep.name` to resume it.
        status: how its trials ended.
        confirmation: what fresh seeds said, or None where that was not asked for.
        winner_files: where the winner's config was written; empty without a winner.
        output_dir: everything that this run of the sweep wrote.
        run_id: the MLflow run that all trials are filed under.
    """

    study_name: str
    status: SweepStatus
    confirmation: Confirmation | None
    winner_files: tuple[Path, ...]
    output_dir: Path
    run_id: str


def daf_launch_sweep(
    config: DAFConfig,
    *,
    compose: Compose | None = None,
    overrides: Sequence[str] = (),
    run_trials: RunTrials | None = None,
) -> SweepResult:
    """Runs the sweep that `config.sweep` and `config.objective` describe, or goes on with it.

    Args:
        config: the base of every trial.
        compose: makes a trial's config from what it varies; by default the values are set in `config`, and a group's
            option replaces the group's section.
        overrides: what was asked for on the command line, for the record.
        run_trials: runs the trials elsewhere than on this machine's workers.

    Raises:
        DAFConfigError: a key, a value or the stored study does not fit; nothing was started.
        DAFError: too many trials failed, or none finished.
        DAFInterruptedError: Ctrl-C; the same call goes on.
    """
    from daf.execution.processes import WorkerPool

    compose = compose or compose_onto(config)
    # Where trials run elsewhere, workers only check and confirm.
    workers = min(config.sweep.n_jobs, len(os.sched_getaffinity(0))) if run_trials else config.sweep.n_jobs
    # They import what they need while this process does the same, and checks and opens everything.
    with WorkerPool("daf.sweeps.trial:work", workers, initializer=initializer(config)) as pool:
        warm_up_tracking()
        stored, space = _open_study(config, compose, lambda own: _check_in_worker(pool, own))
        output_dir = Path(config.output_dir).absolute()
        output_dir.mkdir(parents=True, exist_ok=True)
        with closing(stored), _parent_run(stored, config, output_dir) as tracker:
            if stored.study.user_attrs.get("parent_run_id") != tracker.run_id:
                _describe(tracker, stored, overrides)
            request = Request(config=config, space=space, compose=compose, output_dir=output_dir, tracker=tracker)
            try:
                confirmation = _work(stored, request, pool, run_trials)
            except KeyboardInterrupt as error:
                raise _interrupted(stored) from error
            return _conclude(stored, request, confirmation)


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


def _check_in_worker(pool: "WorkerPool", config: DAFConfig) -> list[Problem]:
    from daf.execution.executor import JobDone, JobFailed

    pool.submit(CheckJob(config))
    event = pool.next_event()
    if isinstance(event, JobFailed):
        raise DAFError(f"the environment could not be checked:\n{event.traceback}")
    assert isinstance(event, JobDone), "a check sends no messages"
    problems: list[Problem] = event.result
    return problems


def _parent_run(stored: StoredStudy, config: DAFConfig, output_dir: Path) -> "Tracker":
    """The sweep's MLflow run: a new one, or the one that the study was begun under."""
    from daf.tracking.store import open_store
    from daf.tracking.tracker import Tracker

    client, experiment_id = open_store(config.tracking.uri, config.tracking.experiment)
    before = stored.study.user_attrs.get("parent_run_id")
    known = before if before and _run_exists(client, before) else None
    return Tracker(client, experiment_id, f"sweep {stored.name}", output_dir, run_id=known)


def _describe(tracker: "Tracker", stored: StoredStudy, overrides: Sequence[str]) -> None:
    """Logs what a new run of a sweep is, and notes with the study that it is its own."""
    from daf.tracking.provenance import log_provenance

    log_provenance(tracker, stored.config, overrides)
    tracker.set_tags({"daf.sweep": stored.name})
    stored.study.set_user_attr("parent_run_id", tracker.run_id)


def _run_exists(client: "MlflowClient", run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException:
        return False
    return bool(run.info.lifecycle_stage == "active")


def _work(
    stored: StoredStudy, request: Request, pool: "WorkerPool", run_trials: RunTrials | None
) -> Confirmation | None:
    with live_view() as show:
        engine = Engine(stored, request, pool, show)
        if run_trials:
            run_trials(stored, request)
        else:
            engine.run_trials()
        return confirm(stored.study, request.config, request.compose, request.output_dir, engine.run_jobs)


def _interrupted(stored: StoredStudy) -> DAFInterruptedError:
    status = read_status(stored.study)
    return DAFInterruptedError(
        f"Interrupted: {status.finished} of {status.n_trials} trials are done. The same command goes on with the rest."
    )


def _conclude(stored: StoredStudy, request: Request, confirmation: Confirmation | None) -> SweepResult:
    """Logs plots, tables and metrics, and writes the winner."""
    study, config, tracker = stored.study, request.config, request.tracker
    verdict = confirmation.verdict if confirmation else None
    study.set_user_attr("verdict", verdict)
    study.set_user_attr("confirmed_best", confirmation.best if confirmation else None)
    status = read_status(study)
    if not status.complete:
        raise DAFError(f"no trial of {stored.name} finished: {status}. {_first_failure(study)}")
    winner_files = _write_winner(stored, request, confirmation)
    for path in daf_plot_sweep(study, request.output_dir / "plots", config.objective.metric):
        tracker.log_file(path, "plots")
    tables = [trials_table(study, config.objective.metric)]
    if confirmation:
        tables.append(confirmation.table)
        tracker.log_text(confirmation_json(confirmation), "confirmation.json")
        tracker.log_metrics({"confirmed_objective": confirmation.mean})
    tracker.log_text("\n".join(table.to_markdown() for table in tables), "summary.md")
    tracker.log_text(json.dumps(status.__dict__, indent=2, default=str), "status.json")
    objective = _objective(status, confirmation)
    if isinstance(objective, float):
        tracker.log_metrics({"objective": objective})
    tracker.set_tags({"daf.sweep.verdict": verdict or "not confirmed"})
    return SweepResult(
        objective=objective,
        tables=tuple(tables),
        notes=tuple(_notes(stored, request, status, verdict, winner_files)),
        study_name=stored.name,
        status=status,
        confirmation=confirmation,
        winner_files=winner_files,
        output_dir=request.output_dir,
        run_id=tracker.run_id,
    )


def _objective(status: SweepStatus, confirmation: Confirmation | None) -> float | tuple[float, ...]:
    if confirmation:
        return confirmation.mean
    return status.best_values[0] if len(status.best_values) == 1 else status.best_values


def _first_failure(study: "optuna.Study") -> str:
    failures = [trial.user_attrs["failure"] for trial in study.get_trials() if "failure" in trial.user_attrs]
    return f"The first failure: {failures[0]}" if failures else ""


def _write_winner(stored: StoredStudy, request: Request, confirmation: Confirmation | None) -> tuple[Path, ...]:
    if confirmation is None or confirmation.winner is None:
        return ()
    sweep = request.config.sweep
    trial = stored.trials()[confirmation.winner]
    config = request.compose(trial.user_attrs["assignments"])
    interval = "{:.4f} to {:.4f}".format(*confirmation.interval) if confirmation.interval else "unknown"
    comment = {
        "Trial": f"{trial.number}, MLflow run {trial.user_attrs.get('run_id')}",
        "Confirmed": f"{', '.join(request.config.objective.metric)} {confirmation.mean:.4f} (95% interval {interval})",
    }
    paths = [request.output_dir / "winner.yaml"]
    if sweep.winner:
        paths = [Path(sweep.winner)]
    elif sweep.name:
        paths.append(_experiments() / f"{sweep.name}.yaml")
    written = []
    for path in paths:
        try:
            if write_winner(path, stored.name, config, comment):
                written.append(path)
            else:
                request.tracker.warn(f"{path} is not the winner of an earlier run of this sweep, so it was left alone.")
        except OSError as error:  # such as an installed package's folder: no reason to lose plots and tables
            request.tracker.warn(f"The winner could not be written: {error}")
    for path in written[:1]:
        request.tracker.log_file(path)
    return tuple(written)


def _experiments() -> Path:
    """Where `experiment=<name>` is looked for: the checkout's folder if it can be written."""
    return CONF_DIR / "experiment"


def _notes(
    stored: StoredStudy, request: Request, status: SweepStatus, verdict: str | None, winner_files: Sequence[Path]
) -> list[str]:
    notes = [f"{status}."]
    if verdict:
        notes.append(verdict)
    notes += [f"Winner's config: {path}" for path in winner_files]
    name = request.config.sweep.name
    if name and len(winner_files) > 1:
        notes.append(f"Run it: python -m daf.run experiment={name}")
    storage = request.config.sweep.storage or default_storage(request.config)
    notes.append(redactor().text(f"Study: {stored.name} in {storage}"))
    return notes
