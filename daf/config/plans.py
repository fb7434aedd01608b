"""The training that a config asks for."""

from dataclasses import fields
from pathlib import Path

from daf.config.schemas import DAFConfig
from daf.records import AdamSettings, PPOSettings, TrainingPlan


def training_plan(
    config: DAFConfig, checkpoint_dir: Path, resume_from: Path | None = None, run_id: str | None = None
) -> TrainingPlan:
    """The configured training as plain data.

    `optimizer` and `training` reach the plan whole: a key that the plan has no place for is a TypeError.

    Args:
        checkpoint_dir: where checkpoints are written.
        resume_from: checkpoint folder behind `training.resume`.
        run_id: MLflow run of the training.
    """
    training = config.training.model_dump(exclude={"resume"})
    ppo = {field.name: training.pop(field.name) for field in fields(PPOSettings)}
    return TrainingPlan(
        mission=config.mission_spec(),
        policy=config.policy.spec(),
        optimizer=AdamSettings(**config.optimizer.model_dump()),
        ppo=PPOSettings(**ppo),
        seed=config.seed,
        device=config.device,
        checkpoint_dir=str(checkpoint_dir),
        resume_from=str(resume_from) if resume_from else None,
        run_id=run_id,
        **training,
    )
