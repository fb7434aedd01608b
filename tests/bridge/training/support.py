"""What the tests of a training share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from daf.bridge.imports import contained
from daf.bridge.training import train
from daf.config import DAFConfig
from daf.config.plans import training_plan
from daf.execution.interrupts import interrupt_deferred
from daf.records import EpochReport, TrainingOutcome

Load = Callable[..., DAFConfig]


class StopError(Exception):
    """Ends a training from within."""


def train_config(
    config: DAFConfig,
    checkpoint_dir: Path,
    *,
    resume_from: Path | None = None,
    on_epoch: Callable[[EpochReport], None] = lambda report: None,
) -> TrainingOutcome:
    """Trains as `daf_train` does, without a tracker."""
    plan = training_plan(config, checkpoint_dir, resume_from)
    return train(plan, on_epoch=on_epoch, hold_interrupts=interrupt_deferred)


def weights(outcome: TrainingOutcome) -> dict[str, torch.Tensor]:
    return dict(torch.load(outcome.model, weights_only=True))


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[key], second[key]) for key in first)


def spied_trainer(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collects every PuffeRL that is built."""
    with contained():
        from pufferlib import pufferl
    built: list[Any] = []
    original = pufferl.PuffeRL.__init__

    def spy(self: Any, *args: Any, **kwargs: Any) -> None:
        built.append(self)
        original(self, *args, **kwargs)

    monkeypatch.setattr(pufferl.PuffeRL, "__init__", spy)
    return built
