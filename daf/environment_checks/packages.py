"""The installed packages against those that DAF was made for."""

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from daf.config.tracking_address import project_dir
from daf.environment_checks.result import EnvironmentCheckResult, checked
from daf.errors import PACKAGES as MODULES_OF
from daf.errors import DAFError, Problem, first_line, missing_requirement

PACKAGES = "packages"
#: What a package is imported as, where that is not its name.
MODULES = {package: module for module, package in MODULES_OF.items() if package != "cogames"}
#: What no run begins without.
ENGINES = ("cogames", "mlflow", "torch")
#: To import all of these takes seconds: it is only looked whether their files are there. (cmaes brings scipy.)
HEAVY = frozenset({*ENGINES, "cmaes", "optuna", "pandas", "scipy"})
#: Without these there are no pictures, and all else is as with them.
ONLY_DRAWS = frozenset({"matplotlib"})
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")
#: Packages that one warning names.
MOST_NAMED = 4


def daf_check_dependencies() -> EnvironmentCheckResult:
    """Every package that DAF requires must be installed and be there to be imported.

    Another version than DAF was made for is a warning (the pin of CoGames among them), and so are others than those of
    requirements.lock, where there is one. So is a package that only draws.
    """
    requirements = [
        requirement
        for requirement in map(Requirement, importlib.metadata.requires("daf") or ())
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    ]
    unusable = {each.name: problem for each in requirements if (problem := _missing(each) or _broken(each.name))}
    errors = [problem for name, problem in unusable.items() if name not in ONLY_DRAWS]
    warnings = [problem for name, problem in unusable.items() if name in ONLY_DRAWS]
    warnings += [problem for each in requirements if (problem := _another_version(each))]
    lock = project_dir() / "requirements.lock"
    locked = _pins(lock) if lock.is_file() else {}
    warnings += _not_as_locked(locked)
    cogames = _version("cogames") or "not installed"
    against = f", {len(locked)} locked versions" if locked else ""
    return checked(PACKAGES, f"{len(requirements)} requirements{against}; cogames {cogames}", errors, warnings)


def require_packages() -> None:
    """What every run needs must be there, before anything is made.

    Raises:
        DAFError: naming the package, and the command that installs it.
    """
    for module in ENGINES:
        try:
            there = importlib.util.find_spec(module) is not None
        except ModuleNotFoundError:
            there = False
        if not there:
            raise DAFError(str(missing_requirement(ModuleNotFoundError(name=module))))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _missing(requirement: Requirement) -> Problem | None:
    if _version(requirement.name) is not None:
        return None
    return Problem(requirement.name, "is not installed.", f"Install {requirement}, or run ./scripts/setup.")


def _broken(name: str) -> Problem | None:
    """Why a package that is installed cannot be imported, as far as it shows soon."""
    module = MODULES.get(canonicalize_name(name), name.replace("-", "_"))
    hint = f"Install it again: {name}, or run ./scripts/setup."
    try:
        if importlib.util.find_spec(module) is None:
            return Problem(name, f"is installed, but its module {module} is not there.", hint)
        if name not in HEAVY:
            importlib.import_module(module)
    except Exception as error:  # what a broken package raises
        return Problem(name, f"cannot be imported: {type(error).__name__}: {first_line(error).rstrip('.')}.", hint)
    return None


def _another_version(requirement: Requirement) -> Problem | None:
    version = _version(requirement.name)
    if version is None or requirement.specifier.contains(version, prereleases=True):
        return None
    return Problem(
        requirement.name,
        f"is {version}, but DAF was made for {requirement}.",
        f"Install {requirement}, or run ./scripts/setup.",
    )


def _pins(lock: Path) -> dict[str, str]:
    """Package to version, without those of other systems, which are not installed here."""
    pairs = (_PIN.match(line) for line in lock.read_text().splitlines())
    return {canonicalize_name(pair[1]): pair[2] for pair in pairs if pair}


def _not_as_locked(locked: dict[str, str]) -> Iterator[Problem]:
    """One warning for all versions that are not those of the lock: their results were not measured."""
    differ = [
        f"{name} {installed} instead of {version}"
        for name, version in locked.items()
        if (installed := _version(name)) is not None and installed != version
    ]
    if differ:
        more = f" and {len(differ) - MOST_NAMED} more" if len(differ) > MOST_NAMED else ""
        what = f"{', '.join(differ[:MOST_NAMED])}{more}."
        yield Problem("requirements.lock", what, "Run ./scripts/setup, which installs the locked versions.")
