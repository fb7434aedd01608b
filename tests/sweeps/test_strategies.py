"""Samplers and pruners: each one by name, and one by its class path."""

from collections.abc import Callable

import optuna
import pytest

from daf.config import DAFConfig
from daf.config.names import PRUNERS, SAMPLERS
from daf.errors import DAFConfigError
from daf.sweeps.api import with_sweep
from daf.sweeps.strategies import make_pruner, make_sampler


class OwnSampler(optuna.samplers.RandomSampler):  # type: ignore[misc]
    """A user's."""


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_samples(tiny: Callable[..., DAFConfig], name: str) -> None:
    if name == "cmaes":
        pytest.importorskip("cmaes")
    directions = ["maximize", "minimize"] if name.startswith("nsga") else ["maximize"]
    study = optuna.create_study(directions=directions, sampler=make_sampler(tiny(), name, 0))
    for _ in range(12):
        trial = study.ask()
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        study.tell(trial, [x - y, x][: len(directions)])
    assert len({tuple(trial.params.values()) for trial in study.trials}) > 8


@pytest.mark.parametrize("name", PRUNERS)
def test_every_pruner_prunes_a_hopeless_trial(tiny: Callable[..., DAFConfig], name: str) -> None:
    config = with_sweep(tiny(), space={}, pruner=name)
    study = optuna.create_study(direction="maximize", pruner=make_pruner(config))

    def finish(value: float) -> bool:
        trial = study.ask()
        pruned = False
        for step in range(25, 501, 25):
            trial.report(value, step)
            pruned = pruned or trial.should_prune()
        study.tell(trial, value)
        return pruned

    for number in range(8):
        finish(1.0 + number / 10)
    # Several, since Hyperband leaves some trials to a bracket without pruning.
    assert any(finish(-1.0 - number) for number in range(4))


def test_patience_prunes_what_gets_worse(tiny: Callable[..., DAFConfig]) -> None:
    study = optuna.create_study(direction="maximize", pruner=make_pruner(tiny("sweep.patience=3")))
    trial = study.ask()
    decisions = []
    for step, value in enumerate([1, 2, 3, 2, 2, 2, 2]):
        trial.report(value, step)
        decisions.append(trial.should_prune())
    assert decisions == [False] * 6 + [True]


def test_a_sampler_of_the_users_own(tiny: Callable[..., DAFConfig]) -> None:
    config = tiny(f"sweep.sampler={__name__}.OwnSampler")
    assert config.sweep.sampler is not None
    assert type(make_sampler(config, config.sweep.sampler, 0)).__name__ == "OwnSampler"


def test_wrong_arguments_are_told(tiny: Callable[..., DAFConfig]) -> None:
    config = tiny("+sweep.sampler_kwargs.nonsense=1")
    with pytest.raises(DAFConfigError, match="nonsense"):
        make_sampler(config, "tpe", 0)


def test_an_unknown_sampler_is_told_with_those_that_there_are(tiny: Callable[..., DAFConfig]) -> None:
    with pytest.raises(DAFConfigError, match="cmaes"):
        tiny("sweep.sampler=cma")


@pytest.mark.parametrize("metric", ["vor", "train/reward"])
def test_wilcoxon_needs_a_value_for_every_episode(tiny: Callable[..., DAFConfig], metric: str) -> None:
    with pytest.raises(DAFConfigError, match="compares episodes"):
        tiny("sweep.pruner=wilcoxon", f"objective.metric={metric}")


@pytest.mark.parametrize("how", ["sweep.pruner=median", "sweep.patience=2"])
@pytest.mark.parametrize("metric", ["steps", "train/seconds"])
def test_what_a_training_knows_nothing_of_prunes_nothing(tiny: Callable[..., DAFConfig], how: str, metric: str) -> None:
    with pytest.raises(DAFConfigError, match="cannot be pruned while it trains"):
        tiny(how, f"objective.metric={metric}")
    assert tiny(how, "objective.metric=game/cogs/heart.gained", "objective.direction=minimize")


@pytest.mark.parametrize("path", ["optuna.samplers", "optuna.pruners.MedianPruner"])
def test_what_is_no_sampler_is_told(tiny: Callable[..., DAFConfig], path: str) -> None:
    with pytest.raises(DAFConfigError, match=r"is no sampler of Optuna's kind"):
        make_sampler(tiny(), path, 0)


def test_pruning_is_for_one_objective(tiny: Callable[..., DAFConfig]) -> None:
    with pytest.raises(DAFConfigError, match="single"):
        tiny("objective=reward_and_time", "sweep.pruner=median")
