"""A config with some dotted keys set to other values."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from daf.config.explain import explain_validation
from daf.config.schemas import DAFConfig, policy_from_text
from daf.errors import DAFConfigError, Problem


def changed_config(config: DAFConfig, where: str, changes: Iterable[Mapping[str, Any]]) -> DAFConfig:
    """The config with dotted keys set; `policy` itself takes a policy in any form of `evaluation.policies`.

    Raises:
        DAFConfigError: naming `where`; a key or a value that the config does not take.
    """
    data = config.model_dump()
    try:
        for values in changes:
            for key, value in values.items():
                _set(data, key, policy_from_text(value) if key == "policy" else value)
        for key in ("trust", "trusted"):  # another policy may do no less
            data["policy"].setdefault(key, getattr(config.policy, key))
        return DAFConfig.model_validate(data)
    except ValidationError as error:
        problems = [Problem(where, f"{found.where}: {found.what}", found.hint) for found in explain_validation(error)]
        raise DAFConfigError(problems) from error
    except ValueError as error:
        raise DAFConfigError([Problem(where, str(error))]) from error


def _set(data: dict[str, Any], key: str, value: Any) -> None:
    """Sets a dotted key. ValueError where keys and values are mixed up."""
    if key in data and not isinstance(value, dict):
        raise ValueError(f"{key} is a group of keys; set one of them, such as {key}.{next(iter(data[key]))}.")
    *groups, last = key.split(".")
    node = data
    for name in groups:
        node = node.setdefault(name, {})
        if not isinstance(node, dict):
            raise ValueError(f"{key}: {name} is a value and has no keys.")
    node[last] = value
