"""What `training.resume` means: from which checkpoint a training goes on, and whether it can."""

from pathlib import Path
from typing import Any

from daf.bridge.file_digests import file_digest
from daf.bridge.policies import resolve_policy
from daf.bridge.training import load_state, policy_to_train
from daf.config.schemas import DAFConfig
from daf.errors import DAFConfigError, Problem
from daf.tracking.store import is_run_id
from daf.tracking.tracker import Tracker
from daf.training.checkpoints import CHECKPOINTS


def resume_folder(config: DAFConfig, tracker: Tracker) -> Path | None:
    """The checkpoint folder behind `training.resume`, once it is known that the training can go on from it.

    Raises:
        DAFConfigError: there is no checkpoint, it is another policy's, or it is as long as the training is to be.
    """
    resume = config.training.resume
    if resume is None:
        return None
    folder = _folder_of_run(resume, tracker) if is_run_id(resume) else Path(resume).expanduser()
    state = _checked_state(config, folder)
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


def _checked_state(config: DAFConfig, folder: Path) -> dict[str, Any]:
    """The state in a checkpoint folder, which is complete and the configured policy's."""
    try:
        state = load_state(folder)
        resolve_policy(policy_to_train(config.policy.spec(), str(folder)))
    except (FileNotFoundError, ValueError) as error:
        raise DAFConfigError([Problem("training.resume", str(error))]) from error
    return state


def _folder_of_run(run_id: str, tracker: Tracker) -> Path:
    """A run's own checkpoint folder, fetched from MLflow where another training has written over it since."""
    from mlflow.exceptions import MlflowException

    tags = tracker.run_tags(run_id)
    digest, folder = tags.get("daf.checkpoint_sha256"), tags.get("daf.checkpoint_dir")
    if folder and _holds(Path(folder), digest):
        return Path(folder)
    fetched = tracker.output_dir / "resumed"
    fetched.mkdir(exist_ok=True)
    try:
        from_mlflow = tracker.fetch_artifacts(run_id, CHECKPOINTS, fetched)
    except MlflowException as error:
        what = f"run {run_id} left no checkpoint of its own, neither on this disk nor in MLflow: {error.message}"
        raise DAFConfigError([Problem("training.resume", what)]) from error
    if not _holds(from_mlflow, digest):
        what = f"the checkpoint of run {run_id}, in MLflow as in {folder}, is not the one that it logged."
        raise DAFConfigError([Problem("training.resume", what)])
    return from_mlflow


def _holds(folder: Path, digest: str | None) -> bool:
    """Whether a folder's checkpoint is the one with that digest of its weights; any will do where none was logged."""
    try:
        state = load_state(folder)
    except (FileNotFoundError, ValueError):
        return False
    return digest is None or file_digest(folder / state["model_name"]) == digest
