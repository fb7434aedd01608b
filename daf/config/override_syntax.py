"""Hydra's override syntax, read and written: what a swept key ranges over, and one value of it."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, Quote, QuotedString, RangeSweep
from hydra.errors import HydraException

from daf.errors import first_line

_PLAIN = re.compile(r"[A-Za-z_./][\w./:-]*")
_NOT_TEXT = {"true", "false", "null", "nan", "inf"}


def split_overrides(
    overrides: Sequence[str], config_loader: ConfigLoader | None = None
) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Tells the overrides that hold for every trial from those that are swept.

    Args:
        config_loader: finds the options of a group for ``glob(...)``.

    Returns:
        The fixed overrides as they stand, and for every swept key (with its ``+``) what `DAFParameterConfig` takes.
        An override that cannot be read is left among the fixed ones, where composing the config explains it.
    """
    parser = OverridesParser.create(config_loader=config_loader)
    fixed: list[str] = []
    swept: dict[str, dict[str, Any]] = {}
    for text in overrides:
        try:
            override = parser.parse_overrides([text])[0]
        except HydraException:
            fixed.append(text)
            continue
        if override.is_sweep_override():
            swept[override.get_key_element()] = _range_of(override)
        else:
            fixed.append(text)
    return fixed, swept


def sweep_from_text(text: str) -> dict[str, Any]:
    """What `DAFParameterConfig` takes, from ``choice()``, ``range()``, ``interval()``, ``tag(log, ...)`` or ``a,b``.

    Raises:
        ValueError: the text is no sweep.
    """
    try:
        override = OverridesParser.create().parse_override(f"key={text}")
    except HydraException as error:
        raise ValueError(f"{text!r} cannot be read: {first_line(error)}") from error
    if not override.is_sweep_override():
        raise ValueError(f"{text!r} is one value; a swept parameter needs several, such as 1,2 or interval(1, 2)")
    return _range_of(override)


def _range_of(override: Override) -> dict[str, Any]:
    sweep = override.value()
    if isinstance(sweep, IntervalSweep):
        whole = isinstance(sweep.start, int)
        return {
            "low": sweep.start,
            "high": sweep.end,
            "log": "log" in sweep.tags,
            "type": "int" if whole else "float",
        }
    if isinstance(sweep, RangeSweep):
        return _range(list(sweep.range()))
    # In the order given even where `shuffle` is asked for: the same command must mean the same sweep.
    values = sweep.list if isinstance(sweep, ChoiceSweep) else override.sweep_iterator()
    return {"choices": [plain(value) for value in values]}


def _range(values: list[Any]) -> dict[str, Any]:
    if len(values) < 2 or values[0] > values[1]:
        return {"choices": values}
    step = float(Decimal(str(values[1])) - Decimal(str(values[0])))
    whole = all(isinstance(value, int) for value in values)
    return {"low": values[0], "high": values[-1], "step": step, "type": "int" if whole else "float"}


def plain(value: Any) -> Any:
    """A parsed value as Python's own types: Hydra keeps the quotes of a text."""
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    return value


def override_text(key: str, value: Any) -> str:
    """``key=value`` so that Hydra reads exactly this value back."""
    return f"{key}={_value_text(value)}"


def _value_text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT
        return value if plain else QuotedString(value, Quote.single).with_quotes()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_value_text, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{_value_text(key)}:{_value_text(item)}" for key, item in value.items()) + "}"
    return repr(value)
