"""From what a trial sets to its whole, validated config."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from daf.config.compose import daf_load_config
from daf.config.explain import explain_validation
from daf.config.override_syntax import override_text
from daf.config.schemas import DAFConfig
from daf.errors import DAFConfigError, Problem
from daf.sweeps.space import Compose, is_group


def compose_overrides(fixed: Sequence[str], config_dir: Path, config_name: str) -> Compose:
    """Composes as the command line does: fixed overrides, then those of the trial."""

    @lru_cache(maxsize=256)
    def composed(overrides: tuple[str, ...]) -> DAFConfig:
        return daf_load_config(overrides=[*fixed, *overrides], config_dir=config_dir, config_name=config_name)

    def compose(assignments: Mapping[str, Any]) -> DAFConfig:
        return composed(tuple(override_text(key, value) for key, value in assignments.items()))

    return compose


def compose_onto(base: DAFConfig) -> Compose:
    """Sets values in a config that is already there; a group's option replaces the group's section as a whole."""
    data = base.model_dump(mode="json")

    def compose(assignments: Mapping[str, Any]) -> DAFConfig:
        changed = data
        for key, value in assignments.items():
            changed = _with(changed, key.lstrip("+").split("."), _section(key, value) if is_group(key) else value)
        try:
            return DAFConfig.model_validate(changed)
        except ValidationError as error:
            raise DAFConfigError(explain_validation(error)) from error

    return compose


@lru_cache(maxsize=256)
def _section(group: str, option: str) -> Any:
    data = daf_load_config(overrides=[override_text(group, option)]).model_dump(mode="json")
    if group not in data:
        raise DAFConfigError([Problem(group, "is not a section of the config, so its options cannot be swept here.")])
    return data[group]


def _with(node: Any, path: list[str], value: Any) -> Any:
    """A copy of a nested mapping with one value set."""
    if not path:
        return value
    inner = node.get(path[0], {}) if isinstance(node, dict) else {}
    return {**(node if isinstance(node, dict) else {}), path[0]: _with(inner, path[1:], value)}
