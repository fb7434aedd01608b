"""The one that blanks: it knows this process' secrets and finds others by where they stand."""

import html
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from daf.redaction.names import is_telling
from daf.redaction.passages import HIDDEN, secrets_in, tokens_in_address, without_secrets

#: Shorter values are blanked beside their names only: anywhere else they would match what is no secret.
LEAST_LENGTH = 6
#: Values of telling keys that stand in many texts and are no secrets.
_ORDINARY = {"account", "default", "disabled", "enabled", "optional", "password", "private", "public", "required"}

#: Variables that name the working directory, whatever `pwd` means elsewhere.
_FOLDERS = frozenset({"PWD", "OLDPWD"})


class Redactor:
    """Blanks secrets: values of telling keys whatever their type, and every known secret wherever it turns up.

    Known are the values of the environment's telling variables, those of telling keys in the configs and overrides of
    this process, the passwords of addresses in either, and what code registered; each of at least `LEAST_LENGTH`
    characters.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._registered: dict[str, None] = {}
        self._spellings: tuple[str, ...] = ()
        self._environment: object = None
        self.learn_environment(environment)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What is known, for another process."""
        return tuple(self._registered)

    def register(self, *secrets: object) -> None:
        """Has texts or whole numbers blanked from now on, wherever they turn up, as they are and as they are escaped.

        Too short ones, and words such as "default", are ignored.
        """
        new = {str(secret): None for secret in secrets if isinstance(secret, str | int) and _is_worth(str(secret))}
        if not new.keys() <= self._registered.keys():
            self._registered |= new
            spellings = {spelling for secret in self._registered for spelling in _spellings(secret)}
            self._spellings = tuple(sorted(spellings, key=len, reverse=True))

    def learn(self, node: Any, name: str = "") -> None:
        """Registers every secret in a nested config; `name` is the key that it stands under."""
        self.register(*_secrets_of(node, name))

    def learn_environment(self, environment: Mapping[str, str]) -> None:
        """Registers the secrets of an environment, unless it is the same as the last one."""
        snapshot = tuple(environment.items())
        if snapshot != self._environment:
            self._environment = snapshot
            self.learn({key: value for key, value in snapshot if key not in _FOLDERS})

    def text(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._spellings:
            if secret in text:
                text = _replaced(text, secret)
        return without_secrets(text)

    def value(self, key: str, value: Any) -> str:
        """A parameter's or tag's value as text, without secrets."""
        return HIDDEN if is_telling(key) and _is_something(value) else self.text(str(self.tree(value, key)))

    def tree(self, node: Any, name: str = "") -> Any:
        """A nested config without secrets; everything else keeps its type. `name` is the key that it stands under."""
        if isinstance(node, Mapping):
            return {
                self.text(key) if isinstance(key, str) else key: HIDDEN
                if is_telling(f"{name}.{key}") and _is_something(value)
                else self.tree(value, str(key))
                for key, value in node.items()
            }
        if isinstance(node, list | tuple | set | frozenset):
            return [self.tree(item, name) for item in node]
        if isinstance(node, str):
            return self.text(node)
        known = isinstance(node, int) and not isinstance(node, bool) and str(node) in self._registered
        return HIDDEN if known else node

    def hides(self, key: str, value: Any) -> bool:
        """Whether something of a value would be blanked under that key."""
        return (is_telling(key) and _is_something(value)) or self.tree(value, key) != json_like(value)


def json_like(node: Any) -> Any:
    """The same with lists for tuples and sets, as `Redactor.tree` has them."""
    if isinstance(node, Mapping):
        return {key: json_like(value) for key, value in node.items()}
    return [json_like(item) for item in node] if isinstance(node, list | tuple | set | frozenset) else node


def restored(node: Any, original: Any) -> Any:
    """A nested config with every blanked value replaced by the original's, where that has one in the same place."""
    if isinstance(node, Mapping) and isinstance(original, Mapping):
        return {key: restored(value, original.get(key, value)) for key, value in node.items()}
    if isinstance(node, list | tuple) and isinstance(original, list | tuple) and len(node) == len(original):
        return [restored(*both) for both in zip(node, original, strict=True)]
    return original if isinstance(node, str) and HIDDEN in node else node


def _secrets_of(node: Any, name: str) -> Iterator[object]:
    if hasattr(node, "model_dump"):
        node = node.model_dump()
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value) if is_telling(f"{name}.{key}") else _secrets_of(value, str(key))
    elif isinstance(node, list | tuple | set | frozenset):
        for item in node:
            yield from _secrets_of(item, name)
    elif isinstance(node, str):
        yield from secrets_in(node)


def _leaves(node: Any) -> Iterator[object]:
    if isinstance(node, Mapping | list | tuple | set | frozenset):
        for item in node.values() if isinstance(node, Mapping) else node:
            yield from _leaves(item)
        return
    yield node
    if isinstance(node, str):
        yield from secrets_in(node)
        yield from tokens_in_address(node)


def _is_something(value: Any) -> bool:
    """Whether it can be a secret: null, true, false and what is empty are none."""
    return not (value is None or isinstance(value, bool) or value in ("", HIDDEN) or value == [] or value == {})


def _is_worth(secret: str) -> bool:
    is_reference = secret.startswith("${") or HIDDEN in secret
    return len(secret) >= LEAST_LENGTH and secret.lower() not in _ORDINARY and not is_reference


def _spellings(secret: str) -> Iterable[str]:
    """A secret as it is and as JSON, Python, HTML, addresses, SQL, CSV and Hydra spell it; of several lines, each."""
    lines = [line.strip() for line in secret.splitlines()] if "\n" in secret else []
    plain = {secret, unquote(secret), *(line for line in lines if len(line) >= 2 * LEAST_LENGTH)}
    escapes = (
        lambda text: json.dumps(text)[1:-1],
        lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
        lambda text: repr(text)[1:-1],
        html.escape,
        lambda text: quote(text, safe=""),
        quote,
        quote_plus,
        lambda text: text.replace("'", "''"),
        lambda text: text.replace('"', '""'),
        lambda text: text.replace("'", "\\'"),
        lambda text: text.replace('"', '\\"'),
    )
    return plain | {escape(text) for text in plain for escape in escapes}


def _replaced(text: str, secret: str) -> str:
    if secret.isdigit():  # not inside a longer number
        return re.sub(rf"(?<![\d.]){secret}(?!\.?\d)", HIDDEN, text)
    return text.replace(secret, HIDDEN)


_REDACTOR = Redactor({})


def redactor() -> Redactor:
    """The redactor of this process. A secret that its environment holds since a moment ago is known, too."""
    _REDACTOR.learn_environment(os.environ)
    return _REDACTOR
