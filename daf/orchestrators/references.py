"""References in a stage's overrides: to results of earlier stages, and to the pipeline's own config.

``${stages.train.checkpoint}`` is a result of the stage `train`, and ``${evaluation.baselines}`` a value of the config
that all stages share. A reference that is an item of a list, and that leads to a list, stands for that list's items.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from daf.config.override_syntax import override_text, plain
from daf.orchestrators.results import StageResult

REFERENCE = re.compile(r"\$\{([^${}]+)\}")
STAGES = "stages."
#: What every stage gives; `objective` is None where its task has none.
ALWAYS = ("run_id", "output_dir", "objective")
#: As in ``metrics.<name>``: where a result's own names are looked up, none of which is known before it is there.
KINDS = ("metrics", "facts", "files")

Lookup = Callable[[str], Any]


class UnknownValueError(Exception):
    """The value is not there yet."""


def references(override: str) -> list[str]:
    """What an override refers to, such as ``stages.train.checkpoint``."""
    return REFERENCE.findall(override)


def stage_and_key(reference: str) -> tuple[str, str] | None:
    """The stage and what of it is meant; None for a reference to the pipeline's own config."""
    if not reference.startswith(STAGES):
        return None
    stage, _, key = reference.removeprefix(STAGES).partition(".")
    return stage, key


def config_value(data: Mapping[str, Any], reference: str) -> Any:
    """A value of a config by its dotted key.

    Raises:
        KeyError: there is none.
    """
    value: Any = data
    for part in reference.split("."):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise KeyError(reference) from error
    return value


def stage_value(result: StageResult, key: str) -> Any:
    """A result of a stage: one of `ALWAYS`, a file by its name, or what is called so among one of `KINDS`.

    Raises:
        KeyError: the stage has given no such result.
    """
    if key in ALWAYS:
        value = getattr(result, key)
    elif key.partition(".")[0] in KINDS:
        kind, _, name = key.partition(".")
        value = getattr(result, kind)[name]
    else:
        value = result.files[key]
    if value is None:
        raise KeyError(key)
    return list(value) if isinstance(value, tuple) else value if isinstance(value, int | float) else str(value)


def resolved(override: str, lookup: Lookup) -> str:
    """An override with the values that it refers to, as far as they are there: a list lacks items that are not.

    Raises:
        UnknownValueError: nothing of its value is there yet.
        KeyError: a reference leads nowhere.
    """
    if not references(override):
        return override
    parsed = OverridesParser.create().parse_override(override)
    if parsed.is_sweep_override():
        return REFERENCE.sub(lambda found: str(lookup(found[1])), override)
    return override_text(parsed.get_key_element(), _filled(plain(parsed.value()), lookup))


def _filled(value: Any, lookup: Lookup) -> Any:
    if isinstance(value, str):
        whole = REFERENCE.fullmatch(value)
        return lookup(whole[1]) if whole else REFERENCE.sub(lambda found: str(lookup(found[1])), value)
    if isinstance(value, dict):
        return {key: _filled(item, lookup) for key, item in value.items()}
    return list(_items(value, lookup)) if isinstance(value, list) else value


def _items(items: list[Any], lookup: Lookup) -> Iterator[Any]:
    """The items, without those of which nothing is known yet."""
    for item in items:
        try:
            filled = _filled(item, lookup)
        except UnknownValueError:
            continue
        spliced = isinstance(filled, list) and not isinstance(item, list)
        yield from filled if spliced else [filled]
