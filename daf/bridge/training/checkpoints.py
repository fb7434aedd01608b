"""Checkpoint folders: weights, what a resume needs besides them, and a policy spec that CoGames reads too."""

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daf.bridge.file_digests import file_digest
from daf.bridge.tensors import read_tensors
from daf.files import write_whole
from daf.redaction import redactor

if TYPE_CHECKING:
    from mettagrid.policy.policy import PolicySpec as CogamesPolicySpec

STATE_FILE = "trainer_state.pt"
#: Keys of the state: MLflow run of the training, and SHA-256 (hex) of the weights that the state belongs to.
OWNER, WEIGHTS = "daf_run_id", "daf_weights_sha256"
NEEDED_STATE = {"global_step", "model_name", "optimizer_state_dict", "scheduler_state_dict", "torch_rng_state"}


class Checkpoints:
    """The checkpoint folder that one training writes.

    Args:
        policy: the policy that is trained.
        keep: newest weights that stay on disk.
        models: weights in the folder, oldest first, that are dropped as if this training had written them. Others,
            of a training before it, are not its to drop.

    Attributes:
        folder: the folder, made with the first checkpoint.
        models: weights that this training wrote and did not drop yet, oldest first.
    """

    def __init__(self, folder: Path, policy: "CogamesPolicySpec", keep: int, models: Iterable[Path] = ()) -> None:
        self.folder = folder
        self.models = list(models)
        self._policy = policy
        self._keep = keep

    def model(self, epoch: int) -> Path:
        """The file for the weights after so many epochs."""
        return self.folder / f"model_{epoch:06d}.pt"

    def save(self, model: Path, weights: dict[str, Any], state: dict[str, Any]) -> None:
        """Writes a checkpoint and drops the oldest weights that are too many.

        Args:
            model: the file for the weights.
            weights: state dict of the network.
            state: what a resume needs besides them.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        written = _save(weights, model)
        _save({**state, WEIGHTS: written}, self.folder / STATE_FILE)
        self.write_spec(model)
        self.models.append(model)
        for old in self.models[: -self._keep]:
            old.unlink(missing_ok=True)
        del self.models[: -self._keep]

    def write_spec(self, model: Path) -> None:
        """Makes the folder loadable as a policy with the weights in `model`, by CoGames too."""
        from mettagrid.policy.submission import (
            POLICY_SPEC_FILENAME,
            SubmissionPolicySpec,
            write_submission_policy_spec,
        )

        # An argument that holds a secret is left out: who loads the folder gives it again.
        arguments = {k: v for k, v in self._policy.init_kwargs.items() if not redactor().hides(k, v)}
        spec = SubmissionPolicySpec(class_path=self._policy.class_path, data_path=model.name, init_kwargs=arguments)
        write_submission_policy_spec(self.folder / POLICY_SPEC_FILENAME, spec)


def _save(content: object, path: Path) -> str:
    """Writes a file and returns its SHA-256 (hex)."""
    import torch

    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_whole(path, buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def models_up_to(folder: Path, newest: str) -> list[Path]:
    """The weights in a checkpoint folder, oldest first, without those that are newer than the one of that name."""
    return [model for model in sorted(folder.glob("model_*.pt")) if model.name <= newest]


def load_state(folder: Path) -> dict[str, Any]:
    """Reads ``trainer_state.pt`` of a checkpoint folder.

    Raises:
        FileNotFoundError: the folder holds none, or not the weights that belong to it.
        ValueError: it is damaged, CoGames wrote it, without what a resume needs, or another training wrote the weights.
    """
    state = _read_state(folder / STATE_FILE)
    if missing := NEEDED_STATE - state.keys():
        raise ValueError(
            f"{folder / STATE_FILE} was not written by DAF, for it lacks {', '.join(sorted(missing))}."
            f" Start from its weights instead: policy.weights={folder}"
        )
    if not (folder / state["model_name"]).is_file():
        raise FileNotFoundError(f"{folder} lacks {state['model_name']}, which its {STATE_FILE} belongs to")
    model = folder / state["model_name"]
    if WEIGHTS in state and file_digest(model) != state[WEIGHTS]:
        raise ValueError(f"{model} is not of the training that wrote {STATE_FILE}: another one wrote over it")
    return state


def _read_state(path: Path) -> dict[str, Any]:
    """Tensors and plain values only: nothing in the file runs."""
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} holds no {path.name}, which a training goes on from")
    try:
        state = read_tensors(path)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not isinstance(state, dict):
        raise ValueError(f"{path} holds no training's state")
    return state
