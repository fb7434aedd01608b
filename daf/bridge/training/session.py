"""What one training shares with the trainer that CoGames creates for it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from daf.bridge.batched.actors import KNOWN_FORMS
from daf.bridge.policies import resolve_policy
from daf.bridge.training.checkpoints import Checkpoints, load_state, models_up_to
from daf.records import EpochReport, PolicySpec, TrainingOutcome, TrainingPlan

#: Holds Ctrl-C back until its block ends, or until what it yields is called.
HoldInterrupts = Callable[[], AbstractContextManager[Callable[[], None]]]


def policy_to_train(policy: PolicySpec, resume_from: str | None) -> PolicySpec:
    """The policy, in a resume with the weights and the init arguments of the checkpoint folder."""
    return replace(policy, weights=resume_from) if resume_from else policy


class Session:
    """One training: its plan, what it starts from, and what CoGames made for it so far.

    Attributes:
        state: of the training that this one resumes, as `load_state` reads it.
        policy: what CoGames builds the network from.
        initial_weights: file with the weights to start from, or None for new ones.
        zero_padding: whether empty observation tokens must be made to look as they do in evaluation.
        vecenv: PufferLib's environments, once they are made.
        trainer: the trainer, once CoGames has made it.
    """

    def __init__(
        self, plan: TrainingPlan, on_epoch: Callable[[EpochReport], None], hold_interrupts: HoldInterrupts
    ) -> None:
        self.plan = plan
        self.on_epoch = on_epoch
        self.hold_interrupts = hold_interrupts
        folder = Path(plan.checkpoint_dir)
        self.state = load_state(Path(plan.resume_from)) if plan.resume_from else None
        self.policy = resolve_policy(policy_to_train(plan.policy, plan.resume_from))
        self.initial_weights: str | None = self.policy.data_path
        models: list[Path] = []
        if plan.resume_from and self.state:
            resumed = Path(plan.resume_from)
            self.initial_weights = str(resumed / self.state["model_name"])
            if resumed.resolve() == folder.resolve():
                models = models_up_to(folder, self.state["model_name"])
        self.checkpoints = Checkpoints(folder, self.policy, plan.max_checkpoints_to_keep, models)
        form = KNOWN_FORMS.get(self.policy.class_path)
        self.zero_padding = plan.evaluation_padding and form is not None and form.zero_padding
        self.vecenv: Any = None
        # A `trainer.Trainer`, whose module imports this one, and PufferLib.
        self.trainer: Any = None

    def is_closed(self) -> bool:
        """Whether CoGames has ended the training and saved its last checkpoint."""
        return self.trainer is not None and self.trainer.closed

    def clean_up(self) -> None:
        """Stops what an exception inside CoGames' loop leaves behind."""
        if self.trainer is not None:
            self.trainer.utilization.stop()
            self.trainer.utilization.join()
        if self.trainer is None or not self.trainer.closed:
            if self.vecenv is not None:
                self.vecenv.close()
        elif (model := self.checkpoints.model(self.trainer.epoch)).is_file():
            # CoGames' spec, written last, lacks the init arguments.
            self.checkpoints.write_spec(model)

    def outcome(self, seconds: float) -> TrainingOutcome:
        """What came of a training that CoGames has ended.

        Args:
            seconds: that it took.
        """
        trainer: Any = self.trainer
        return TrainingOutcome(
            checkpoint_dir=self.checkpoints.folder,
            model=self.checkpoints.model(trainer.epoch),
            agent_steps=trainer.global_step,
            epochs=trainer.epoch,
            seconds=seconds,
            # CoGames returns after Ctrl-C as if all were done.
            interrupted=trainer.global_step < self.plan.num_steps,
        )
