"""`task=train`: train a policy, stream its metrics, keep its checkpoints."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from daf.bridge.policies import file_digest, resolve_policy
from daf.bridge.trainer import STATE_FILE, EpochReport, TrainingOutcome, load_state, policy_to_train, train
from daf.config.schemas import DAFConfig
from daf.config.sections import OF_TRIALS
from daf.errors import DAFConfigError, DAFInterruptedError, Problem
from daf.execution.progress import progress
from daf.results import ResultTable, TaskResult
from daf.tasks import Task
from daf.tracking.store import is_run_id
from daf.tracking.tracker import Tracker

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, kw_only=True)
class TrainingResult(TaskResult):
    """A finished training.

    Attributes:
        checkpoint_dir: a folder that `policy.weights`, `training.resume` and CoGames accept.
        model: the final weights.
        model_digest: SHA-256 of the weights' file.
        curve: (agent steps, mean episode reward) of every epoch in which an episode ended.
    """

    checkpoint_dir: Path
    model: Path
    model_digest: str
    curve: tuple[tuple[int, float], ...]


def daf_train(
    config: DAFConfig, tracker: Tracker, *, on_epoch: Callable[[EpochReport], None] = lambda report: None
) -> TrainingResult:
    """Trains the configured policy.

    Args:
        on_epoch: called after every epoch; an exception from it ends the training and propagates.

    Raises:
        DAFTrainingDivergedError: the network's parameters became NaN or infinite.
        DAFInterruptedError: Ctrl-C; a checkpoint was saved and logged.
    """
    resume_from = _resume_folder(config, tracker)
    checkpoint_dir = tracker.output_dir / CHECKPOINTS
    # Before the training, so that the run can be resumed however it ends.
    tracker.set_tags({"daf.checkpoint_dir": checkpoint_dir.absolute()})
    total = config.training.num_steps
    curve: list[tuple[int, float]] = []
    with progress("training", total) as advance:

        def after_epoch(report: EpochReport) -> None:
            tracker.log_metrics(report.metrics, step=report.agent_steps)
            if report.reward is not None:
                curve.append((report.agent_steps, report.reward))
            reward = f"reward {report.reward:.3f}, " if report.reward is not None else ""
            advance(report.agent_steps, f"{reward}{report.metrics['SPS']:,.0f} steps/s")
            on_epoch(report)

        outcome = train(config, checkpoint_dir, resume_from=resume_from, on_epoch=after_epoch)
    digest = _log_checkpoint(outcome, tracker)
    if outcome.interrupted:
        raise DAFInterruptedError(
            f"Interrupted after {outcome.agent_steps:,} agent steps."
            f" Go on with: training.resume={outcome.checkpoint_dir}"
        )
    return TrainingResult(
        objective=_late_reward(curve),
        tables=(_table(outcome, curve),),
        notes=(
            f"Evaluate it: task=evaluate policy={config.policy.class_path} policy.weights={outcome.checkpoint_dir}",
        ),
        checkpoint_dir=outcome.checkpoint_dir,
        model=outcome.model,
        model_digest=digest,
        curve=tuple(curve),
    )


def _resume_folder(config: DAFConfig, tracker: Tracker) -> Path | None:
    """The checkpoint folder behind `training.resume`, once it is known that the training can go on from it."""
    resume = config.training.resume
    if resume is None:
        return None
    folder = _folder_of_run(resume, tracker) if is_run_id(resume) else Path(resume).expanduser()
    try:
        state = load_state(folder)
        resolve_policy(policy_to_train(config, folder))
    except (FileNotFoundError, ValueError) as error:
        raise DAFConfigError([Problem("training.resume", str(error))]) from error
    done = state["global_step"]
    if done >= config.training.num_steps:
        what = f"{config.training.num_steps} agent steps are done already: {folder} holds {done}."
        raise DAFConfigError([Problem("training.num_steps", what, f"Give more than {done}.")])
    saved, asked = state["optimizer_state_dict"]["param_groups"][0].get("initial_lr"), config.optimizer.lr
    if saved is not None and saved != asked:
        tracker.warn(
            f"The resumed schedule goes on from its own learning rate {saved:g}; optimizer.lr={asked:g} is not used."
        )
    tracker.set_tags({"daf.resumed_from": resume, "daf.resumed_at_step": done})
    return folder


def _folder_of_run(run_id: str, tracker: Tracker) -> Path:
    """A run's checkpoint folder, fetched from MLflow where it is no longer on this disk."""
    from mlflow.exceptions import MlflowException

    folder = tracker.run_tags(run_id).get("daf.checkpoint_dir")
    if folder and (Path(folder) / STATE_FILE).is_file():
        return Path(folder)
    fetched = tracker.output_dir / "resumed"
    fetched.mkdir(exist_ok=True)
    try:
        return tracker.fetch_artifacts(run_id, CHECKPOINTS, fetched)
    except MlflowException as error:
        what = f"run {run_id} left no checkpoint, neither on this disk nor in MLflow: {error.message}"
        raise DAFConfigError([Problem("training.resume", what)]) from error


def _log_checkpoint(outcome: TrainingOutcome, tracker: Tracker) -> str:
    """Logs the newest checkpoint with what a resume needs, and its digest."""
    digest = file_digest(outcome.model)
    for name in (outcome.model.name, "trainer_state.pt", "policy_spec.json"):
        tracker.log_file(outcome.checkpoint_dir / name, CHECKPOINTS)
    tracker.set_tags({"daf.checkpoint_sha256": digest})
    tracker.log_metrics(
        {"train/agent_steps": outcome.agent_steps, "train/seconds": outcome.seconds}, step=outcome.agent_steps
    )
    return digest


def _late_reward(curve: list[tuple[int, float]]) -> float | None:
    """Mean training reward over the last quarter of the epochs: a noisy objective, for want of an evaluation."""
    late = curve[-max(1, len(curve) // 4) :]
    return fmean(reward for _, reward in late) if late else None


def _table(outcome: TrainingOutcome, curve: list[tuple[int, float]]) -> ResultTable:
    late = _late_reward(curve)
    return ResultTable(
        "Training",
        ("", "value"),
        (
            ("agent steps", f"{outcome.agent_steps:,}"),
            ("epochs", f"{outcome.epochs:,}"),
            ("seconds", f"{outcome.seconds:.1f}"),
            ("mean episode reward, last quarter", "no episode ended" if late is None else f"{late:.4f}"),
            ("weights", str(outcome.model)),
        ),
    )


def _always(config: DAFConfig) -> bool:
    return True


TRAIN = Task(name="train", run=daf_train, trains=_always, decided_by=OF_TRIALS, scored_by_sweeps=True)
