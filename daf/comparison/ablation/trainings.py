"""Trainings with parts switched off, each in an MLflow run and a folder that a later run of the task finds again."""

import shutil
from dataclasses import replace

from daf.bridge.missions import mission_digest
from daf.bridge.policies import code_digest, policy_digest
from daf.comparison.ablation.conditions import Condition, label
from daf.config.schemas import DAFConfig
from daf.records import MissionSpec, PolicySpec, digest
from daf.tracking.provenance import log_provenance
from daf.tracking.tracker import Tracker
from daf.training import CHECKPOINTS, daf_train

#: Written into a training's folder when all is done; without it the training is done again.
FINISHED = "mlflow_run_id"


def trained_condition(condition: Condition, missions: tuple[MissionSpec, ...], tracker: Tracker) -> Condition:
    """The condition's policies after `ablation.trainings` trainings, ready to play on missions with everything on."""
    first = condition.config.seed
    seeds = range(first, first + condition.config.ablation.trainings)
    policies = tuple(_trained_policy(condition, seed, tracker) for seed in seeds)
    return replace(condition, missions=missions, policies=policies)


def _trained_policy(condition: Condition, seed: int, tracker: Tracker) -> PolicySpec:
    """The condition's policy as a training leaves it, or as the same training left it in an earlier run of the task."""
    name = f"{label(condition.off)}, seed {seed}"
    config = condition.config.model_copy(update={"seed": seed})
    folder = tracker.output_dir / "trainings" / training_digest(name, config)[:16]
    finished = folder / FINISHED
    if finished.is_file():
        tracker.warn(f"{name} was trained before, in MLflow run {finished.read_text()}; its weights are used again.")
    else:
        shutil.rmtree(folder, ignore_errors=True)  # what an interrupted training left
        folder.mkdir(parents=True)
        config = config.model_copy(update={"output_dir": str(folder)})
        with Tracker(tracker.client, tracker.experiment_id, name, folder, parent_run_id=tracker.run_id) as run:
            log_provenance(run, config, overrides=())
            daf_train(config, run)
        finished.write_text(run.run_id)
    return replace(condition.policies[0], name=name, weights=str(folder / CHECKPOINTS))


def training_digest(name: str, config: DAFConfig) -> str:
    """SHA-256 of everything that decides what a training gives."""
    policy, options = config.policy.spec(), config.model_dump(mode="json", include={"optimizer", "training"})
    made_of = [mission_digest(config.mission_spec()), policy_digest(policy), code_digest(policy.class_path)]
    return digest([name, *made_of, options, config.device, config.seed])
