"""The Hydra side: from the arguments of `-m` to a sweep."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from daf.config.override_syntax import split_overrides
from daf.config.schemas import DAFConfig
from daf.errors import DAFConfigError, Problem
from daf.sweeps.checks import MOST_PROBES
from daf.sweeps.composition import compose_overrides
from daf.sweeps.hydra_executor import LauncherExecutor, trial_overrides
from daf.sweeps.launch import daf_launch_sweep
from daf.sweeps.results import SweepResult
from daf.sweeps.space import Compose, Parameter, parse_ranges
from daf.sweeps.study import StoredStudy
from daf.tasks import print_result

BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


def sweep(
    hydra_context: HydraContext, task_function: TaskFunction, hydra_config: DictConfig, arguments: Sequence[str]
) -> SweepResult:
    """Runs what the command line describes and prints the result.

    Raises:
        DAFConfigError: the request is wrong; nothing was started.
    """
    fixed, swept = split_overrides(arguments, hydra_context.config_loader)
    config_dir, extra = _config_folders(hydra_config)
    compose = compose_overrides(fixed, config_dir, hydra_config.hydra.job.config_name, extra)
    try:
        base = with_space(compose({}), swept)
    except DAFConfigError as error:
        raise DAFConfigError(_all_problems(error.problems, swept, compose)) from error
    # Composed anew for every trial, so that an output folder named after the time must be fixed once.
    base = base.model_copy(update={"output_dir": str(Path(hydra_config.hydra.sweep.dir).absolute())})
    executor = None
    if hydra_config.hydra.launcher._target_ != BASIC_LAUNCHER:
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=hydra_config
        )
        executor = partial(_launcher_executor, launcher, fixed)
    result = daf_launch_sweep(base, compose=compose, overrides=arguments, executor=executor)
    if base.result_format == "text":
        print_result(result, result.output_dir, result.run_id, base.tracking.uri)
    return result


def _launcher_executor(launcher: Launcher, fixed: Sequence[str], stored: StoredStudy) -> LauncherExecutor:
    return LauncherExecutor(launcher, lambda job: trial_overrides(job, stored, fixed))


def _all_problems(found: list[Problem], swept: dict[str, Any], compose: Compose) -> list[Problem]:
    """The base config's problems and those that the swept values add to them."""
    problems = list(found)
    for key, value in swept.items():
        try:
            probes = Parameter.of(key, parse_ranges({key: value})[key]).probes()
        except DAFConfigError:
            continue  # reported with the space, once the base is right
        for probe in probes[:MOST_PROBES]:
            try:
                compose({key: probe})
            except DAFConfigError as error:
                problems += [problem for problem in error.problems if problem not in problems]
    return problems


def with_space(config: DAFConfig, swept: dict[str, Any]) -> DAFConfig:
    """The config with keys of the command line added to `sweep.space`, where they replace the same ones.

    Raises:
        DAFConfigError: a value is no range and no list of choices.
    """
    added = parse_ranges(swept)
    swept_paths = {key.lstrip("+") for key in added}
    kept = {key: ranges for key, ranges in config.sweep.space.items() if key.lstrip("+") not in swept_paths}
    sweep_config = config.sweep.model_copy(update={"space": {**kept, **added}})
    return config.model_copy(update={"sweep": sweep_config})


def _config_folders(hydra_config: DictConfig) -> tuple[Path, Path | None]:
    """The primary config's folder, and the one of `--config-dir`."""
    sources = {source.provider: source.path for source in hydra_config.hydra.runtime.config_sources}
    extra = sources.get("command-line")
    return Path(sources["main"]), Path(extra) if extra else None
