"""Weights of network policies as files: copies in which parts are switched off."""

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from daf.bridge.policies import resolve_policy
from daf.bridge.tensors import read_tensors
from daf.records import PolicySpec


def zero_weights(spec: PolicySpec, parts: Sequence[str], path: Path) -> PolicySpec:
    """Writes a copy of a policy's weights in which some parameters are 0.

    Args:
        parts: modules (``_rnn``), parameters (``_rnn.weight_hh_l0``) or patterns of these (``*.bias``).
        path: the new file; its folder is made.

    Returns:
        The same policy with the new weights.

    Raises:
        ValueError: no weights, weights that are no state dict, or a part that names no parameter.
        FileNotFoundError: there is nothing at `spec.weights`.
    """
    import torch

    resolved = resolve_policy(spec)
    if resolved.data_path is None:
        raise ValueError(f"{spec.name} has no weights of which a part could become 0; set policy.weights.")
    state = read_tensors(Path(resolved.data_path))
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{resolved.data_path} holds no state dict.")
    chosen = {part: [name for name in state if _belongs(name, part)] for part in parts}
    unknown = [part for part, names in chosen.items() if not names]
    if unknown:
        raise ValueError(f"no parameter is called {', '.join(unknown)}. There are {', '.join(state)}.")
    for name in {name for names in chosen.values() for name in names}:
        state[name] = torch.zeros_like(state[name])
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return replace(spec, class_path=resolved.class_path, weights=str(path), init_kwargs=dict(resolved.init_kwargs))


def _belongs(parameter: str, part: str) -> bool:
    return fnmatchcase(parameter, part) or fnmatchcase(parameter, f"{part}.*")
