"""Where a run keeps its checkpoints, on disk and in MLflow."""

from daf.bridge.file_digests import file_digest
from daf.bridge.training import STATE_FILE
from daf.config.references import CHECKPOINTS, WEIGHTS_TAG
from daf.records import TrainingOutcome
from daf.tracking.tracker import Tracker

__all__ = ["CHECKPOINTS", "log_checkpoint"]


def log_checkpoint(outcome: TrainingOutcome, tracker: Tracker) -> str:
    """Logs the newest checkpoint with what a resume needs, and returns the SHA-256 (hex) of its weights."""
    digest = file_digest(outcome.model)
    for name in (outcome.model.name, STATE_FILE, "policy_spec.json"):
        tracker.log_file(outcome.checkpoint_dir / name, CHECKPOINTS)
    tracker.set_tags({WEIGHTS_TAG: digest})
    tracker.log_metrics(
        {"train/agent_steps": outcome.agent_steps, "train/seconds": outcome.seconds}, step=outcome.agent_steps
    )
    return digest
