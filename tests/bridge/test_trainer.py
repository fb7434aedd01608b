"""Training through CoGames: what is asked for is what the trainer gets."""

import math
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from daf.bridge.imports import contained
from daf.bridge.trainer import EpochReport, TrainingOutcome, load_state, train, trainer_settings
from daf.config import DAFConfig
from daf.errors import DAFError, DAFTrainingDivergedError

Load = Callable[..., DAFConfig]

#: Every hyper-parameter that CoGames hard-codes: our key, a value unlike the default, PufferLib's name.
HYPER_PARAMETERS = [
    ("optimizer.lr", 0.0123, "learning_rate"),
    ("optimizer.beta1", 0.71, "adam_beta1"),
    ("optimizer.beta2", 0.72, "adam_beta2"),
    ("optimizer.eps", 1e-4, "adam_eps"),
    ("optimizer.max_grad_norm", 0.7, "max_grad_norm"),
    ("optimizer.anneal_lr", False, "anneal_lr"),
    ("training.gamma", 0.91, "gamma"),
    ("training.gae_lambda", 0.81, "gae_lambda"),
    ("training.update_epochs", 2, "update_epochs"),
    ("training.clip_coef", 0.11, "clip_coef"),
    ("training.vf_coef", 0.51, "vf_coef"),
    ("training.vf_clip_coef", 0.13, "vf_clip_coef"),
    ("training.ent_coef", 0.021, "ent_coef"),
    ("training.prio_alpha", 0.31, "prio_alpha"),
    ("training.prio_beta0", 0.41, "prio_beta0"),
    ("training.vtrace_rho_clip", 1.5, "vtrace_rho_clip"),
    ("training.vtrace_c_clip", 1.25, "vtrace_c_clip"),
    ("training.bptt_horizon", 16, "bptt_horizon"),
    ("training.minibatch_size", 32, "minibatch_size"),
    ("training.max_minibatch_size", 16, "max_minibatch_size"),
    ("training.precision", "bfloat16", "precision"),
]


class StopError(Exception):
    """Ends a training from `on_epoch`."""


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


def test_every_hyper_parameter_reaches_the_trainer(tiny: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = spied_trainer(monkeypatch)
    config = tiny("training.num_steps=64", *(f"{key}={value}" for key, value, _ in HYPER_PARAMETERS))
    reports: list[EpochReport] = []
    train(config, tmp_path / "c", on_epoch=reports.append)
    (trainer,) = built
    assert {name: trainer.config[name] for _, _, name in HYPER_PARAMETERS} == {
        name: value for _, value, name in HYPER_PARAMETERS
    }
    group = trainer.optimizer.param_groups[0]
    assert (group["lr"], group["betas"], group["eps"]) == (0.0123, (0.71, 0.72), 1e-4)
    assert reports[-1].metrics["learning_rate"] == 0.0123


def test_the_defaults_are_what_cogames_passes_itself(
    tiny: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our settings must change nothing that the user did not ask to change."""
    from daf.bridge import trainer as module

    received: list[dict[str, Any]] = []
    settings = module.trainer_settings

    def compare_settings(config: DAFConfig, total_agents: int, use_rnn: bool) -> dict[str, Any]:
        received.append(settings(config, total_agents, use_rnn))
        return {}

    monkeypatch.setattr(module, "trainer_settings", compare_settings)
    built = spied_trainer(monkeypatch)
    train(tiny("training.minibatch_size=4096"), tmp_path / "c")
    theirs = built[0].config
    assert {key: theirs[key] for key in received[0]} == received[0]


def test_one_seed_gives_one_result_and_lr_zero_changes_nothing(tiny: Load, tmp_path: Path) -> None:
    first, again, other, still = (
        train(tiny(*overrides), tmp_path / name / "checkpoints")
        for name, overrides in {
            "a": ["seed=1"],
            "b": ["seed=1"],
            "c": ["seed=2"],
            "d": ["seed=1", "optimizer.lr=0"],
        }.items()
    )
    assert same(weights(first), weights(again))
    assert not same(weights(first), weights(other))
    start = train(tiny("seed=1", "optimizer.lr=0", "training.num_steps=1"), tmp_path / "e" / "checkpoints")
    assert same(weights(still), weights(start))
    assert not same(weights(first), weights(start))


def test_epochs_are_reported_with_their_own_losses(tiny: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = spied_trainer(monkeypatch)
    reports: list[EpochReport] = []
    seen: list[dict[str, float]] = []

    def on_epoch(report: EpochReport) -> None:
        reports.append(report)
        seen.append(dict(built[0].losses))

    outcome = train(tiny("training.num_steps=768"), tmp_path / "c", on_epoch=on_epoch)
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
    train(
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
    first = train(tiny("training.num_steps=512"), tmp_path / "a" / "c")
    rates: list[float] = []
    second = train(
        tiny("training.num_steps=1024", f"optimizer.anneal_lr={anneal}"),
        tmp_path / "b" / "c",
        resume_from=first.checkpoint_dir,
        on_epoch=lambda report: rates.append(report.metrics["learning_rate"]),
    )
    assert rates == pytest.approx(expected)
    assert not same(weights(first), weights(second))


def test_a_resumed_schedule_ends_with_the_last_epoch_whatever_the_size_of_an_epoch(tiny: Load, tmp_path: Path) -> None:
    first = train(tiny("training.num_steps=768"), tmp_path / "a" / "c")
    rates: list[float] = []
    train(
        tiny("training.num_steps=1792", "training.num_envs=4"),
        tmp_path / "b" / "c",
        resume_from=first.checkpoint_dir,
        on_epoch=lambda report: rates.append(report.metrics["learning_rate"]),
    )
    # Three epochs of 256 steps are done; two of 512 are left.
    assert rates == pytest.approx([0.00092 * (1 + math.cos(math.pi * 4 / 5)) / 2, 0])


def test_bfloat16_learns_within_an_epoch_and_leaves_no_trace(tiny: Load, tmp_path: Path) -> None:
    before = train(tiny(), tmp_path / "a" / "c")
    reports: list[EpochReport] = []
    config = tiny("training.precision=bfloat16", "optimizer.lr=0.01", "training.update_epochs=4")
    train(config, tmp_path / "b" / "c", on_epoch=reports.append)
    # A network that stays as it was in the rollout differs from it by rounding alone: 1e-6.
    assert reports[0].metrics["losses/approx_kl"] > 1e-3
    assert not torch.is_autocast_enabled("cpu")
    assert same(weights(before), weights(train(tiny(), tmp_path / "c" / "c")))


def test_nothing_is_left_behind(tiny: Load, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with contained():
        import cogames.train as cogames_train

    def state() -> tuple[Any, ...]:
        patched = (cogames_train.pufferl.PuffeRL, cogames_train.initialize_or_load_policy, cogames_train.Console)
        return (*patched, cogames_train.pvector.make, signal.getsignal(signal.SIGINT), threading.active_count())

    before = state()

    def fail(report: EpochReport) -> None:
        raise StopError

    with pytest.raises(StopError):
        train(tiny(), tmp_path / "c", on_epoch=fail)
    assert state() == before
    train(tiny("training.num_steps=256"), tmp_path / "d")
    assert state() == before
    assert capfd.readouterr() == ("", "")


def test_checkpoints_are_kept_dropped_and_loadable(tiny: Load, tmp_path: Path) -> None:
    config = tiny("training.num_steps=1280", "training.checkpoint_interval=1", "training.max_checkpoints_to_keep=2")
    outcome = train(config, tmp_path / "checkpoints")
    names = sorted(path.name for path in outcome.checkpoint_dir.iterdir())
    assert names == ["model_000004.pt", "model_000005.pt", "policy_spec.json", "trainer_state.pt"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "mlflow.db") == ["checkpoints"]
    state = load_state(outcome.checkpoint_dir)
    assert (state["global_step"], state["update"], state["model_name"]) == (1280, 5, "model_000005.pt")


def test_a_second_training_into_a_folder_replaces_what_it_makes_and_drops_its_own_alone(
    tiny: Load, tmp_path: Path
) -> None:
    often = ("training.checkpoint_interval=1", "training.max_checkpoints_to_keep=2")
    first = train(tiny("training.num_steps=1024", *often), tmp_path / "c")
    old = weights(first)
    second = train(tiny("training.num_steps=768", "seed=77", *often), tmp_path / "c")
    apart = train(tiny("training.num_steps=768", "seed=77"), tmp_path / "apart")
    assert same(weights(second), weights(apart))
    assert same(torch.load(tmp_path / "c" / "model_000004.pt", weights_only=True), old)
    assert load_state(tmp_path / "c")["model_name"] == "model_000003.pt"
    assert sorted(path.name for path in second.checkpoint_dir.glob("model_*")) == [
        "model_000002.pt",
        "model_000003.pt",
        "model_000004.pt",
    ]


def test_a_resume_in_its_own_folder_keeps_no_more_checkpoints(tiny: Load, tmp_path: Path) -> None:
    often = ("training.checkpoint_interval=1", "training.max_checkpoints_to_keep=2")
    train(tiny("training.num_steps=512", *often), tmp_path / "c")
    train(tiny("training.num_steps=768", *often), tmp_path / "c", resume_from=tmp_path / "c")
    assert sorted(path.name for path in (tmp_path / "c").glob("model_*")) == ["model_000002.pt", "model_000003.pt"]


def test_init_arguments_reach_the_trained_policy_and_its_spec(tiny: Load, tmp_path: Path) -> None:
    """CoGames' train() builds the policy from its class and weights alone."""
    config = tiny("policy=puffer", "+policy.init_kwargs.hidden_size=32", "training.num_steps=64")
    outcome = train(config, tmp_path / "c")
    assert max(tensor.shape[0] for tensor in weights(outcome).values()) == 4 * 32
    assert '"hidden_size":32' in (outcome.checkpoint_dir / "policy_spec.json").read_text()
    resumed = train(tiny("policy=puffer", "training.num_steps=512"), tmp_path / "d", resume_from=outcome.checkpoint_dir)
    assert '"hidden_size":32' in (resumed.checkpoint_dir / "policy_spec.json").read_text()


def test_weights_are_the_starting_point(tiny: Load, tmp_path: Path) -> None:
    first = train(tiny(), tmp_path / "a" / "c")
    config = tiny(f"policy.weights={first.checkpoint_dir}", "optimizer.lr=0", "seed=9")
    assert same(weights(first), weights(train(config, tmp_path / "b" / "c")))


def test_resuming_takes_over_everything(tiny: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(report: EpochReport) -> None:
        if report.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    first = train(tiny("training.num_steps=1024"), tmp_path / "a" / "c", on_epoch=stop)
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
    second = train(
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


def test_the_state_of_a_gpu_training_loads_without_a_gpu(
    tiny: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        outcome = train(tiny("training.num_steps=64"), tmp_path / "c")
    state = load_state(outcome.checkpoint_dir)
    assert state["optimizer_state_dict"]["state"][0]["exp_avg"].device.type == "cpu"


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Environments in processes of their own, as CoGames has them on a GPU."""
    with contained():
        import cogames.train as cogames_train
    vector = cogames_train.pvector
    forked = SimpleNamespace(
        Multiprocessing=vector.Multiprocessing, Serial=vector.Multiprocessing, make=cogames_train.pvector.make
    )
    monkeypatch.setattr(cogames_train, "pvector", forked)


@pytest.mark.usefixtures("processes")
def test_processes_of_environments_do_not_hear_ctrl_c(tiny: Load, tmp_path: Path) -> None:
    def press(report: EpochReport) -> None:
        for process in multiprocessing.active_children():
            os.kill(process.pid or 0, signal.SIGINT)

    assert train(tiny("training.num_steps=768"), tmp_path / "c", on_epoch=press).epochs == 3
    assert_ended(multiprocessing.active_children())


@pytest.mark.usefixtures("processes")
def test_a_dead_process_of_environments_is_an_error(tiny: Load, tmp_path: Path) -> None:
    def kill(report: EpochReport) -> None:
        for process in multiprocessing.active_children():
            os.kill(process.pid or 0, signal.SIGKILL)

    with pytest.raises(DAFError, match=r"died at agent step \d+, with exit code -9"):
        train(tiny("training.num_steps=768"), tmp_path / "c", on_epoch=kill)


@pytest.mark.usefixtures("processes")
def test_a_training_that_cannot_start_leaves_no_processes(tiny: Load, tmp_path: Path) -> None:
    torch.save({}, tmp_path / "weights.pt")
    with pytest.raises(RuntimeError, match="Missing key"):
        train(tiny(f"policy.weights={tmp_path / 'weights.pt'}"), tmp_path / "c")
    assert_ended(multiprocessing.active_children())


def assert_ended(processes: list[Any]) -> None:
    for process in processes:
        process.join(timeout=10)
        assert process.exitcode is not None


ENDLESS = """
import sys, types
from pathlib import Path
from daf.bridge.imports import contained
from daf.bridge.trainer import train
from daf.config import daf_load_config
with contained():
    import cogames.train as cogames_train
vector = cogames_train.pvector
cogames_train.pvector = types.SimpleNamespace(
    Multiprocessing=vector.Multiprocessing, Serial=vector.Multiprocessing, make=vector.make
)
config = daf_load_config(overrides=sys.argv[2:])
outcome = train(config, Path(sys.argv[1]), on_epoch=lambda report: print("epoch", flush=True))
print("interrupted", outcome.interrupted, outcome.model.is_file())
"""


@pytest.mark.slow
def test_ctrl_c_at_a_terminal_ends_a_training_with_processes(tmp_path: Path) -> None:
    """A terminal sends Ctrl-C to the trainer and to its processes alike."""
    overrides = ("task=train", "device=cpu", "mission.max_steps=200", "training.num_envs=8")
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(tmp_path / "c"), *overrides],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as training:
        assert training.stdout is not None
        try:
            assert training.stdout.readline() == "epoch\n"
            time.sleep(0.2)  # within the next rollout
            os.killpg(training.pid, signal.SIGINT)
            told, _ = training.communicate(timeout=30)
        finally:
            if training.poll() is None:
                os.killpg(training.pid, signal.SIGKILL)
    assert told.endswith("interrupted True True\n")


def test_sizes_are_made_to_fit_each_other(tiny: Load) -> None:
    sizes = ("training.minibatch_size=300", "training.max_minibatch_size=100")
    settings = trainer_settings(tiny(*sizes), total_agents=16, use_rnn=True)
    assert (settings["minibatch_size"], settings["max_minibatch_size"]) == (256, 64)
    small = trainer_settings(tiny("training.max_minibatch_size=10"), total_agents=16, use_rnn=True)
    assert (small["minibatch_size"], small["max_minibatch_size"]) == (128, 64)


def test_divergence_is_an_error_and_keeps_no_broken_weights(tiny: Load, tmp_path: Path) -> None:
    config = tiny(
        "optimizer.lr=1e30", "optimizer.max_grad_norm=1e30", "training.num_steps=2048", "training.checkpoint_interval=1"
    )
    with pytest.raises(DAFTrainingDivergedError, match=r"diverged at agent step \d+"):
        train(config, tmp_path / "c")
    for model in (tmp_path / "c").glob("model_*.pt"):
        assert all(tensor.isfinite().all() for tensor in torch.load(model, weights_only=True).values())


@pytest.mark.parametrize(
    ("policy", "wanted", "shown"), [("lstm", True, 0), ("lstm", False, 255), ("stateless", True, 255)]
)
def test_empty_tokens_look_as_in_evaluation(
    tiny: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str, wanted: bool, shown: int
) -> None:
    built = spied_trainer(monkeypatch)
    train(tiny(f"policy={policy}", f"training.evaluation_padding={wanted}", "training.num_steps=64"), tmp_path / "c")
    tokens = built[0].observations.reshape(-1, 3)
    empty = tokens[tokens[:, 0] == 255]
    assert len(empty) > 0
    assert set(empty[:, 1:].flatten().tolist()) == {shown}


@pytest.mark.parametrize("policy", ["stateless", "puffer", "pufferlib_cogs"])
@pytest.mark.parametrize("horizon", ["null", "8"])
def test_other_networks_train(tiny: Load, tmp_path: Path, policy: str, horizon: str) -> None:
    config = tiny(f"policy={policy}", f"training.bptt_horizon={horizon}", "training.num_steps=64")
    before = train(
        config.model_copy(update={"optimizer": config.optimizer.model_copy(update={"lr": 0.0})}), tmp_path / "a"
    )
    after = train(config, tmp_path / "b")
    assert after.agent_steps >= 64
    assert not same(weights(before), weights(after))
