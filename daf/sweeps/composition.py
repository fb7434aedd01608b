"""From what a trial sets to its whole, validated config."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from daf.config.compose import compose_unchecked, daf_load_config, validate
from daf.config.explain import explain_validation
from daf.config.override_syntax import override_text
from daf.config.references import Memory, remembering
from daf.config.schemas import DAFConfig
from daf.errors import DAFConfigError, Problem
from daf.sweeps.space import Compose, is_group


def compose_overrides(fixed: Sequence[str], config_dir: Path, config_name: str) -> Compose:
    """Composes as the command line does: fixed overrides, then those of the trial.

    Hydra takes half a second for a composition, so it is asked once for every choice of groups; values are then set as
    it would set them.
    """
    memory: Memory = {}  # all trials are about the same policies

    @lru_cache(maxsize=64)
    def with_groups(groups: tuple[str, ...]) -> DictConfig:
        return compose_unchecked([*fixed, *groups], config_dir=config_dir, config_name=config_name)

    def compose(assignments: Mapping[str, Any]) -> DAFConfig:
        groups = tuple(override_text(key, value) for key, value in assignments.items() if is_group(key))
        values = {key: value for key, value in assignments.items() if not is_group(key)}
        try:
            composed = deepcopy(with_groups(groups))
            for key, value in values.items():
                OmegaConf.update(composed, key.lstrip("+"), value, force_add=key.startswith("+"))
        except (DAFConfigError, OmegaConfBaseException):
            # What does not fit is explained best where the whole command line is known.
            overrides = [*fixed, *(override_text(key, value) for key, value in assignments.items())]
            return daf_load_config(overrides=overrides, config_dir=config_dir, config_name=config_name)
        with remembering(memory):
            return validate(composed)

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
