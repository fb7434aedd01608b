"""Training through CoGames: what it learns from, what it reports, and how it goes on."""

import math
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from daf.bridge.imports import contained
from daf.bridge.training import load_state
from daf.records import EpochReport
from tests.bridge.training.support import Load, same, spied_trainer, train_config, weights


def test_one_seed_gives_one_result_and_lr_zero_changes_nothing(tiny: Load, tmp_path: Path) -> None:
    first, again, other, still = (
        train_config(tiny(*overrides), tmp_path / name / "checkpoints")
        for name, overrides in {
            "a": ["seed=1"],
            "b": ["seed=1"],
            "c": ["seed=2"],
            "d": ["seed=1", "optimizer.lr=0"],
        }.items()
    )
    assert same(weights(first), weights(again))
    assert not same(weights(first), weights(other))
    start = train_config(tiny("seed=1", "optimizer.lr=0", "training.num_steps=1"), tmp_path / "e" / "checkpoints")
    assert same(weights(still), weights(start))
    assert not same(weights(first), weights(start))


def test_epochs_are_reported_with_their_own_losses(tiny: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = spied_trainer(monkeypatch)
    reports: list[EpochReport] = []
    seen: list[dict[str, float]] = []

    def on_epoch(report: EpochReport) -> None:
        reports.append(report)
        seen.append(dict(built[0].losses))

    outcome = train_config(tiny("training.num_steps=768"), tmp_path / "c", on_epoch=on_epoch)
    assert [report.agent_steps for report in reports] == [256, 512, 768]
    assert [report.epoch for report in reports] == [1, 2, 3]
    for report, losses in zip(reports, seen, strict=True):
        assert {key: value for key, value in report.metrics.items() if key.startswith("losses/")} == {
            f"losses/{key}": value for key, value in losses.items()
        }
    assert all(report.metrics["SPS"] > 0 and report.reward is not None for report in reports)
    assert (outcome.agent_steps, outcome.epochs, outcome.interrupted) == (768, 3, False)


def test_the_learning_rate_reaches_zero_at_the_end_and_not_before(tiny: Load, tmp_path: Path) -> None:
    rates: list[float] = []
    # Two epochs and a half: three are played.
    train_config(
        tiny("training.num_steps=640"),
        tmp_path / "c",
        on_epoch=lambda report: rates.append(report.metrics["learning_rate"]),
    )
    assert rates == pytest.approx([0.00092 * 0.75, 0.00092 * 0.25, 0.0])


@pytest.mark.parametrize(
    ("anneal", "expected"),
    # A cosine over four epochs, of which two are done, or none.
    [("true", [0.00092 * (1 - 2**-0.5) / 2, 0]), ("false", [0.00092, 0.00092])],
)
def test_a_finished_training_goes_on_along_a_longer_schedule(
    tiny: Load, tmp_path: Path, anneal: str, expected: list[float]
) -> None:
    first = train_config(tiny("training.num_steps=512"), tmp_path / "a" / "c")
    rates: list[float] = []
    second = train_config(
        tiny("training.num_steps=1024", f"optimizer.anneal_lr={anneal}"),
        tmp_path / "b" / "c",
        resume_from=first.checkpoint_dir,
        on_epoch=lambda report: rates.append(report.metrics["learning_rate"]),
    )
    assert rates == pytest.approx(expected)
    assert not same(weights(first), weights(second))


def test_a_resumed_schedule_ends_with_the_last_epoch_whatever_the_size_of_an_epoch(tiny: Load, tmp_path: Path) -> None:
    first = train_config(tiny("training.num_steps=768"), tmp_path / "a" / "c")
    rates: list[float] = []
    train_config(
        tiny("training.num_steps=1792", "training.num_envs=4"),
        tmp_path / "b" / "c",
        resume_from=first.checkpoint_dir,
        on_epoch=lambda report: rates.append(report.metrics["learning_rate"]),
    )
    # Three epochs of 256 steps are done; two of 512 are left.
    assert rates == pytest.approx([0.00092 * (1 + math.cos(math.pi * 4 / 5)) / 2, 0])


def test_bfloat16_learns_within_an_epoch_and_leaves_no_trace(tiny: Load, tmp_path: Path) -> None:
    before = train_config(tiny(), tmp_path / "a" / "c")
    reports: list[EpochReport] = []
    config = tiny("training.precision=bfloat16", "optimizer.lr=0.01", "training.update_epochs=4")
    train_config(config, tmp_path / "b" / "c", on_epoch=reports.append)
    # A network that stays as it was in the rollout differs from it by rounding alone: 1e-6.
    assert reports[0].metrics["losses/approx_kl"] > 1e-3
    assert not torch.is_autocast_enabled("cpu")
    assert same(weights(before), weights(train_config(tiny(), tmp_path / "c" / "c")))


def test_weights_are_the_starting_point(tiny: Load, tmp_path: Path) -> None:
    first = train_config(tiny(), tmp_path / "a" / "c")
    config = tiny(f"policy.weights={first.checkpoint_dir}", "optimizer.lr=0", "seed=9")
    assert same(weights(first), weights(train_config(config, tmp_path / "b" / "c")))


def test_resuming_takes_over_everything(tiny: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(report: EpochReport) -> None:
        if report.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    first = train_config(tiny("training.num_steps=1024"), tmp_path / "a" / "c", on_epoch=stop)
    assert (first.interrupted, first.agent_steps, first.epochs) == (True, 512, 2)
    saved = load_state(first.checkpoint_dir)
    built = spied_trainer(monkeypatch)
    states: list[Any] = []
    with contained():
        from pufferlib import pufferl
    original = pufferl.PuffeRL.evaluate

    def spy(self: Any) -> Any:
        if not states:
            states.append((self.optimizer.state_dict(), self.scheduler.state_dict(), self.global_step, self.epoch))
            assert same(self.uncompiled_policy.state_dict(), weights(first))
            states.append({k: v.clone() for k, v in self.optimizer.state_dict()["state"][0].items()})
        return original(self)

    monkeypatch.setattr(pufferl.PuffeRL, "evaluate", spy)
    reports: list[EpochReport] = []
    second = train_config(
        tiny("training.num_steps=1024"), tmp_path / "b" / "c", resume_from=first.checkpoint_dir, on_epoch=reports.append
    )
    assert len(built) == 1
    _, schedule, step, epoch = states[0]
    assert (step, epoch) == (512, 2)
    assert schedule["last_epoch"] == saved["scheduler_state_dict"]["last_epoch"]
    expected = saved["optimizer_state_dict"]["state"][0]
    assert all(torch.equal(states[1][key], expected[key]) for key in expected)
    assert [report.agent_steps for report in reports] == [768, 1024]
    assert (second.agent_steps, second.epochs, second.interrupted) == (1024, 4, False)
    assert reports[-1].metrics["learning_rate"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("policy", "wanted", "shown"), [("lstm", True, 0), ("lstm", False, 255), ("stateless", True, 255)]
)
def test_empty_tokens_look_as_in_evaluation(
    tiny: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str, wanted: bool, shown: int
) -> None:
    built = spied_trainer(monkeypatch)
    train_config(
        tiny(f"policy={policy}", f"training.evaluation_padding={wanted}", "training.num_steps=64"), tmp_path / "c"
    )
    tokens = built[0].observations.reshape(-1, 3)
    empty = tokens[tokens[:, 0] == 255]
    assert len(empty) > 0
    assert set(empty[:, 1:].flatten().tolist()) == {shown}


@pytest.mark.parametrize("policy", ["stateless", "puffer", "pufferlib_cogs"])
@pytest.mark.parametrize("horizon", ["null", "8"])
def test_other_networks_train(tiny: Load, tmp_path: Path, policy: str, horizon: str) -> None:
    config = tiny(f"policy={policy}", f"training.bptt_horizon={horizon}", "training.num_steps=64")
    before = train_config(
        config.model_copy(update={"optimizer": config.optimizer.model_copy(update={"lr": 0.0})}), tmp_path / "a"
    )
    after = train_config(config, tmp_path / "b")
    assert after.agent_steps >= 64
    assert not same(weights(before), weights(after))
