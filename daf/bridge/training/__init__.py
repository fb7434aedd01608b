"""`cogames.train.train` with every hyper-parameter from a plan, checkpoints that resume, and no leaks."""

import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daf.bridge.devices import resolve_device
from daf.bridge.imports import contained, seed_everything
from daf.bridge.missions import build_mission
from daf.bridge.training.checkpoints import OWNER, STATE_FILE, load_state
from daf.bridge.training.patches import installed
from daf.bridge.training.session import HoldInterrupts, Session, policy_to_train
from daf.records import EpochReport, TrainingOutcome, TrainingPlan

if TYPE_CHECKING:
    import torch

__all__ = ["OWNER", "STATE_FILE", "HoldInterrupts", "load_state", "policy_to_train", "train"]


def train(
    plan: TrainingPlan,
    *,
    on_epoch: Callable[[EpochReport], None] = lambda report: None,
    hold_interrupts: HoldInterrupts,
) -> TrainingOutcome:
    """Carries a plan out through `cogames.train.train`.

    Args:
        on_epoch: called after every epoch; an exception from it ends the training and propagates.
        hold_interrupts: holds Ctrl-C back until its block ends, or until what it yields is called.

    Raises:
        DAFTrainingDivergedError: a parameter became NaN or infinite.
        DAFError: a process that plays environments died.
    """
    with contained():
        import cogames.train as cogames_train

        from daf.bridge.training.trainer import Trainer
    import torch

    torch.set_num_threads(plan.torch_threads)
    arguments = _arguments(plan, torch.device(resolve_device(plan.device)))
    seed_everything(plan.seed)
    session = Session(plan, on_epoch, hold_interrupts)
    started = time.perf_counter()
    with warnings.catch_warnings(), installed(cogames_train, Trainer, session), _current(arguments["device"]):
        warnings.filterwarnings("ignore", message="In CPU autocast")
        _train_to_the_end(cogames_train, session, arguments)
    return session.outcome(time.perf_counter() - started)


def _train_to_the_end(cogames_train: Any, session: Session, arguments: dict[str, Any]) -> None:
    """Trains until the plan is done or Ctrl-C comes, and leaves nothing running, however it ends."""
    try:
        cogames_train.train(
            policy_class_path=session.policy.class_path, initial_weights_path=session.initial_weights, **arguments
        )
    except KeyboardInterrupt:
        # A second one, once CoGames has closed the trainer and saved, changes nothing.
        if not session.is_closed():
            raise
    finally:
        session.clean_up()


def _arguments(plan: TrainingPlan, device: "torch.device") -> dict[str, Any]:
    """What `cogames.train.train` takes besides the policy; the plan's hyper-parameters reach its trainer later."""
    return {
        "env_cfg": build_mission(plan.mission)[1],
        "device": device,
        "num_steps": plan.num_steps,
        "checkpoints_path": Path(plan.checkpoint_dir).parent,
        "seed": plan.seed,
        "minibatch_size": plan.ppo.minibatch_size,
        "map_seed": plan.map_seed,
        "vector_num_envs": plan.num_envs,
        "vector_batch_size": plan.vector_batch_size,
        "vector_num_workers": plan.num_workers,
        "checkpoint_interval": plan.checkpoint_interval,
    }


def _current(device: "torch.device") -> AbstractContextManager[Any]:
    """Makes a GPU the current one: CoGames gives PufferLib the type of the device only."""
    import torch

    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
