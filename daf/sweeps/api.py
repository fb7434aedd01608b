"""Sweeps from Python, on the same engine as the command line."""

from collections.abc import Mapping, Sequence
from typing import Any

from daf.config.schemas import DAFConfig
from daf.errors import DAFError
from daf.redaction import restored
from daf.sweeps.launch import daf_launch_sweep
from daf.sweeps.results import SweepResult
from daf.sweeps.space import parse_ranges
from daf.sweeps.status import SweepStatus, read_status
from daf.sweeps.study import load_stored


def daf_grid_search(config: DAFConfig, space: Mapping[str, Sequence[Any]]) -> SweepResult:
    """Every combination of the given values, each once.

    Args:
        space: key to values (``{"optimizer.lr": [1e-4, 3e-4]}``).

    Raises:
        DAFConfigError: a key or a value does not fit.
    """
    return daf_launch_sweep(with_sweep(config, space=dict(space), sampler="grid"))


def daf_random_search(config: DAFConfig, space: Mapping[str, Any], n_trials: int) -> SweepResult:
    """Independent draws from a space in any form that `sweep.space` takes.

    Raises:
        DAFConfigError: a key or a value does not fit.
    """
    return daf_launch_sweep(with_sweep(config, space=dict(space), sampler="random", n_trials=n_trials))


def daf_variant_sweep(config: DAFConfig, variants: Sequence[Sequence[str]]) -> SweepResult:
    """One trial for each list of mission and reward variants (``[[], ["credit"], ["miner", "credit"]]``).

    Raises:
        DAFConfigError: there is no such variant, a list cannot be built, or the reward variants differ while
            `objective.metric` is a reward, which is then another quantity in every trial.
    """
    space = {"variant.names": [list(names) for names in variants]}
    return daf_launch_sweep(with_sweep(config, space=space, sampler="grid"))


def with_sweep(config: DAFConfig, *, space: Mapping[str, Any], **settings: Any) -> DAFConfig:
    """The config with another space, and other settings of the sweep.

    Args:
        space: key to values in any form that `sweep.space` takes.
        settings: of `sweep`.

    Raises:
        DAFConfigError: a value is no range and no list of choices.
    """
    sweep = config.sweep.model_copy(update={"space": parse_ranges(space), **settings})
    return config.model_copy(update={"sweep": sweep})


def daf_sweep_status(config: DAFConfig) -> SweepStatus:
    """Where the sweep of a config stands, running or finished, started from here or from the command line.

    Args:
        config: the sweep's; with `sweep.name` (and `sweep.storage` where it was given) any config will do.

    Raises:
        DAFError: there is no such study.
    """
    return read_status(load_stored(config), config.sweep.n_jobs)


def daf_sweep_best_config(config: DAFConfig) -> DAFConfig:
    """The config of the best trial: by the confirmation where there was one, else by its objective.

    With several objectives it is the first trial of the Pareto front.

    Args:
        config: as for `daf_sweep_status`; its output folder, tracking and sweep sections are kept.

    Raises:
        DAFError: there is no such study, or no trial has finished.
    """
    study = load_stored(config)
    number = study.facts.confirmed_best
    best = study.best_trials(1) if number is None else [study.trials()[number]]
    if not best:
        raise DAFError(f"no trial of {study.name} has finished yet")
    kept = config.model_dump(mode="json", include={"output_dir", "tracking", "sweep"})
    # What was blanked in the study is as in the given config.
    stored = restored(best[0].facts.config or {}, config.model_dump(mode="json"))
    return DAFConfig.model_validate({**stored, **kept})
