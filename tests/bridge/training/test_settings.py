"""Settings: what is asked for is what the trainer gets."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from daf.bridge.imports import contained
from daf.bridge.training.settings import trainer_settings
from daf.config import DAFConfig, DAFOptimizerConfig, DAFTrainingConfig
from daf.config.plans import training_plan
from daf.config.schemas import Schema
from daf.records import EpochReport, TrainingPlan
from tests.bridge.training.support import Load, StopError, spied_trainer, train_config

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
#: What else `cogames.train.train` takes: our key, a value unlike the default, its name for it.
ARGUMENTS = [
    ("training.num_steps", 640, "num_steps"),
    ("training.num_envs", 3, "vector_num_envs"),
    ("training.num_workers", 5, "vector_num_workers"),
    ("training.vector_batch_size", 6, "vector_batch_size"),
    ("training.map_seed", 7, "map_seed"),
    ("training.checkpoint_interval", 8, "checkpoint_interval"),
]
#: What CoGames knows nothing of, with a value unlike the default. The tests of a training show the effect.
OTHERS = [
    ("training.evaluation_padding", False),
    ("training.max_checkpoints_to_keep", 9),
    ("training.torch_threads", 2),
]
PLANNED = [*((key, value) for key, value, _ in (*HYPER_PARAMETERS, *ARGUMENTS)), *OTHERS]


def plan_of(config: DAFConfig) -> TrainingPlan:
    return training_plan(config, Path("checkpoints"))


def test_no_key_is_left_out_here() -> None:
    """A new field of the schemas has to be entered in one of the lists above, and so to pass the tests below."""
    schemas: dict[str, type[Schema]] = {"optimizer": DAFOptimizerConfig, "training": DAFTrainingConfig}
    keys = {f"{group}.{name}" for group, schema in schemas.items() for name in schema.model_fields}
    # It names a run or a folder: the plan holds the folder behind it.
    assert {key for key, _ in PLANNED} | {"training.resume"} == keys


@pytest.mark.parametrize(("key", "value"), PLANNED)
def test_every_key_reaches_the_plan(tiny: Load, key: str, value: object) -> None:
    name = key.partition(".")[2]
    before, after = (flat(plan_of(tiny(*overrides))) for overrides in ((), (f"{key}={value}",)))
    assert after == {**before, name: value}
    assert before[name] != value


def flat(plan: TrainingPlan) -> dict[str, Any]:
    values = asdict(plan)
    return {**values.pop("optimizer"), **values.pop("ppo"), **values}


def test_the_rest_of_a_config_reaches_the_plan(tiny: Load) -> None:
    overrides = ("mission=miner_tutorial", "variant=mining", "policy=stateless", "seed=5", "device=mps")
    config = tiny(*overrides)
    plan = training_plan(config, Path("to"), Path("from"))
    assert (plan.mission, plan.policy) == (config.mission_spec(), config.policy.spec())
    assert (plan.seed, plan.device, plan.checkpoint_dir, plan.resume_from) == (5, "mps", "to", "from")
    assert training_plan(config, Path("to")).resume_from is None


def test_every_argument_reaches_cogames(tiny: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with contained():
        import cogames.train as cogames_train
    received: dict[str, Any] = {}

    def train(**arguments: Any) -> None:
        received.update(arguments, threads=torch.get_num_threads())
        raise StopError

    monkeypatch.setattr(cogames_train, "train", train)
    threads = torch.get_num_threads()
    overrides = [f"{key}={value}" for key, value, _ in ARGUMENTS]
    try:
        with pytest.raises(StopError):
            train_config(tiny(*overrides, "seed=4", "training.torch_threads=2"), tmp_path / "c")
    finally:
        torch.set_num_threads(threads)
    assert {name: received[name] for _, _, name in ARGUMENTS} == {name: value for _, value, name in ARGUMENTS}
    assert (received["seed"], received["threads"], received["device"]) == (4, 2, torch.device("cpu"))
    assert received["checkpoints_path"] == tmp_path


def test_every_hyper_parameter_reaches_the_trainer(tiny: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = spied_trainer(monkeypatch)
    config = tiny("training.num_steps=64", *(f"{key}={value}" for key, value, _ in HYPER_PARAMETERS))
    reports: list[EpochReport] = []
    train_config(config, tmp_path / "c", on_epoch=reports.append)
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
    with contained():
        from daf.bridge.training import trainer as module

    received: list[dict[str, Any]] = []

    def compare_settings(plan: TrainingPlan, total_agents: int, use_rnn: bool) -> dict[str, Any]:
        received.append(trainer_settings(plan, total_agents, use_rnn))
        return {}

    monkeypatch.setattr(module, "trainer_settings", compare_settings)
    built = spied_trainer(monkeypatch)
    train_config(tiny("training.minibatch_size=4096"), tmp_path / "c")
    theirs = built[0].config
    assert {key: theirs[key] for key in received[0]} == received[0]


def test_sizes_are_made_to_fit_each_other(tiny: Load) -> None:
    sizes = ("training.minibatch_size=300", "training.max_minibatch_size=100")
    settings = trainer_settings(plan_of(tiny(*sizes)), total_agents=16, use_rnn=True)
    assert (settings["minibatch_size"], settings["max_minibatch_size"]) == (256, 64)
    small = trainer_settings(plan_of(tiny("training.max_minibatch_size=10")), total_agents=16, use_rnn=True)
    assert (small["minibatch_size"], small["max_minibatch_size"]) == (128, 64)
