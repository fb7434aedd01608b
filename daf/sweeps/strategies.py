"""Samplers and pruners by name, or any of Optuna's kind by class path."""

import inspect
from typing import TYPE_CHECKING, Any

from daf.bridge.imports import import_by_name, surviving
from daf.config.schemas import DAFConfig
from daf.errors import DAFConfigError, Problem

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

SAMPLERS = {
    # The engine hands out a grid's points itself: each once, also after a resume.
    "grid": "optuna.samplers.RandomSampler",
    "random": "optuna.samplers.RandomSampler",
    "tpe": "optuna.samplers.TPESampler",
    "gp": "optuna.samplers.GPSampler",
    "cmaes": "optuna.samplers.CmaEsSampler",
    "nsga2": "optuna.samplers.NSGAIISampler",
    "nsga3": "optuna.samplers.NSGAIIISampler",
    "qmc": "optuna.samplers.QMCSampler",
}
PRUNERS = {
    "median": "optuna.pruners.MedianPruner",
    "percentile": "optuna.pruners.PercentilePruner",
    "asha": "optuna.pruners.SuccessiveHalvingPruner",
    "hyperband": "optuna.pruners.HyperbandPruner",
    "wilcoxon": "optuna.pruners.WilcoxonPruner",
}


def make_sampler(config: DAFConfig, name: str, trials_before: int, others: int = 0) -> "BaseSampler":
    """The configured sampler.

    Args:
        name: `sweep.sampler`, or what stands for null.
        trials_before: trials that the study holds already. A resumed sampler must not draw the same numbers again.
        others: processes that work on the study already. They must not draw the same numbers either.

    Raises:
        DAFConfigError: there is no such class, or it does not take the arguments.
    """
    # A quasi-random sequence goes on by itself, and only with the seed that it began with.
    seed = config.seed if name == "qmc" else (config.seed + 1_000_003 * trials_before + 7_919 * others) % 2**31
    from optuna.samplers import BaseSampler

    return _make("sampler", BaseSampler, SAMPLERS.get(name, name), config.sweep.sampler_kwargs, {"seed": seed})


def report_every(config: DAFConfig) -> int:
    """Agent steps between two reports of a training trial."""
    return config.sweep.report_every or max(1, config.training.num_steps // 20)


def make_pruner(config: DAFConfig) -> "BasePruner":
    """The configured pruner, wrapped in patience where that is asked for.

    Raises:
        DAFConfigError: there is no such class, or it does not take the arguments.
    """
    from optuna.pruners import BasePruner, NopPruner, PatientPruner

    sweep, name = config.sweep, config.sweep.pruner
    resource: dict[str, Any] = {"percentile": 25.0} if name == "percentile" else {}
    if name in ("asha", "hyperband"):
        resource["min_resource"] = report_every(config)
    if name == "hyperband":
        resource["max_resource"] = config.training.num_steps * sweep.seeds_per_trial
    pruner: BasePruner | None = None
    if name:
        pruner = _make("pruner", BasePruner, PRUNERS.get(name, name), sweep.pruner_kwargs, resource)
    if sweep.patience:
        return PatientPruner(pruner, patience=sweep.patience)
    return pruner or NopPruner()


def _make[T](what: str, base: type[T], class_path: str, arguments: dict[str, Any], defaults: dict[str, Any]) -> T:
    where = f"sweep.{what}"
    try:
        cls = import_by_name(class_path)
    except (ImportError, AttributeError) as error:
        raise DAFConfigError([Problem(where, f"{class_path!r} cannot be imported: {error}.")]) from error
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise DAFConfigError([Problem(where, f"{class_path!r} is no {what} of Optuna's kind.")])
    taken = inspect.signature(cls).parameters
    try:
        with surviving(f"making {class_path}"):
            return cls(**{key: value for key, value in defaults.items() if key in taken} | arguments)
    except (TypeError, ValueError, ImportError) as error:
        raise DAFConfigError([Problem(f"{where}_kwargs", f"{class_path} refuses its arguments: {error}.")]) from error
