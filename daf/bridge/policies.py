"""Policies: resolving what a user named, and building the objects that act."""

import functools
import hashlib
import importlib
import inspect
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daf.bridge.imports import contained
from daf.records import PolicySpec, digest

if TYPE_CHECKING:
    from mettagrid.policy.policy import AgentPolicy, MultiAgentPolicy
    from mettagrid.policy.policy import PolicySpec as CogamesPolicySpec
    from mettagrid.policy.policy_env_interface import PolicyEnvInterface

SPEC_FILE = "policy_spec.json"


@functools.cache
def registered_policies() -> dict[str, str]:
    """Short name to class path of every policy that CoGames finds. Imports torch and every policy module."""
    with contained():
        from mettagrid.policy.loader import discover_and_register_policies
        from mettagrid.policy.policy_registry import get_policy_registry

        discover_and_register_policies()
    return dict(get_policy_registry())


def full_class_path(class_path: str) -> str:
    """The dotted path behind a short name; a dotted path stays as it is."""
    return registered_policies().get(class_path, class_path)


def policy_class(class_path: str) -> type:
    """The class behind a short name or dotted path.

    Raises:
        ValueError: there is no such class. CoGames itself would say so only in the middle of an episode.
    """
    path = full_class_path(class_path)
    module, _, name = path.rpartition(".")
    if not module:
        raise ValueError(f"no policy is called {class_path!r}. Registered: {', '.join(sorted(registered_policies()))}.")
    try:
        with contained():
            return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"policy class {path!r} cannot be imported: {error}.") from error


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


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def policy_digest(spec: PolicySpec) -> str:
    """SHA-256 of what decides how a policy acts: class, weights' content and init arguments."""
    resolved = resolve_policy(spec)
    weights = Path(resolved.data_path) if resolved.data_path else None
    return digest(
        {
            "class_path": resolved.class_path,
            "weights": file_digest(weights) if weights and weights.is_file() else None,
            "init_kwargs": resolved.init_kwargs,
        }
    )


def load_policy(interface: "PolicyEnvInterface", spec: PolicySpec, device: str = "cpu") -> "MultiAgentPolicy":
    """Builds a policy, with its weights, ready to give out agent policies on `device`."""
    with contained():
        from mettagrid.policy.loader import initialize_or_load_policy
    resolved = resolve_policy(spec)
    # CoGames honours a device only where init_kwargs names one, and only some classes take it.
    if device != "cpu" and "device" in inspect.signature(policy_class(resolved.class_path)).parameters:
        resolved.init_kwargs["device"] = device
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

    policy.agent_policy = agent_policy  # type: ignore[method-assign]
    return policy


def has_network(class_path: str) -> bool:
    """Whether a policy class offers a network: something to train and to load weights into."""
    with contained():
        from mettagrid.policy.policy import MultiAgentPolicy
    network = getattr(policy_class(class_path), "network", None)
    return network is not None and network is not MultiAgentPolicy.network
