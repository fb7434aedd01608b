"""What the tests of the train task share."""

from collections.abc import Callable
from typing import Any

import pytest
from mlflow import MlflowClient

from daf.bridge.training import train
from daf.records import EpochReport, TrainingOutcome, TrainingPlan


def only_run(store: str) -> tuple[MlflowClient, object]:
    client = MlflowClient(store)
    experiments = [e.experiment_id for e in client.search_experiments() if e.name == "daf"]
    (run,) = client.search_runs(experiments)
    return client, run


def after_second_epoch(monkeypatch: pytest.MonkeyPatch, action: Callable[[], None]) -> None:
    """Has something happen in the middle of a training."""

    def train_and_act(plan: TrainingPlan, *, on_epoch: Callable[[EpochReport], None], **others: Any) -> TrainingOutcome:
        def act_and_report(report: EpochReport) -> None:
            if report.epoch == 2:
                action()
            on_epoch(report)

        return train(plan, on_epoch=act_and_report, **others)

    monkeypatch.setattr("daf.training.task.train", train_and_act)
