"""What `training.resume` means: from which checkpoint a training goes on, and whether it can."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml

from daf.bridge.file_digests import file_digest
from daf.bridge.policies import resolve_policy
from daf.bridge.training import OWNER, load_state, policy_to_train
from daf.config.brought_along import CONFIG_FILE, GAME
from daf.config.references import CHECKPOINTS, FOLDER_TAG, WEIGHTS_TAG
from daf.config.schemas import DAFConfig
from daf.errors import DAFConfigError, Problem
from daf.files import user_path
from daf.tracking.deliver import reason
from daf.tracking.store import client_of, is_run_id
from daf.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient


def resume_folder(config: DAFConfig, tracker: Tracker) -> Path | None:
    """The checkpoint folder behind `training.resume`, once it is known that the training can go on from it.

    Raises:
        DAFConfigError: there is no checkpoint, it is another run's or policy's, or it is as long as the training is to
            be.
    """
    resume = config.training.resume
    if resume is None:
        return None
    folder, state = _checkpoint(config, resume, tracker.client, tracker.output_dir / "resumed")
    saved, asked = state["optimizer_state_dict"]["param_groups"][0].get("initial_lr"), config.optimizer.lr
    if saved is not None and saved != asked:
        tracker.warn(
            f"The resumed schedule goes on from its own learning rate {saved:g}; optimizer.lr={asked:g} is not used."
        )
    tracker.set_tags({"daf.resumed_from": resume, "daf.resumed_at_step": state["global_step"]})
    return folder


def resume_problems(config: DAFConfig) -> list[Problem]:
    """What is wrong with `training.resume`, found out while nothing has been begun."""
    resume = config.training.resume
    if resume is None:
        return []
    try:
        with TemporaryDirectory(prefix="daf-resume-") as fetched:
            client = client_of(config.tracking.uri) if is_run_id(resume) else None
            _checkpoint(config, resume, client, Path(fetched))
    except DAFConfigError as error:
        return error.problems
    return []


def resume_warnings(config: DAFConfig) -> list[Problem]:
    """What the training in the folder was trained on, where this one goes on with something else."""
    resume = config.training.resume
    if resume is None or is_run_id(resume):
        return []
    asked = config.model_dump(mode="json", include=set(GAME))
    try:
        trained = yaml.safe_load((user_path(resume).parent / CONFIG_FILE).read_text())
        other = [
            f"{section}.{key}={value}"
            for section in GAME
            for key, value in trained[section].items()
            if asked[section].get(key) != value
        ]
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):  # somebody else's folder
        return []
    what = f"the training there had {', '.join(other)}; this one goes on with other values."
    return [Problem("training.resume", what, "Give these keys as well, unless that is meant.")] if other else []


def _checkpoint(
    config: DAFConfig, resume: str, client: "MlflowClient | None", fetched: Path
) -> tuple[Path, dict[str, Any]]:
    """A checkpoint folder that is complete and the configured policy's, and the state in it.

    Args:
        client: of the store that knows the runs; None is an empty one.
        fetched: folder for what only MLflow has.
    """
    folder = _folder_of_run(resume, client, fetched) if is_run_id(resume) else user_path(resume)
    try:
        state = load_state(folder)
        resolve_policy(policy_to_train(config.policy.spec(), str(folder)))
    except (OSError, ValueError) as error:
        raise _wrong(str(error)) from error
    done = state["global_step"]
    if done >= config.training.num_steps:
        what = f"{config.training.num_steps} agent steps are done already: {folder} holds {done}."
        raise DAFConfigError([Problem("training.num_steps", what, f"Give more than {done}.")])
    return folder, state


def _wrong(what: str, hint: str = "") -> DAFConfigError:
    return DAFConfigError([Problem("training.resume", what, hint)])


def _folder_of_run(run_id: str, client: "MlflowClient | None", fetched: Path) -> Path:
    """A run's own checkpoint folder, fetched from MLflow where it is not on this disk, or another run's by now."""
    if client is None:
        raise _wrong(f"the tracking store has no run {run_id}: it is empty.")
    try:
        tags = client.get_run(run_id).data.tags
    except Exception as error:  # MLflow and its databases raise what they like
        raise _wrong(f"the tracking store has no run {run_id}: {reason(error)}") from error
    digest, folder = tags.get(WEIGHTS_TAG), tags.get(FOLDER_TAG)
    here = "it noted no folder" if folder is None else _why_not_of(Path(folder), run_id, digest)
    if here is None:
        return Path(str(folder))
    fetched.mkdir(exist_ok=True)
    try:
        from_mlflow = Path(client.download_artifacts(run_id, CHECKPOINTS, str(fetched)))
        there = _why_not_of(from_mlflow, run_id, digest)
    except Exception as error:
        there = reason(error).rstrip(".")
    if there is None:
        return from_mlflow
    what = f"run {run_id} left no checkpoint of its own, neither on this disk ({here}) nor in MLflow ({there})."
    raise _wrong(what, "A checkpoint folder is resumed by its path, whosesoever it is.")


def _why_not_of(folder: Path, run_id: str, digest: str | None) -> str | None:
    """Why a folder's checkpoint is not known to be the run's own, or None if it is.

    Args:
        digest: SHA-256 of the weights that the run logged, if it came so far.
    """
    try:
        state = load_state(folder)
        weights = file_digest(folder / state["model_name"]) if digest else None
    except (OSError, ValueError) as error:
        return str(error)
    owner = state.get(OWNER)
    if owner not in (None, run_id):
        return f"{folder} holds one of run {owner}"
    if digest is None and owner is None:
        return f"{folder} holds one that does not say whose it is"
    return None if weights == digest else f"{folder} holds another than the one it logged"
