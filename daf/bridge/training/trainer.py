"""PufferLib's trainer with a plan's settings, checkpoints that resume, and interrupts between two steps.

Importing this module imports PufferLib, which changes the process: do it inside `contained()` only.
"""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from pufferlib import pufferl
from pufferlib.vector import MAIN

from daf.bridge.batched.actors import fill_empty_tokens
from daf.bridge.training.checkpoints import OWNER
from daf.bridge.training.session import Session
from daf.bridge.training.settings import trainer_settings
from daf.errors import DAFError, DAFTrainingDivergedError
from daf.records import EpochReport

#: Seconds between the signal that ends one process of a group and the same signal in another.
MOMENT_S = 0.5
#: Per-agent copies and the simulator's timers are hundreds of series that no chart can show.
NOISE = ("environment/per_agent/", "environment/attributes/", "environment/per_label", "environment/timing")


class Trainer(pufferl.PuffeRL):  # type: ignore[misc]
    """The trainer of one session, in the place of the one that CoGames would make.

    Args:
        session: what the training shares with its caller.
        config: the settings that CoGames hard-codes; the plan's replace them.
        vecenv: PufferLib's environments.
        policy: the network.

    Attributes:
        closed: whether the training has ended and its last checkpoint is saved.
    """

    def __init__(self, session: Session, config: dict[str, Any], vecenv: Any, policy: Any) -> None:
        settings = trainer_settings(session.plan, vecenv.num_agents, config["use_rnn"])
        self.closed = False
        self._session = session
        self._receive, vecenv.recv = vecenv.recv, self._receive_or_stop
        self._stop_if_interrupted: Callable[[], None] = lambda: None
        super().__init__({**config, **settings}, vecenv, policy, _RunName(session.checkpoints.folder.name))
        session.trainer = self
        # Its thread feeds PufferLib's dashboard, which is never drawn here.
        self.utilization.stop()
        # PufferLib would leave autocast on for ever; `_autocast` takes its place.
        self.amp_context = nullcontext()
        if session.state:
            self._resume(session.state)
        self._fit_schedule()
        self._mark()

    def _resume(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer_state_dict"])
        self.scheduler.load_state_dict(state["scheduler_state_dict"])
        self.global_step = state["global_step"]
        self.epoch = state["update"]
        torch.set_rng_state(state["torch_rng_state"])

    def _fit_schedule(self) -> None:
        """Makes the learning rate reach zero with the last epoch.

        PufferLib counts whole epochs only, while CoGames' loop plays the started one too; and a resumed schedule may
        have to end later than it was meant to.
        """
        steps_left = self.config["total_timesteps"] - self.global_step
        self.total_epochs = self.epoch + math.ceil(steps_left / self.config["batch_size"])
        anneals = self.config["anneal_lr"]
        if anneals and self.scheduler.T_max == self.total_epochs:
            return
        self.scheduler.T_max = self.total_epochs
        # Every step of the schedule starts from the last rate: from zero, where the earlier training had ended.
        rates = self.scheduler._get_closed_form_lr() if anneals else self.scheduler.base_lrs
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self.scheduler._last_lr = rates

    def _mark(self) -> None:
        """Remembers where and when the epoch starts."""
        self._epoch_start = (self.global_step, time.time())

    def print_dashboard(self, *_: Any, **__: Any) -> None:
        """Does nothing: DAF has a progress bar."""

    def _receive_or_stop(self) -> Any:
        self._stop_if_interrupted()
        if hasattr(self.vecenv, "processes"):
            self._await_processes()
        received = self._receive()
        if self._session.zero_padding:
            fill_empty_tokens(received[0])
        return received

    def _await_processes(self) -> None:
        """Waits for the next batch of environments, as PufferLib does, but not for a dead process."""
        next_batch = self.vecenv.waiting_workers[: self.vecenv.workers_per_batch]
        while (self.vecenv.buf["semaphores"][next_batch] < MAIN).any():
            for process in self.vecenv.processes:
                if process.exitcode is not None:
                    # What ended it may have been sent to this process, too, and is here in a moment.
                    time.sleep(MOMENT_S)
                    self._stop_if_interrupted()
                    raise DAFError(
                        f"A process that plays environments died at agent step {self.global_step}, with exit code"
                        f" {process.exitcode}. -9 usually means that memory ran out: try fewer training.num_envs."
                    )

    def _autocast(self) -> AbstractContextManager[Any]:
        enabled = self.config["precision"] == "bfloat16"
        # A cached cast of the weights would outlive the optimizer's step.
        return torch.amp.autocast(self.config["device"], torch.bfloat16, enabled, cache_enabled=False)

    def evaluate(self) -> Any:
        """Plays one rollout, or none where Ctrl-C comes in the middle of it."""
        step = self.global_step
        try:
            # Between two steps and not within one: a simulation cannot be closed while it is being reset.
            with self._autocast(), self._session.hold_interrupts() as self._stop_if_interrupted:
                return super().evaluate()
        except KeyboardInterrupt:
            # The half-played rollout is dropped: nothing was learned from it, and a resume plays it again.
            self.global_step = step
            raise

    def train(self) -> dict[str, float]:
        """Learns from the rollout and reports the epoch.

        Raises:
            DAFTrainingDivergedError: a parameter became NaN or infinite.
        """
        # Zero makes PufferLib report after every epoch; it would skip those shorter than a quarter of a second.
        self.last_log_time = 0.0
        # No checkpoint may be half an epoch.
        with self._autocast(), self._session.hold_interrupts():
            logs: dict[str, float] = super().train()
        if not self._is_finite():
            raise DAFTrainingDivergedError(
                f"Training diverged at agent step {self.global_step}: a parameter is NaN or infinite."
                " Try a lower optimizer.lr or optimizer.max_grad_norm."
            )
        self._session.on_epoch(self._report(logs))
        self._mark()
        return logs

    def _is_finite(self) -> bool:
        return all(parameter.isfinite().all() for parameter in self.uncompiled_policy.parameters())

    def _report(self, logs: dict[str, float]) -> EpochReport:
        # The logs carry the losses of the epoch before, and a rate measured since our zero.
        logs = {**logs, **{f"losses/{name}": value for name, value in self.losses.items()}}
        step, started = self._epoch_start
        logs["SPS"] = (self.global_step - step) / (time.time() - started)
        rewards = [value for key, value in logs.items() if key.startswith("environment/per_label_rewards/")]
        metrics = {
            key: float(value)
            for key, value in logs.items()
            if isinstance(value, int | float) and not key.startswith(NOISE)
        }
        reward = float(rewards[0]) if rewards else None
        if reward is not None:
            metrics["reward"] = reward
        return EpochReport(self.global_step, self.epoch, reward, metrics)

    def save_checkpoint(self) -> str:
        """Saves the weights and what a resume needs, unless they are saved already or have diverged."""
        checkpoints = self._session.checkpoints
        model = checkpoints.model(self.epoch)
        if model not in checkpoints.models and self._is_finite():
            checkpoints.save(model, self.uncompiled_policy.state_dict(), self._state(model.name))
        return str(model)

    def _state(self, model_name: str) -> dict[str, Any]:
        return {
            "optimizer_state_dict": self.optimizer.state_dict(),
            "scheduler_state_dict": self.scheduler.state_dict(),
            "global_step": self.global_step,
            "agent_step": self.global_step,
            "update": self.epoch,
            "model_name": model_name,
            "run_id": self.logger.run_id,
            OWNER: self._session.plan.run_id,
            "torch_rng_state": torch.get_rng_state(),
        }

    def close(self) -> str:
        """Ends the training."""
        with self._session.hold_interrupts():
            self.closed = True
            self.vecenv.close()
            return self.save_checkpoint()


class _RunName:
    """The name under which PufferLib saves, in the shape of its logger."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id

    def log(self, logs: dict[str, float], step: int) -> None:
        """Does nothing: metrics leave through `on_epoch`, once they are complete."""
