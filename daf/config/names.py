"""Names of missions, variants and policies, checked without importing CoGames."""

import functools
import importlib.util
import re
from importlib.machinery import PathFinder
from pathlib import Path

from daf.bridge.catalogue import catalogue
from daf.bridge.mission_names import MISSION_SETS, is_mission_file
from daf.config.paths import CONF_DIR
from daf.config.suggestions import nearest
from daf.files import is_file

_NAME_KEY = re.compile(r"^name: *(\S+)$", re.MULTILINE)


def mission_name(name: str) -> str:
    """The full name of the mission that a full or short name means, or the path of an existing mission file.

    Short names are the options of the config group `mission`, and the part behind the dot where one mission has it.

    Raises:
        ValueError: there is no such mission, or several have the short name.
    """
    if is_mission_file(name):
        if not is_file(Path(name)):
            raise ValueError(f"there is no mission file {name!r}")
        return name
    if name in catalogue().missions:
        return name
    if name in _mission_options():
        return _mission_options()[name]
    meant = [mission for mission in catalogue().missions if mission.partition(".")[2] == name]
    if len(meant) > 1:
        raise ValueError(f"{len(meant)} missions are called {name!r}: {', '.join(meant)}")
    if not meant:
        known = [*catalogue().missions, *_mission_options(), *MISSION_SETS]
        raise ValueError(f"there is no mission {name!r}. {nearest(name, known)}")
    return meant[0]


@functools.cache
def _mission_options() -> dict[str, str]:
    """The shipped options of the config group `mission`, with the missions that they name."""
    files = (CONF_DIR / "mission").glob("*.yaml")
    return {path.stem: found[1] for path in files if (found := _NAME_KEY.search(path.read_text(encoding="utf-8")))}


def mission_pattern(pattern: str) -> str:
    """The pattern or set if it names at least one mission, the full name of a single one, else raises ValueError."""
    found = expand_missions([pattern])
    if not found:
        raise ValueError(f"no mission matches {pattern!r}")
    return pattern if pattern in MISSION_SETS or "*" in pattern else found[0]


def expand_missions(patterns: list[str]) -> list[str]:
    """Full mission names behind full and short names, mission files, sets and shell-like patterns; each once, in order.

    Raises:
        ValueError: a name that is neither a mission, a set nor a pattern.
    """
    found: list[str] = []
    for pattern in patterns:
        if pattern in MISSION_SETS:
            found.extend(catalogue().mission_sets[pattern])
        elif "*" in pattern:
            found.extend(_matching(pattern))
        else:
            found.append(mission_name(pattern))
    return list(dict.fromkeys(found))


def _matching(pattern: str) -> list[str]:
    # As CoGames: the pattern may stand anywhere in the name (arena* finds cogsguard_arena.basic).
    from fnmatch import fnmatchcase

    return [name for name in catalogue().missions if fnmatchcase(name, f"*{pattern}")]


def variant_name(name: str) -> str:
    """Returns the name if CoGames knows the variant, else raises ValueError."""
    base, _, factor = name.partition(":")
    if base == "objective_mine" and factor:
        _check_factor(name, factor)
    elif name not in catalogue().variants:
        raise ValueError(f"there is no variant {name!r}. {nearest(name, catalogue().variants)}")
    return name


def _check_factor(name: str, factor: str) -> None:
    try:
        valid = 0 < float(factor) < float("inf")
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"the factor in {name!r} must be a finite number above 0")


def policy_class_path(path: str) -> str:
    """Returns the path if it is a registered short name or class, or lies in a module that exists."""
    policies = catalogue().policies
    if path in policies or path in policies.values():
        return path
    module, _, _ = path.rpartition(".")
    if not module:
        raise ValueError(
            f"there is no policy {path!r}. {nearest(path, policies)} Or give a class as package.module.Class"
        )
    if not _module_exists(module):
        raise ValueError(f"there is no module {module!r} for the policy {path!r}. Is its folder on PYTHONPATH?")
    return path


SAMPLERS = ("grid", "random", "tpe", "gp", "cmaes", "nsga2", "nsga3", "qmc")
PRUNERS = ("median", "percentile", "asha", "hyperband", "wilcoxon")


def sampler_name(name: str) -> str:
    """Returns the name if it is a sampler's or the path of a class in a module that exists, else raises ValueError."""
    return _known_or_class(name, SAMPLERS, "sampler")


def pruner_name(name: str) -> str:
    """Returns the name if it is a pruner's or the path of a class in a module that exists, else raises ValueError."""
    return _known_or_class(name, PRUNERS, "pruner")


def _known_or_class(name: str, known: tuple[str, ...], what: str) -> str:
    module = name.rpartition(".")[0]
    if name not in known and not (module and _module_exists(module)):
        raise ValueError(f"there is no {what} {name!r}. {nearest(name, known)} Or give a class as package.module.Class")
    return name


def _module_exists(module: str) -> bool:
    """Looks for the file without importing the packages above it, which may be anybody's code."""
    top, *below = module.split(".")
    try:
        found = importlib.util.find_spec(top)
        name = top
        for part in below:
            name = f"{name}.{part}"
            found = found and PathFinder.find_spec(name, found.submodule_search_locations)
    except (ImportError, ValueError):
        return top == "__main__" and not below
    return found is not None
