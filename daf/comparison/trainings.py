"""Several trainings in one task, each in an MLflow run and a folder that a later run of the task finds again."""

import shutil
from dataclasses import replace

from daf.bridge.missions import mission_digest
from daf.bridge.policies import code_digest, policy_digest
from daf.config.schemas import DAFConfig
from daf.files import write_whole
from daf.records import PolicySpec, digest
from daf.tracking.provenance import log_provenance
from daf.tracking.tracker import Tracker
from daf.training import CHECKPOINTS, daf_train

#: Written into a training's folder when all is done; without it the training is done again.
FINISHED = "mlflow_run_id"


def trained_policies(config: DAFConfig, policy: PolicySpec, trainings: int, tracker: Tracker) -> tuple[PolicySpec, ...]:
    """The policy after so many trainings as `config` says, with seeds from `seed` on, named after policy and seed."""
    seeds = range(config.seed, config.seed + trainings)
    return tuple(_trained_policy(config, policy, seed, tracker) for seed in seeds)


def _trained_policy(config: DAFConfig, policy: PolicySpec, seed: int, tracker: Tracker) -> PolicySpec:
    """The policy as a training leaves it, or as the same training left it in an earlier run of the task."""
    name = f"{policy.name}, seed {seed}"
    config = config.model_copy(update={"seed": seed})
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
            daf_train(config, run, pictures=False)
        write_whole(finished, run.run_id)
    return replace(policy, name=name, weights=str(folder / CHECKPOINTS))


def training_digest(name: str, config: DAFConfig) -> str:
    """SHA-256 of everything that decides what a training gives."""
    policy, options = config.policy.spec(), config.model_dump(mode="json", include={"optimizer", "training"})
    made_of = [mission_digest(config.mission_spec()), policy_digest(policy), code_digest(policy.class_path)]
    return digest([name, *made_of, options, config.device, config.seed])
