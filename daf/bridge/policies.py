"""Policies: resolving what a user named, and building the objects that act."""

import ast
import contextlib
import functools
import importlib
import importlib.util
import inspect
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daf.bridge.file_digests import file_digest, files_below, path_digest
from daf.bridge.imports import contained
from daf.bridge.reads import OWN, watching
from daf.records import PolicySpec, digest

if TYPE_CHECKING:
    from mettagrid.policy.policy import AgentPolicy, MultiAgentPolicy
    from mettagrid.policy.policy import PolicySpec as CogamesPolicySpec
    from mettagrid.policy.policy_env_interface import PolicyEnvInterface

SPEC_FILE = "policy_spec.json"
#: What plays the episodes. Their code counts by version, the code of any other policy by content.
PACKAGES = ("cogames", "mettagrid", "torch", "numpy")
#: Whose policies are CoGames' own.
OWN_PACKAGES = ("cogames", "mettagrid")


@functools.cache
def registered_policies() -> dict[str, str]:
    """Short name to class path of every policy that CoGames finds. Imports torch and every policy module."""
    with contained():
        from mettagrid.policy.loader import discover_and_register_policies
        from mettagrid.policy.policy_registry import get_policy_registry

        discover_and_register_policies()
    return dict(get_policy_registry())


def is_cogames_own(class_path: str) -> bool:
    """Whether CoGames itself ships the policy: its code is trusted to run in this process, anybody else's is not."""
    return full_class_path(class_path).partition(".")[0] in OWN_PACKAGES


def full_class_path(class_path: str) -> str:
    """The dotted path behind a short name; a dotted path stays as it is."""
    return registered_policies().get(class_path, class_path)


def is_cogames_own(class_path: str) -> bool:
    """True for classes that CoGames or mettagrid ship."""
    return _top_level(class_path) in OWN


def policy_class(class_path: str) -> type:
    """The class behind a short name or dotted path.

    Raises:
        ValueError: there is no such class. CoGames itself would say so only in the middle of an episode.
    """
    path = full_class_path(class_path)
    module, _, name = path.rpartition(".")
    if not module:
        raise ValueError(f"no policy is called {class_path!r}. Registered: {', '.join(sorted(registered_policies()))}.")
    imported_code_digest(class_path)  # takes note of the files before they are read
    try:
        with contained(), watching([path]):
            return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"policy class {path!r} cannot be imported: {error}.") from error


def code_digest(class_path: str) -> str | None:
    """SHA-256 of the files that a policy class may come from, as they are now.

    These are its module, or every file of the top-level package that holds it (`file_digests.files_below`), and all
    modules and packages that an import statement in them names, unless they are installed. Empty where a version covers
    them; None where the files cannot be found again, as for a class in ``__main__``.
    """
    return _code_digest(_top_level(class_path))


def imported_code_digest(class_path: str) -> str | None:
    """What `code_digest` said when this process first asked for the class: Python reads no edited file again."""
    return _first_code_digest(_top_level(class_path))


def _top_level(class_path: str) -> str:
    return full_class_path(class_path).partition(".")[0]


def _code_digest(top: str) -> str | None:
    if top in PACKAGES:
        return ""
    try:
        return digest([(path.name, file_digest(path)) for path in sorted(_code_files(top))])
    except (OSError, ValueError):  # unreadable, or a module that was not imported from a file
        return None


_first_code_digest = functools.cache(_code_digest)


def _code_files(top: str) -> set[Path]:
    files: set[Path] = set()
    names, seen = [top], {"daf", *PACKAGES, *sys.stdlib_module_names} - {top}
    while names:
        name = names.pop()
        if name in seen:
            continue
        seen.add(name)
        new = _files_of(name, even_installed=name == top)
        names.extend(imported for path in new if path.suffix == ".py" for imported in _imported_names(path))
        files |= new
    return files


def _files_of(name: str, *, even_installed: bool) -> set[Path]:
    """The files of a top-level module or package."""
    found = importlib.util.find_spec(name)
    if found is None:
        return set()
    places = [Path(place) for place in found.submodule_search_locations or (found.origin or "no file",)]
    counted = [place for place in places if even_installed or not _is_installed(place)]
    return {path for place in counted for path in (files_below(place) if place.is_dir() else [place]) if path.is_file()}


def _is_installed(path: Path) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(path.parts)


def _imported_names(path: Path) -> set[str]:
    """Top-level names in a file's import statements, wherever they stand in it."""
    try:
        with warnings.catch_warnings(action="ignore"):  # such as those about the escapes in its strings
            nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except (SyntaxError, ValueError):  # a template, or compiled code: it imports nothing from here
        return set()
    modules = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    modules += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return {module.partition(".")[0] for module in modules}


def resolve_policy(spec: PolicySpec) -> "CogamesPolicySpec":
    """Turns weights given as a file, a checkpoint folder or a bundle into what CoGames loads.

    Raises:
        ValueError: unknown class, or weights that belong to another class.
        FileNotFoundError: no such weights.
    """
    with contained():
        from mettagrid.policy.policy import PolicySpec as CogamesPolicySpec
    class_path = full_class_path(spec.class_path)
    policy_class(class_path)
    kwargs = dict(spec.init_kwargs)
    if spec.weights is None:
        return CogamesPolicySpec(class_path=class_path, init_kwargs=kwargs)
    weights = Path(spec.weights).expanduser()
    if not weights.exists():
        raise FileNotFoundError(f"no weights at {weights}")
    if weights.suffix == ".zip":
        stored = _open_bundle(weights)
    elif weights.is_dir():
        stored = _open_folder(weights, class_path)
    else:
        return CogamesPolicySpec(class_path=class_path, data_path=str(weights), init_kwargs=kwargs)
    if stored.class_path != class_path:
        raise ValueError(f"{weights} holds a {stored.class_path}, not a {class_path}; set policy.class_path to match.")
    return CogamesPolicySpec(
        class_path=class_path, data_path=stored.data_path, init_kwargs={**stored.init_kwargs, **kwargs}
    )


def _open_folder(folder: Path, class_path: str) -> "CogamesPolicySpec":
    from mettagrid.policy.policy import PolicySpec as CogamesPolicySpec

    if (folder / SPEC_FILE).is_file():
        stored = json.loads((folder / SPEC_FILE).read_text())
        data = stored.get("data_path")
        return CogamesPolicySpec(
            class_path=full_class_path(stored["class_path"]),
            data_path=str(folder / data) if data else None,
            init_kwargs=stored.get("init_kwargs") or {},
        )
    models = sorted(folder.glob("model_*.pt"))
    if not models:
        raise FileNotFoundError(f"{folder} holds neither {SPEC_FILE} nor model_*.pt")
    return CogamesPolicySpec(class_path=class_path, data_path=str(models[-1]))


def _open_bundle(bundle: Path) -> "CogamesPolicySpec":
    """Opens a bundle under a name made from its content: CoGames caches what it extracts by path alone."""
    with contained():
        from mettagrid.util.uri_resolvers.schemes import policy_spec_from_uri
    folder = Path(tempfile.gettempdir()) / f"daf-bundles-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    copy = folder / f"{file_digest(bundle)}.zip"
    if not copy.exists():
        partial = copy.with_suffix(f".{os.getpid()}")
        shutil.copyfile(bundle, partial)
        partial.replace(copy)
    return policy_spec_from_uri(copy.as_uri())


def policy_digest(spec: PolicySpec) -> str:
    """SHA-256 of what decides how a policy acts: class, weights and init arguments, with the files that these name."""
    resolved = resolve_policy(spec)
    return digest(
        {
            "class_path": resolved.class_path,
            "weights": path_digest(Path(resolved.data_path)) if resolved.data_path else None,
            "init_kwargs": resolved.init_kwargs,
            "files": [path_digest(path) for path in _named_paths(resolved.init_kwargs)],
        }
    )


def _named_paths(value: Any) -> Iterator[Path]:
    """The files and folders that exist under a text in an argument, however deep it lies."""
    if isinstance(value, str | Path):
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # too long, with a NUL, ~ of a stranger: no path
            path = Path(value).expanduser()
            if value and path.exists():
                yield path
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _named_paths(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _named_paths(item)


def load_policy(interface: "PolicyEnvInterface", spec: PolicySpec, device: str = "cpu") -> "MultiAgentPolicy":
    """Builds a policy, with its weights, ready to give out agent policies on `device`."""
    with contained():
        from mettagrid.policy.loader import initialize_or_load_policy
    resolved = resolve_policy(spec)
    # CoGames honours a device only where init_kwargs names one, and only some classes take it.
    if device != "cpu" and "device" in inspect.signature(policy_class(resolved.class_path)).parameters:
        resolved.init_kwargs["device"] = device
    with watching([resolved.class_path]):
        return _give_infos(initialize_or_load_policy(interface, resolved))


def _give_infos(policy: "MultiAgentPolicy") -> "MultiAgentPolicy":
    """Makes the agent policies of classes that skip `AgentPolicy.__init__` (such as stateless) playable.

    The rollout reads `infos` after every step, which needs the attribute that `__init__` would have set.
    """
    original = policy.agent_policy

    def agent_policy(agent_id: int) -> "AgentPolicy":
        agent: Any = original(agent_id)
        if not hasattr(agent, "_infos"):
            agent._infos = {}
        return agent

    policy.agent_policy = agent_policy
    return policy


def has_network(class_path: str) -> bool:
    """Whether a policy class offers a network: something to train and to load weights into."""
    with contained():
        from mettagrid.policy.policy import MultiAgentPolicy
    network = getattr(policy_class(class_path), "network", None)
    return network is not None and network is not MultiAgentPolicy.network
