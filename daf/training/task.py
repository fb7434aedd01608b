"""`task=train`: train a policy, stream its metrics, keep its checkpoints."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from daf.bridge.training import train
from daf.config.commands import command_for, playing
from daf.config.plans import training_plan
from daf.config.references import FOLDER_TAG
from daf.config.schemas import DAFConfig
from daf.config.sections import OF_TRIALS
from daf.errors import DAFInterruptedError
from daf.execution.interrupts import interrupt_deferred
from daf.execution.progress import counted, progress, say
from daf.records import EpochReport, TrainingOutcome
from daf.results import ResultTable, TaskResult
from daf.tasks import Task
from daf.tracking.tracker import Tracker
from daf.training.checkpoints import CHECKPOINTS, log_checkpoint
from daf.training.curve import config_tag, curve_pictures
from daf.training.resume import resume_folder
from daf.visualization.drawing import draw_files
from daf.visualization.text import number_text

type OnEpoch = Callable[[EpochReport], None]


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
    config: DAFConfig, tracker: Tracker, *, on_epoch: OnEpoch = lambda report: None, pictures: bool = True
) -> TrainingResult:
    """Trains the configured policy.

    Args:
        on_epoch: called after every epoch; an exception from it ends the training and propagates.
        pictures: whether its learning curve is drawn.

    Raises:
        DAFConfigError: `training.resume` names nothing that this training can go on from.
        DAFTrainingDivergedError: the network's parameters became NaN or infinite.
        DAFInterruptedError: Ctrl-C; a checkpoint was saved and logged.
    """
    resumed = resume_folder(config, tracker)
    plan = training_plan(config, tracker.output_dir / CHECKPOINTS, resumed, tracker.run_id)
    # Before the training, so that the run can be resumed however it ends.
    tracker.set_tags({FOLDER_TAG: Path(plan.checkpoint_dir).absolute(), **config_tag(config)})
    curve: list[tuple[int, float]] = []
    with progress("training", plan.num_steps) as advance:
        say(f"building {counted(config.training.num_envs, 'environment')}")

        def after_epoch(report: EpochReport) -> None:
            tracker.log_metrics(report.metrics, step=report.agent_steps)
            if report.reward is not None:
                curve.append((report.agent_steps, report.reward))
            advance(report.agent_steps, _note(report))
            on_epoch(report)

        outcome = train(plan, on_epoch=after_epoch, hold_interrupts=interrupt_deferred)
    digest = log_checkpoint(outcome, tracker)
    if outcome.interrupted:
        raise DAFInterruptedError(
            f"Interrupted after {outcome.agent_steps:,} agent steps."
            f" Go on with: training.resume={outcome.checkpoint_dir}"
        )
    if pictures:
        draw_files(tracker, "plots", curve_pictures(config, tracker, curve))
    return _result(config, outcome, digest, curve)


def _note(report: EpochReport) -> str:
    """What stands behind the progress bar."""
    reward = f"reward {number_text(report.reward)}, " if report.reward is not None else ""
    return f"{reward}{report.metrics['SPS']:,.0f} steps/s"


def _result(config: DAFConfig, outcome: TrainingOutcome, digest: str, curve: list[tuple[int, float]]) -> TrainingResult:
    late = _late_reward(curve)
    trained = config.policy.model_copy(update={"weights": str(outcome.checkpoint_dir)})
    return TrainingResult(
        objective=late,
        tables=(_table(outcome, curve),),
        metrics={
            "train/agent_steps": outcome.agent_steps,
            "train/seconds": outcome.seconds,
            "train/epochs": outcome.epochs,
            **({} if late is None else {"train/reward": late}),
        },
        facts={"policy": config.policy.spec().name, "model_digest": digest},
        files={"checkpoint": outcome.checkpoint_dir, "model": outcome.model},
        next=command_for(playing(config, trained), "evaluate"),
        checkpoint_dir=outcome.checkpoint_dir,
        model=outcome.model,
        model_digest=digest,
        curve=tuple(curve),
    )


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
            ("seconds", f"{outcome.seconds:,.1f}"),
            ("mean episode reward, last quarter", "no episode ended" if late is None else number_text(late)),
            ("weights", str(outcome.model)),
        ),
    )


def _always(config: DAFConfig) -> bool:
    return True


TRAIN = Task(
    name="train",
    run=daf_train,
    trains=_always,
    decided_by=OF_TRIALS,
    only_scores=frozenset({"evaluation", "objective"}),
    scored_by_sweeps=True,
    gives=frozenset({"checkpoint", "model"}),
)
