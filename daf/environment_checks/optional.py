"""Packages that DAF can do without: who needs one that is missing is told the command that installs it."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from daf.config.plugins import HYDRA_PLUGINS
from daf.config.schemas import DAFConfig
from daf.environment_checks.result import EnvironmentCheckResult, checked
from daf.errors import Problem, install_command

OPTIONAL = "optional parts"


@dataclass(frozen=True)
class OptionalPart:
    """What works only with a package of its own.

    Attributes:
        feature: what a user types, or does.
        package: what is to be installed.
        module: what it is imported as.
        used: whether a config makes use of it.
    """

    feature: str
    package: str
    module: str
    used: Callable[[DAFConfig], bool] = lambda config: False


PARTS = (
    OptionalPart("notify.urls", "apprise", "apprise", lambda config: bool(config.notify.urls)),
    *(OptionalPart(feature, package, module) for feature, (package, module) in HYDRA_PLUGINS.items()),
    OptionalPart("optuna-dashboard", "optuna-dashboard", "optuna_dashboard"),
)


def check_optional_parts(config: DAFConfig) -> EnvironmentCheckResult:
    """A package that is missing is a warning where the config needs it; otherwise it is only named."""
    missing = [part for part in PARTS if not _is_here(part.module)]
    needed = [
        Problem(part.feature, f"{part.package} is not installed, so this part is left out.", _remedy(part))
        for part in missing
        if part.used(config)
    ]
    here = ", ".join(dict.fromkeys(part.package.split()[-1] for part in PARTS if part not in missing)) or "none"
    absent = "; ".join(f"{part.feature}: {install_command(part.package)}" for part in missing)
    return checked(OPTIONAL, f"{here}. Not here: {absent}" if absent else here, warnings=needed)


def _remedy(part: OptionalPart) -> str:
    return f"Install it: {install_command(part.package)}"


def _is_here(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the package above it
        return False
