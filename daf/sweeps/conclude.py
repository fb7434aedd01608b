"""The end of a sweep: its objective, tables, plots and metrics, and the winner as an experiment."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from daf.config import CONF_DIR, daf_load_config
from daf.config.schemas import DAFConfig
from daf.errors import DAFError
from daf.redaction import redactor
from daf.results import ResultTable
from daf.sweeps.identity import default_storage
from daf.sweeps.judge import Confirmation, confirmation_json
from daf.sweeps.request import SweepRequest
from daf.sweeps.results import SweepResult, SweepTrialResult
from daf.sweeps.status import SweepStatus, read_status, trials_table
from daf.sweeps.study import StoredStudy, StudyTrial
from daf.sweeps.winner import write_winner
from daf.tracking.tracker import Tracker
from daf.visualization.drawing import attempt
from daf.visualization.text import NO_VALUE, interval_heading, number_text

#: Draws plots into a folder; returns the files.
DrawPlots = Callable[[Path], Sequence[Path]]


def conclude(
    stored: StoredStudy, request: SweepRequest, confirmation: Confirmation | None, draw_plots: DrawPlots
) -> SweepResult:
    """Notes the finding with the study, logs tables, metrics and plots, and writes the winner.

    Args:
        draw_plots: draws the study's plots into a folder and returns the files.

    Raises:
        DAFError: no trial finished.
    """
    verdict = confirmation.verdict if confirmation else None
    shown = (confirmation.table.columns, *confirmation.table.rows) if confirmation else ()
    stored.record(verdict=verdict, confirmed_best=confirmation.best if confirmation else None, confirmation=shown)
    status = read_status(stored)
    if not status.complete:
        raise DAFError(f"no trial of {stored.name} finished: {status}. {_first_failure(stored.trials())}")
    winner_files = _write_winner(stored, request, confirmation)
    metrics = request.config.objective.metric
    tables = [trials_table(stored, metrics), *([confirmation.table] if confirmation else [])]
    objective = _objective(status, confirmation)
    _log(request.tracker, status, tables, objective, confirmation)
    _log_best_so_far(request.tracker, stored)
    # Last: whatever becomes of them, everything else is there.
    for path in attempt(request.tracker, "The plots", partial(draw_plots, request.output_dir / "plots")) or ():
        request.tracker.log_file(path, "plots")
    name, sweep = stored.name, request.config.sweep
    storage = sweep.storage or default_storage(request.config)
    return SweepResult(
        objective=objective,
        tables=tuple(tables),
        notes=(*_notes(status, verdict, winner_files, sweep.name), storage_note(name, storage)),
        study_name=name,
        status=status,
        trials=tuple(SweepTrialResult.of(trial) for trial in stored.ran()),
        confirmation=confirmation,
        winner_files=winner_files,
        output_dir=request.output_dir,
        run_id=request.tracker.run_id,
    )


def _log(
    tracker: Tracker,
    status: SweepStatus,
    tables: Sequence[ResultTable],
    objective: float | tuple[float, ...],
    confirmation: Confirmation | None,
) -> None:
    if confirmation:
        tracker.log_text(confirmation_json(confirmation), "confirmation.json")
        tracker.log_metrics({"confirmed_objective": confirmation.mean})
    log_summary(tracker, status, tables)
    if isinstance(objective, float):
        tracker.log_metrics({"objective": objective})
    tracker.set_tags({"daf.sweep.verdict": confirmation.verdict if confirmation else "not confirmed"})


def log_summary(tracker: Tracker, status: SweepStatus, tables: Sequence[ResultTable]) -> None:
    """Where the sweep stands, for people and for programs."""
    tracker.log_text("\n".join(table.to_markdown() for table in tables), "summary.md")
    tracker.log_text(json.dumps(status.__dict__, indent=2, default=str), "status.json")


def _log_best_so_far(tracker: Tracker, stored: StoredStudy) -> None:
    """The best objective up to each trial, over the trials' numbers."""
    if len(stored.directions) > 1:
        return
    better = max if stored.directions == ("maximize",) else min
    best: float | None = None
    for trial in stored.ran():
        if trial.values:
            best = trial.values[0] if best is None else better(best, trial.values[0])
            tracker.log_metrics({"best_so_far": best}, step=trial.number)


def _objective(status: SweepStatus, confirmation: Confirmation | None) -> float | tuple[float, ...]:
    if confirmation:
        return confirmation.mean
    return status.best_values[0] if len(status.best_values) == 1 else status.best_values


def _first_failure(trials: Sequence[StudyTrial]) -> str:
    failures = [trial.facts.failure for trial in trials if trial.facts.failure]
    return f"The first failure: {failures[0]}" if failures else ""


def _write_winner(stored: StoredStudy, request: SweepRequest, confirmation: Confirmation | None) -> tuple[Path, ...]:
    """Writes the winner wherever it belongs; what cannot be written is a warning and nothing more."""
    if confirmation is None or confirmation.winner is None:
        return ()
    trial, tracker = stored.trials()[confirmation.winner], request.tracker
    config, comment = _winner_config(trial, request, confirmation), _winner_comment(trial, request, confirmation)
    written = []
    for path in _winner_paths(request):
        try:
            if write_winner(path, stored.name, config, comment):
                written.append(path)
            else:
                tracker.warn(f"{path} is not the winner of an earlier run of this sweep, so it was left alone.")
        except OSError as error:  # such as an installed package's folder: no reason to lose plots and tables
            tracker.warn(f"The winner could not be written: {error}")
    for path in written[:1]:
        tracker.log_file(path)
    return tuple(written)


def _winner_config(trial: StudyTrial, request: SweepRequest, confirmation: Confirmation) -> DAFConfig:
    """The config that won; where weights won, one that plays them."""
    config = request.compose(trial.facts.assignments)
    if not confirmation.weights:
        return config
    policies = [config.policy.model_copy(update={"weights": weights}) for weights in confirmation.weights]
    listed = [policy.model_copy(update={"name": f"seed {config.seed + i}"}) for i, policy in enumerate(policies)]
    several = {"policies": tuple(listed)} if len(listed) > 1 else {}
    return config.model_copy(
        update={
            "policy": policies[0],
            "evaluation": config.evaluation.model_copy(update=several),
            "task": daf_load_config(overrides=["task=evaluate"]).task,
        }
    )


def _winner_comment(trial: StudyTrial, request: SweepRequest, confirmation: Confirmation) -> Mapping[str, str]:
    interval = " to ".join(map(number_text, confirmation.interval)) if confirmation.interval else NO_VALUE
    metrics, heading = ", ".join(request.config.objective.metric), interval_heading(request.config.level)
    value = f"{metrics} {number_text(confirmation.mean)} ({heading} {interval})"
    return {
        "Won": "these weights, not the config that they were trained with" if confirmation.weights else "this config",
        "Trial": f"{trial.number}, MLflow run {trial.facts.run_id}",
        "On seeds that had no part in choosing it": value,
    }


def _winner_paths(request: SweepRequest) -> list[Path]:
    sweep = request.config.sweep
    if sweep.winner:
        return [Path(sweep.winner)]
    # Where `experiment=<name>` is looked for: the checkout's folder if it can be written.
    named = [CONF_DIR / "experiment" / f"{sweep.name}.yaml"] if sweep.name else []
    return [request.output_dir / "winner.yaml", *named]


def _notes(status: SweepStatus, verdict: str | None, winner_files: Sequence[Path], name: str | None) -> Iterator[str]:
    yield f"{status}."
    if verdict:
        yield verdict
    yield from (f"The winner: {path}" for path in winner_files)
    if name and len(winner_files) > 1:
        yield f"Run it: python -m daf.run experiment={name}"


def storage_note(name: str, storage: str | Path) -> str:
    """Where the study lies, without the password of its address."""
    return redactor().text(f"Study: {name} in {storage}")
