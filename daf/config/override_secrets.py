"""Secrets in overrides, which are read as Hydra reads them before they are blanked."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException

from daf.config.override_syntax import override_text, plain
from daf.errors import Problem
from daf.redaction import HIDDEN, is_telling, redactor


def learn_overrides(overrides: Iterable[str]) -> None:
    """Registers the secrets in overrides with the redactor; one that cannot be read is searched as a text."""
    for text in overrides:
        override = _parsed(text)
        if override is None:
            redactor().learn(text)
            continue
        for value in _values(override):
            redactor().learn({override.key_or_group: value})


def override_without_secrets(text: str) -> str:
    """An override as it stands, with its secrets blanked."""
    key, equals, _ = text.partition("=")
    override = _parsed(text) if equals else None
    if override is None:
        return f"{key}={HIDDEN}" if equals and is_telling(key) else redactor().text(text)
    name, values = override.key_or_group, list(_values(override))
    if not any(redactor().hides(name, value) for value in values):
        return text
    if is_telling(name):
        return f"{key}={HIDDEN}"
    clean = (override_text("", redactor().tree(value, name))[1:] for value in values)
    return redactor().text(f"{key}={','.join(clean)}")


def overrides_that_sweep_secrets(overrides: Iterable[str]) -> list[Problem]:
    """A problem for every override that sweeps over a secret; see `swept_secrets`."""
    parsed = [override for override in map(_parsed, overrides) if override and override.is_sweep_override()]
    return swept_secrets({override.key_or_group: list(_values(override)) for override in parsed})


def swept_secrets(choices: Mapping[str, Iterable[Any]]) -> list[Problem]:
    """A problem for every swept key of which a value is a secret, or holds one.

    What a trial varies is its name; it stands in the study and in tables, and a trial must be found by it again.
    """
    hint = "Set it for all trials, best as ${oc.env:NAME}."
    return [
        Problem(key, "a secret cannot be swept.", hint)
        for key, values in choices.items()
        if any(redactor().hides(key.lstrip("+"), value) for value in values)
    ]


def _parsed(text: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(text)
    except (HydraException, ValueError):  # the latter for more digits than Python reads
        return None


def _values(override: Override) -> Iterator[Any]:
    """The value, or the choices of a sweep."""
    if not override.is_sweep_override():
        yield plain(override.value())
        return
    sweep = override.value()
    if isinstance(sweep, ChoiceSweep):
        yield from map(plain, sweep.list)
        return
    with suppress(Exception):  # an interval has no values, and a glob has none here
        yield from map(plain, override.sweep_iterator())
