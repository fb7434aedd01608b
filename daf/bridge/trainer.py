"""`cogames.train.train` with every hyper-parameter from the config, checkpoints that resume, and no leaks."""

import io
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from daf.bridge.batched.actors import KNOWN_FORMS, fill_empty_tokens
from daf.bridge.devices import resolve_device
from daf.bridge.imports import contained, seed_everything
from daf.bridge.missions import build_mission
from daf.bridge.policies import resolve_policy
from daf.config.schemas import DAFConfig
from daf.errors import DAFError, DAFTrainingDivergedError
from daf.execution.interrupts import interrupt_deferred
from daf.records import PolicySpec

STATE_FILE = "trainer_state.pt"


@dataclass(frozen=True)
class EpochReport:
    """What is known after one epoch of training.

    Attributes:
        agent_steps: agent steps played since the training began, those before a resume included.
        epoch: epochs finished.
        reward: mean reward of an agent over the episodes that ended in this epoch, or None if none ended.
        metrics: every number that PufferLib reports, this epoch's losses included.
    """

    agent_steps: int
    epoch: int
    reward: float | None
    metrics: dict[str, float]


@dataclass(frozen=True)
class TrainingOutcome:
    """A finished (or cleanly interrupted) training.

    Attributes:
        checkpoint_dir: folder with ``model_<epoch>.pt``, ``trainer_state.pt`` and ``policy_spec.json``.
        model: the newest weights in it.
        interrupted: whether Ctrl-C ended it early.
    """

    checkpoint_dir: Path
    model: Path
    agent_steps: int
    epochs: int
    seconds: float
    interrupted: bool


def train(
    config: DAFConfig,
    checkpoint_dir: Path,
    *,
    resume_from: Path | None = None,
    on_epoch: Callable[[EpochReport], None] = lambda report: None,
) -> TrainingOutcome:
    """Trains the configured policy on the configured mission through `cogames.train.train`.

    Args:
        checkpoint_dir: where checkpoints are written; created if missing.
        resume_from: checkpoint folder of an earlier training whose weights, optimizer state, step count and learning
            rate schedule are taken over.
        on_epoch: called after every epoch; an exception from it ends the training and propagates.

    Raises:
        DAFTrainingDivergedError: a parameter became NaN or infinite.
        DAFError: a process that plays environments died.
    """
    with contained():
        import cogames.train as cogames_train
    import torch

    torch.set_num_threads(config.training.torch_threads)
    _, env_config = build_mission(config.mission_spec())
    seed_everything(config.seed)
    session = _Session(config, checkpoint_dir, resume_from, on_epoch)
    started = time.perf_counter()
    device = torch.device(resolve_device(config.device))
    # CoGames tells PufferLib the type of the device only: "cuda" is then the current one.
    current_device = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
    with warnings.catch_warnings(), _installed(cogames_train, session), current_device:
        warnings.filterwarnings("ignore", message="In CPU autocast")
        try:
            cogames_train.train(
                env_cfg=env_config,
                policy_class_path=session.policy.class_path,
                device=device,
                initial_weights_path=session.initial_weights,
                num_steps=config.training.num_steps,
                checkpoints_path=checkpoint_dir.parent,
                seed=config.seed,
                minibatch_size=config.training.minibatch_size,
                map_seed=config.training.map_seed,
                vector_num_envs=config.training.num_envs,
                vector_batch_size=config.training.vector_batch_size,
                vector_num_workers=config.training.num_workers,
                checkpoint_interval=config.training.checkpoint_interval,
            )
        except KeyboardInterrupt:
            # CoGames has closed the trainer and saved; it calls the previous handler, which raises, on its way out.
            if session.trainer is None or not session.trainer.closed:
                raise
        finally:
            session.clean_up()
    trainer = session.trainer
    return TrainingOutcome(
        checkpoint_dir=checkpoint_dir,
        model=checkpoint_dir / _model_name(trainer.epoch),
        agent_steps=trainer.global_step,
        epochs=trainer.epoch,
        seconds=time.perf_counter() - started,
        # CoGames returns as if all were done where the previous handler ignores Ctrl-C (a shell's background job).
        interrupted=trainer.global_step < config.training.num_steps,
    )


class _Session:
    """What one call of `train` shares with the trainer that CoGames creates for it."""

    def __init__(
        self,
        config: DAFConfig,
        checkpoint_dir: Path,
        resume_from: Path | None,
        on_epoch: Callable[[EpochReport], None],
    ) -> None:
        self.config = config
        self.checkpoint_dir = checkpoint_dir
        self.on_epoch = on_epoch
        self.state = load_state(resume_from) if resume_from else None
        self.policy = resolve_policy(policy_to_train(config, resume_from))
        self.initial_weights = self.policy.data_path
        # This training's own, oldest first. Others in the folder, of a training before it, are not ours to drop.
        self.models: list[Path] = []
        if resume_from and self.state:
            self.initial_weights = str(resume_from / self.state["model_name"])
            if resume_from.resolve() == checkpoint_dir.resolve():
                models = sorted(checkpoint_dir.glob("model_*.pt"))
                self.models = [model for model in models if model.name <= self.state["model_name"]]
        self.vecenv: Any = None
        self.trainer: Any = None
        form = KNOWN_FORMS.get(self.policy.class_path)
        self.zero_padding = config.training.evaluation_padding and form is not None and form.zero_padding

    def clean_up(self) -> None:
        """Stops what an exception inside CoGames' loop leaves behind."""
        if self.trainer is not None:
            self.trainer.utilization.stop()
            self.trainer.utilization.join()
        if self.trainer is None or not self.trainer.closed:
            if self.vecenv is not None:
                self.vecenv.close()
        elif (self.checkpoint_dir / _model_name(self.trainer.epoch)).is_file():
            # CoGames' own spec, written last, lacks the init arguments.
            self.write_spec(_model_name(self.trainer.epoch))

    def write_spec(self, model_name: str) -> None:
        """Makes the checkpoint folder loadable as a policy, by CoGames too."""
        from mettagrid.policy.submission import (
            POLICY_SPEC_FILENAME,
            SubmissionPolicySpec,
            write_submission_policy_spec,
        )

        spec = SubmissionPolicySpec(
            class_path=self.policy.class_path, data_path=model_name, init_kwargs=self.policy.init_kwargs
        )
        write_submission_policy_spec(self.checkpoint_dir / POLICY_SPEC_FILENAME, spec)


@contextmanager
def _installed(cogames_train: Any, session: _Session) -> Iterator[None]:
    """Puts our trainer, loaders and a silent console into `cogames.train` for the duration of one call."""
    originals = (cogames_train.pufferl.PuffeRL, cogames_train.initialize_or_load_policy, cogames_train.Console)
    load, make = cogames_train.initialize_or_load_policy, cogames_train.pvector.make

    def load_with_arguments(interface: Any, spec: Any) -> Any:
        # train() builds its own spec, without the init arguments.
        spec.init_kwargs = dict(session.policy.init_kwargs)
        return load(interface, spec)

    def make_environments(*args: Any, backend: Any, **kwargs: Any) -> Any:
        forks = backend is cogames_train.pvector.Multiprocessing
        with _interrupt_ignored() if forks else nullcontext():
            session.vecenv = make(*args, backend=backend, **kwargs)
        return session.vecenv

    cogames_train.pvector.make = make_environments
    cogames_train.pufferl.PuffeRL = _trainer_class(originals[0], session)
    cogames_train.initialize_or_load_policy = load_with_arguments
    cogames_train.Console = lambda: originals[2](file=io.StringIO())
    try:
        yield
    finally:
        cogames_train.pufferl.PuffeRL, cogames_train.initialize_or_load_policy, cogames_train.Console = originals
        cogames_train.pvector.make = make


@contextmanager
def _interrupt_ignored() -> Iterator[None]:
    """Processes started in it never hear Ctrl-C. A terminal sends it to all, but the trainer alone must act on it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def trainer_settings(config: DAFConfig, total_agents: int, use_rnn: bool) -> dict[str, Any]:
    """PufferLib's settings from the config, sizes made to fit each other.

    Args:
        total_agents: agents of all environments together.
        use_rnn: whether the policy is recurrent, which decides CoGames' choice of `bptt_horizon`.
    """
    optimizer, training = config.optimizer, config.training
    horizon = training.bptt_horizon or (64 if use_rnn else 1)
    batch = total_agents * horizon
    minibatch = min(training.minibatch_size, batch) // horizon * horizon
    largest = max(training.max_minibatch_size // horizon, 1) * horizon
    if minibatch > largest:
        minibatch -= minibatch % largest
    return {
        "learning_rate": optimizer.lr,
        "adam_beta1": optimizer.beta1,
        "adam_beta2": optimizer.beta2,
        "adam_eps": optimizer.eps,
        "max_grad_norm": optimizer.max_grad_norm,
        "anneal_lr": optimizer.anneal_lr,
        "gamma": training.gamma,
        "gae_lambda": training.gae_lambda,
        "update_epochs": training.update_epochs,
        "clip_coef": training.clip_coef,
        "vf_coef": training.vf_coef,
        "vf_clip_coef": training.vf_clip_coef,
        "ent_coef": training.ent_coef,
        "prio_alpha": training.prio_alpha,
        "prio_beta0": training.prio_beta0,
        "vtrace_rho_clip": training.vtrace_rho_clip,
        "vtrace_c_clip": training.vtrace_c_clip,
        "precision": training.precision,
        "bptt_horizon": horizon,
        "minibatch_size": max(minibatch, horizon),
        "max_minibatch_size": largest,
        "total_timesteps": max(training.num_steps, batch),
    }


def _trainer_class(base: type, session: _Session) -> type:
    """A subclass of PufferLib's trainer, bound to one session."""

    class Trainer(base):  # type: ignore[misc, valid-type]
        def __init__(self, config: dict[str, Any], vecenv: Any, policy: Any) -> None:
            settings = trainer_settings(session.config, vecenv.num_agents, config["use_rnn"])
            self.closed = False
            self._receive, vecenv.recv = vecenv.recv, self._receive_or_stop
            self._stop_if_interrupted: Callable[[], None] = lambda: None
            super().__init__({**config, **settings}, vecenv, policy, _RunName(session.checkpoint_dir.name))
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
            import torch

            self.optimizer.load_state_dict(state["optimizer_state_dict"])
            self.scheduler.load_state_dict(state["scheduler_state_dict"])
            self.global_step = state["global_step"]
            self.epoch = state["update"]
            torch.set_rng_state(state["torch_rng_state"])

        def _fit_schedule(self) -> None:
            """Makes the learning rate reach zero with the last epoch.

            PufferLib counts whole epochs only, while CoGames' loop plays the started one too; and a resumed schedule
            may have to end later than it was meant to.
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
            self._epoch_start = (self.global_step, time.time())

        def print_dashboard(self, *_: Any, **__: Any) -> None:
            """Drawn by DAF's own progress bar instead."""

        def _receive_or_stop(self) -> Any:
            self._stop_if_interrupted()
            if hasattr(self.vecenv, "processes"):
                self._await_processes()
            received = self._receive()
            if session.zero_padding:
                fill_empty_tokens(received[0])
            return received

        def _await_processes(self) -> None:
            """Waits for the next batch of environments, as PufferLib does, but not for a dead process."""
            from pufferlib.vector import MAIN

            next_batch = self.vecenv.waiting_workers[: self.vecenv.workers_per_batch]
            while (self.vecenv.buf["semaphores"][next_batch] < MAIN).any():
                for process in self.vecenv.processes:
                    if process.exitcode is not None:
                        raise DAFError(
                            f"A process that plays environments died at agent step {self.global_step}, with exit code"
                            f" {process.exitcode}. -9 usually means that memory ran out: try fewer training.num_envs."
                        )

        def _autocast(self) -> AbstractContextManager[Any]:
            import torch

            enabled = self.config["precision"] == "bfloat16"
            # A cached cast of the weights would outlive the optimizer's step.
            return torch.amp.autocast(self.config["device"], torch.bfloat16, enabled, cache_enabled=False)

        def evaluate(self) -> Any:
            step = self.global_step
            try:
                # Between two steps and not within one: a simulation cannot be closed while it is being reset.
                with self._autocast(), interrupt_deferred() as self._stop_if_interrupted:
                    return super().evaluate()
            except KeyboardInterrupt:
                # The half-played rollout is dropped: nothing was learned from it, and a resume plays it again.
                self.global_step = step
                raise

        def train(self) -> dict[str, float]:
            # Zero makes PufferLib report after every epoch; it would skip those shorter than a quarter of a second.
            self.last_log_time = 0.0
            # No checkpoint may be half an epoch.
            with self._autocast(), interrupt_deferred():
                logs = super().train()
            if not all(parameter.isfinite().all() for parameter in self.uncompiled_policy.parameters()):
                raise DAFTrainingDivergedError(
                    f"Training diverged at agent step {self.global_step}: a parameter is NaN or infinite."
                    " Try a lower optimizer.lr or optimizer.max_grad_norm."
                )
            session.on_epoch(self._report(logs))
            self._mark()
            return logs

        def _report(self, logs: dict[str, float]) -> EpochReport:
            # The logs carry the losses of the epoch before, and a rate measured since our zero.
            logs = {**logs, **{f"losses/{name}": value for name, value in self.losses.items()}}
            step, started = self._epoch_start
            logs["SPS"] = (self.global_step - step) / (time.time() - started)
            rewards = [v for k, v in logs.items() if k.startswith("environment/per_label_rewards/")]
            metrics = {key: float(value) for key, value in logs.items() if _is_worth_logging(key, value)}
            reward = float(rewards[0]) if rewards else None
            if reward is not None:
                metrics["reward"] = reward
            return EpochReport(self.global_step, self.epoch, reward, metrics)

        def save_checkpoint(self) -> str:
            model = session.checkpoint_dir / _model_name(self.epoch)
            if model not in session.models and all(p.isfinite().all() for p in self.uncompiled_policy.parameters()):
                session.checkpoint_dir.mkdir(parents=True, exist_ok=True)
                _save(self.uncompiled_policy.state_dict(), model)
                _save(self._state(), session.checkpoint_dir / STATE_FILE)
                session.write_spec(model.name)
                session.models.append(model)
                _drop_oldest(session.models, session.config.training.max_checkpoints_to_keep)
            return str(model)

        def _state(self) -> dict[str, Any]:
            import torch

            return {
                "optimizer_state_dict": self.optimizer.state_dict(),
                "scheduler_state_dict": self.scheduler.state_dict(),
                "global_step": self.global_step,
                "agent_step": self.global_step,
                "update": self.epoch,
                "model_name": _model_name(self.epoch),
                "run_id": session.checkpoint_dir.name,
                "torch_rng_state": torch.get_rng_state(),
            }

        def close(self) -> str:
            self.closed = True
            self.vecenv.close()
            return self.save_checkpoint()

    return Trainer


class _RunName:
    """Tells PufferLib, in the shape of its logger, under which name to save."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id

    def log(self, logs: dict[str, float], step: int) -> None:
        """Metrics leave through `on_epoch`, once they are complete."""


def _is_worth_logging(key: str, value: object) -> bool:
    # Per-agent copies and the simulator's timers are hundreds of series that no chart can show.
    noise = ("environment/per_agent/", "environment/attributes/", "environment/per_label", "environment/timing")
    return isinstance(value, int | float) and not key.startswith(noise)


def _model_name(epoch: int) -> str:
    return f"model_{epoch:06d}.pt"


def _save(content: object, path: Path) -> None:
    import torch

    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)


def _drop_oldest(models: list[Path], keep: int) -> None:
    for model in models[:-keep]:
        model.unlink(missing_ok=True)
    del models[:-keep]


def policy_to_train(config: DAFConfig, resume_from: Path | None) -> PolicySpec:
    """The configured policy, in a resume with the weights and the init arguments of the checkpoint folder."""
    spec = config.policy.spec()
    return replace(spec, weights=str(resume_from)) if resume_from else spec


def load_state(folder: Path) -> dict[str, Any]:
    """Reads ``trainer_state.pt`` of a checkpoint folder.

    Raises:
        FileNotFoundError: the folder holds none, or not the weights that belong to it.
        ValueError: CoGames wrote it, without what a resume needs.
    """
    import torch

    state: dict[str, Any] = torch.load(folder / STATE_FILE, map_location="cpu", weights_only=True)
    if missing := {"scheduler_state_dict", "torch_rng_state", "model_name"} - state.keys():
        raise ValueError(
            f"{folder / STATE_FILE} was not written by DAF, for it lacks {', '.join(sorted(missing))}."
            f" Start from its weights instead: policy.weights={folder}"
        )
    if not (folder / state["model_name"]).is_file():
        raise FileNotFoundError(f"{folder} lacks {state['model_name']}, which its {STATE_FILE} belongs to")
    return state
