"""A config as the command that asks for it."""

import functools
import shlex
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from daf.config.compose import daf_load_config
from daf.config.override_syntax import override_text
from daf.config.schemas import DAFConfig, DAFPolicyConfig
from daf.redaction import redactor

PROGRAM = ("python", "-m", "daf.run")
#: What decides a score, beside who plays, and where it is kept.
OF_SCORES = frozenset({"mission", "variant", "evaluation", "level", "device", "tracking"})
OF_POLICY = OF_SCORES | {"policy"}
OF_COMPARISON = OF_SCORES | {"comparison"}
OF_DEPLOYMENT = OF_COMPARISON | {"policy", "deployment"}


def command_for(config: DAFConfig, task: str, sections: Collection[str] = OF_POLICY) -> str:
    """The whole command, to be pasted into a shell, that gives a shipped task the same `sections` as `config` has.

    It names what differs from the task's defaults. Secrets are blanked: they are to be given again.
    """
    defaults = _defaults(task)
    wanted = redactor().tree(config.model_dump(mode="json"))
    names = [name for name in defaults if name in sections]
    return shlex.join(
        [*PROGRAM, f"task={task}", *(text for name in names for text in _overrides(name, wanted, defaults))]
    )


def playing(config: DAFConfig, policy: DAFPolicyConfig) -> DAFConfig:
    """The config with another `policy`, and no list of policies that would be played in its place."""
    evaluation = config.evaluation.model_copy(update={"policies": ()})
    return config.model_copy(update={"policy": policy, "evaluation": evaluation})


def deploying(config: DAFConfig, task: str, bundle: Path | None = None) -> str:
    """The command that goes on with a bundle, or else with what is deployed under the same name."""
    changes = {} if bundle is None else {"bundle": str(bundle), "policy": None}
    deployment = config.deployment.model_copy(update=changes)
    return command_for(config.model_copy(update={"deployment": deployment}), task, OF_DEPLOYMENT)


@functools.cache
def _defaults(task: str) -> dict[str, Any]:
    return daf_load_config(overrides=[f"task={task}"]).model_dump(mode="json")


def _overrides(name: str, wanted: Mapping[str, Any], defaults: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The overrides that make one key of the defaults the wanted one."""
    key = f"{above}{name}"
    if name not in defaults:
        yield override_text(f"+{key}", _brief(wanted[name]))
        return
    value, default = wanted[name], defaults[name]
    if isinstance(value, Mapping) and isinstance(default, Mapping):
        yield from (f"~{key}.{gone}" for gone in default if gone not in value)
        for inner in value:
            yield from _overrides(inner, value, default, f"{key}.")
    elif value != default:
        yield override_text(key, _brief(value))


def _brief(value: Any) -> Any:
    """The same without what a policy in a list has by default."""
    if isinstance(value, Mapping):
        return {key: _brief(item) for key, item in value.items() if item not in (None, False, [], {})}
    return [_brief(item) for item in value] if isinstance(value, list) else value
