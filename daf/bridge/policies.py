"""Policies: resolving what a user named, and building the objects that act."""

import ast
import contextlib
import functools
import importlib.util
import inspect
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daf.bridge.bundles import (
    SPEC_FILE,
    Bundle,
    bundles_folder,
    exists,
    has_clean_environment,
    import_from,
    is_bundle,
    read_bundle,
    unpacked,
)
from daf.bridge.file_digests import file_digest, files_below, path_digest
from daf.bridge.imports import contained, import_by_name, surviving
from daf.bridge.reads import watching
from daf.bridge.tensors import read_tensors
from daf.records import PolicySpec, digest

if TYPE_CHECKING:
    from mettagrid.policy.policy import AgentPolicy, MultiAgentPolicy
    from mettagrid.policy.policy import PolicySpec as CogamesPolicySpec
    from mettagrid.policy.policy_env_interface import PolicyEnvInterface

#: Torch's own switches: always only tensors, and never.
TORCH_SWITCHES = ("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
#: What plays the episodes. Their code counts by version, the code of any other policy by content.
PACKAGES = ("cogames", "mettagrid", "torch", "numpy")
#: Whose policies are CoGames' own.
OWN_PACKAGES = ("cogames", "mettagrid")


@functools.cache
def registered_policies() -> dict[str, str]:
    """Short name to class path of every policy that CoGames finds. Imports torch and every policy module."""
    with contained(), surviving("finding policies"):
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


def policy_class(class_path: str) -> type:
    """The class behind a short name or dotted path.

    Raises:
        ValueError: there is no such class. CoGames itself would say so only in the middle of an episode.
    """
    path = full_class_path(class_path)
    if "." not in path:
        raise ValueError(f"no policy is called {class_path!r}. Registered: {', '.join(sorted(registered_policies()))}.")
    imported_code_digest(class_path)  # takes note of the files before they are read
    try:
        with contained(), watching([path]):
            found = import_by_name(path)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"policy class {path!r} cannot be imported: {error}.") from error
    if not isinstance(found, type):
        raise ValueError(f"{path!r} is no class but a {type(found).__name__}.")
    return found


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
    if found is None or _is_unpacked(Path(found.origin or "")):  # a bundle's digest covers it
        return set()
    places = [Path(place) for place in found.submodule_search_locations or (found.origin or "no file",)]
    counted = [place for place in places if even_installed or not is_installed(place)]
    return {path for place in counted for path in (files_below(place) if place.is_dir() else [place]) if path.is_file()}


def is_installed(path: Path) -> bool:
    """Whether a file or folder belongs to an installed package."""
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


@dataclass(frozen=True)
class _Resolved:
    """What CoGames loads, and what of it is somebody else's.

    Attributes:
        code: the folder whose modules the class comes from, or None where Python can import it anyway.
    """

    spec: "CogamesPolicySpec"
    code: Path | None = None


def resolve_policy(spec: PolicySpec) -> "CogamesPolicySpec":
    """Turns weights given as a file, a checkpoint folder or a bundle into what CoGames loads.

    Raises:
        ValueError: unknown class, weights that belong to another class, a bundle that is not sound or not trusted.
        FileNotFoundError: no such weights.
    """
    return _resolved(spec).spec


def _resolved(spec: PolicySpec) -> _Resolved:
    class_path = full_class_path(spec.class_path)
    weights = Path(spec.weights).expanduser() if spec.weights is not None else None
    if weights is not None and not exists(weights):
        raise FileNotFoundError(f"no weights at {weights}")
    if weights is not None and is_bundle(weights):
        return _from_bundle(read_bundle(weights), class_path, spec)
    policy_class(class_path)
    return _Resolved(_cogames_spec(class_path, weights and weights_file(weights), spec.init_kwargs))


def _cogames_spec(class_path: str, data: Path | None, init_kwargs: Mapping[str, Any]) -> "CogamesPolicySpec":
    with contained():
        from mettagrid.policy.policy import PolicySpec as CogamesPolicySpec
    data_path = None if data is None else str(data)
    return CogamesPolicySpec(class_path=class_path, data_path=data_path, init_kwargs=dict(init_kwargs))


def weights_file(weights: Path) -> Path:
    """The file itself, or the newest model in a checkpoint folder.

    Raises:
        FileNotFoundError: the folder holds none.
        ValueError: it is no regular file.
    """
    if weights.is_dir():
        models = sorted(weights.glob("model_*.pt"))
        if not models:
            raise FileNotFoundError(f"{weights} holds neither {SPEC_FILE} nor model_*.pt")
        weights = models[-1]
    if not weights.is_file():  # a pipe would keep its reader waiting for ever
        raise ValueError(f"{weights} is no regular file.")
    return weights


def _from_bundle(bundle: Bundle, class_path: str, spec: PolicySpec) -> _Resolved:
    stored = full_class_path(bundle.class_path)
    if stored != class_path:
        raise ValueError(
            f"{bundle.path} holds a {stored}, not a {class_path}; set policy.class_path={bundle.class_path} to match."
        )
    foreign = is_foreign(bundle)
    if foreign or bundle.setup_script:
        _check_trust(bundle, spec)
    folder = unpacked(bundle, run_setup=bundle.setup_script is not None)
    code = folder / bundle.code_root if foreign and bundle.code_root is not None else None
    if code is None:
        policy_class(class_path)
    elif _top_level(class_path) in {"daf", *PACKAGES, *sys.stdlib_module_names}:
        raise ValueError(f"{bundle.path} has a package {_top_level(class_path)!r} of its own, which DAF uses.")
    data = folder / bundle.data_path if bundle.data_path else None
    return _Resolved(_cogames_spec(stored, data, {**bundle.init_kwargs, **spec.init_kwargs}), code)


def is_foreign(bundle: Bundle) -> bool:
    """Whether a bundle's class is neither CoGames' own nor, in a folder, one that Python can import anyway."""
    if is_cogames_own(bundle.class_path) and full_class_path(bundle.class_path) in registered_policies().values():
        return False
    return bundle.is_archive or not _can_be_found(_top_level(bundle.class_path))


def _can_be_found(top: str) -> bool:
    try:
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    return found is not None and not _is_unpacked(Path(found.origin or ""))


def _is_unpacked(path: Path) -> bool:
    return path.is_relative_to(bundles_folder())


def _check_trust(bundle: Bundle, spec: PolicySpec) -> None:
    digest = bundle.digest()
    if spec.trust is True or (spec.trust and digest in spec.trust):
        return
    setup = f" and a setup script ({bundle.setup_script})" if bundle.setup_script else ""
    raise ValueError(
        f"{bundle.path} brings the class {bundle.class_path}{setup}: code that would run with your rights. If you trust"
        f" whoever made it, set policy.trust=true, or policy.trusted=[{digest}] for exactly this content."
    )


def brings_code(spec: PolicySpec) -> bool:
    """Whether a policy is a bundle with a class of its own, which plays in a process with a clean environment only.

    Raises:
        ValueError: the bundle is not sound.
    """
    weights = Path(spec.weights).expanduser() if spec.weights is not None else None
    return weights is not None and is_bundle(weights) and is_foreign(read_bundle(weights))


def policy_digest(spec: PolicySpec) -> str:
    """SHA-256 of what decides how a policy acts: class, weights and init arguments, with the files that these name."""
    found = _resolved(spec)
    resolved = found.spec
    return digest(
        {
            "class_path": resolved.class_path,
            "code": found.code and path_digest(found.code),
            "weights": path_digest(Path(resolved.data_path)) if resolved.data_path else None,
            "init_kwargs": resolved.init_kwargs,
            "files": [path_digest(path) for path in named_paths(resolved.init_kwargs)],
        }
    )


def named_paths(value: Any) -> Iterator[Path]:
    """The files and folders that exist under a text in an argument, however deep it lies."""
    if isinstance(value, str | Path):
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # too long, with a NUL, ~ of a stranger: no path
            path = Path(value).expanduser()
            if value and path.exists():
                yield path
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from named_paths(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from named_paths(item)


def load_policy(interface: "PolicyEnvInterface", spec: PolicySpec, device: str = "cpu") -> "MultiAgentPolicy":
    """Builds a policy, with its weights, ready to give out agent policies on `device`."""
    with contained():
        from mettagrid.policy.loader import initialize_or_load_policy
    found = _resolved(spec)
    resolved = found.spec
    if found.code:
        _admit(found.code, resolved.class_path)
    elif resolved.data_path and is_cogames_own(resolved.class_path):
        check_weights(Path(resolved.data_path))
    # CoGames honours a device only where init_kwargs names one, and only some classes take it.
    if device != "cpu" and "device" in inspect.signature(policy_class(resolved.class_path)).parameters:
        resolved.init_kwargs["device"] = device
    with constructing(resolved, spec.trust):
        return _give_infos(initialize_or_load_policy(interface, resolved))


@contextlib.contextmanager
def constructing(spec: "CogamesPolicySpec", trust: bool | tuple[str, ...]) -> Iterator[None]:
    """Where CoGames makes a policy and loads its weights: neither ends this process, and misfits become a sentence.

    Raises:
        ImportError: the policy ends the program.
        ValueError: the weights do not fit.
    """
    with _only_tensors(trust), watching([spec.class_path]), surviving(f"making {spec.class_path}"):
        try:
            yield
        except RuntimeError as error:
            if "loading state_dict" in str(error):
                raise ValueError(_misfit(spec, str(error))) from error
            raise


def _admit(code: Path, class_path: str) -> None:
    """Lets a trusted bundle's modules into this process, if it keeps no secrets in its environment."""
    if not has_clean_environment():
        raise ValueError(f"{class_path} is a bundle's code, which only a process with a clean environment loads.")
    import_from(code, class_path)
    policy_class(class_path)


def check_weights(path: Path) -> None:
    """Reads a file of weights as tensors only, since a pickle could run anything.

    Raises:
        ValueError: it is no regular file, or not what torch wrote of tensors.
    """
    if not path.is_file():
        raise ValueError(f"{path} is no regular file.")
    try:
        read_tensors(path)
    except ValueError as error:
        raise ValueError(f"{path} is no file of weights (tensors and nothing else): {error}") from error


def _misfit(spec: "CogamesPolicySpec", error: str) -> str:
    details = [line.strip() for line in error.splitlines()[1:] if line.strip()]
    return f"the weights in {spec.data_path} do not fit {spec.class_path}: {details[0] if details else error}"


@contextlib.contextmanager
def _only_tensors(trust: bool | tuple[str, ...]) -> Iterator[None]:
    """Makes `torch.load` refuse any pickle but of tensors, whatever a policy asks for, unless its maker is trusted."""
    before = {name: os.environ.pop(name, None) for name in TORCH_SWITCHES}
    if not trust:
        os.environ[TORCH_SWITCHES[0]] = "1"
    try:
        yield
    finally:
        os.environ.pop(TORCH_SWITCHES[0], None)
        os.environ.update({name: value for name, value in before.items() if value is not None})


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
