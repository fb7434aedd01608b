"""The end of a sweep: its objective, tables, plots and metrics, and the winner as an experiment."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from daf.config import CONF_DIR, daf_load_config
from daf.config.commands import command_for
from daf.config.schemas import DAFConfig
from daf.config.sections import SECTIONS
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

#: What a sweep always writes, without its suffix, and what it writes where the best were confirmed.
FILES = {"config": ".yaml", "summary": ".md", "status": ".json", "confirmation": ".json"}
#: What the command of a winner says of it; how many trials there were is no part of it.
OF_WINNERS = frozenset(SECTIONS) - {"sweep", "objective", "task", "output_dir", "notify", "watch", "result_format"}

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
    verdict, best = (confirmation.verdict, confirmation.best) if confirmation else (None, None)
    shown = (confirmation.table.columns, *confirmation.table.rows) if confirmation else ()
    stored.record(verdict=verdict, confirmed_best=best, confirmation=shown)
    status = read_status(stored)
    if not status.complete:
        raise DAFError(f"no trial of {stored.name} finished: {status}. {_first_failure(stored.trials())}")
    winner_files = _write_winner(stored, request, confirmation)
    tables = [trials_table(stored, request.config.objective.metric), *([confirmation.table] if confirmation else [])]
    objective = _objective(status, confirmation)
    figures = _figures(status, objective, confirmation)
    _log(request.tracker, status, tables, figures, confirmation)
    _log_best_so_far(request.tracker, stored)
    _draw(request, draw_plots)  # last: whatever becomes of them, everything else is there
    return SweepResult(
        objective=objective,
        tables=tuple(tables),
        notes=tuple(_notes(status, verdict, winner_files, request.config)),
        metrics=figures,
        facts=sweep_facts(status, confirmation),
        files=_files(request.output_dir, winner_files),
        next=_next(stored, request, confirmation),
        study_name=stored.name,
        status=status,
        trials=tuple(SweepTrialResult.of(trial) for trial in stored.ran()),
        confirmation=confirmation,
        winner_files=winner_files,
        output_dir=request.output_dir,
        run_id=request.tracker.run_id,
    )


def _figures(
    status: SweepStatus, objective: float | tuple[float, ...], confirmation: Confirmation | None
) -> dict[str, float]:
    """What MLflow holds of the sweep, and how its trials ended."""
    figures: dict[str, float] = {
        "trials": status.finished,
        "complete": status.complete,
        "pruned": status.pruned,
        "failed": status.failed,
    }
    if isinstance(objective, float):
        figures["objective"] = objective
    return {**figures, "confirmed_objective": confirmation.mean} if confirmation else figures


def _draw(request: SweepRequest, draw_plots: DrawPlots) -> None:
    """The plots, as far as they can be drawn."""
    for path in attempt(request.tracker, "The plots", partial(draw_plots, request.output_dir / "plots")) or ():
        request.tracker.log_file(path, "plots")


def sweep_facts(status: SweepStatus, confirmation: Confirmation | None) -> dict[str, str]:
    """``best`` is what the trials say, ``confirmed_best`` what fresh seeds say; ``winner`` was shown to be better."""
    facts = {"study": status.name, "best": str(status.best), "best_name": status.best_name}
    if confirmation is None:
        return facts
    facts |= {"confirmed_best": str(confirmation.best), "verdict": confirmation.verdict}
    return facts if confirmation.winner is None else {**facts, "winner": str(confirmation.winner)}


def _files(output_dir: Path, winner_files: Sequence[Path]) -> dict[str, Path]:
    written = {name: output_dir / f"{name}{suffix}" for name, suffix in FILES.items()}
    files = {name: path for name, path in written.items() if path.is_file()}
    return {**files, "winner": winner_files[0].absolute()} if winner_files else files


def _next(stored: StoredStudy, request: SweepRequest, confirmation: Confirmation | None) -> str | None:
    """The command that runs the winner, where there is one and its task is DAF's own."""
    if confirmation is None or confirmation.winner is None:
        return None
    config = _winner_config(stored.trials()[confirmation.winner], request, confirmation)
    is_shipped = (CONF_DIR / "task" / f"{config.task.name}.yaml").is_file()
    return command_for(config, config.task.name, OF_WINNERS) if is_shipped else None


def _log(
    tracker: Tracker,
    status: SweepStatus,
    tables: Sequence[ResultTable],
    figures: Mapping[str, float],
    confirmation: Confirmation | None,
) -> None:
    if confirmation:
        tracker.log_text(confirmation_json(confirmation), "confirmation.json")
    log_summary(tracker, status, tables)
    tracker.log_metrics(figures)
    tracker.set_tags({"daf.sweep.verdict": confirmation.verdict if confirmation else "not confirmed"})
    for table in tables:
        tracker.log_text(table.to_csv(), f"tables/{table.file_name}.csv")


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


def _notes(status: SweepStatus, verdict: str | None, winner_files: Sequence[Path], config: DAFConfig) -> Iterator[str]:
    yield f"{status}."
    if verdict:
        yield verdict
    yield from (f"The winner: {path}" for path in winner_files)
    if config.sweep.name and len(winner_files) > 1:
        yield f"Run it: python -m daf.run experiment={config.sweep.name}"
    yield storage_note(status.name, config.sweep.storage or default_storage(config))


def storage_note(name: str, storage: str | Path) -> str:
    """Where the study lies, without the password of its address."""
    return redactor().text(f"Study: {name} in {storage}")
