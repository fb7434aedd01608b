"""Secrets must not reach a log, a store or the terminal."""

import functools
import os
import re
from collections.abc import Mapping
from typing import Any

SECRET_KEY = re.compile(
    r"(token|secret|passwd|password|passphrase|api_?key|access_?key|secret_?key|private_?key|credential)s?$",
    re.IGNORECASE,
)
USER_INFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
QUERY_SECRET = re.compile(r"([?&][^=&\s]*(?:token|secret|passw|key)[^=&\s]*=)[^&\s]+", re.IGNORECASE)
HIDDEN = "***"


class Redactor:
    """Blanks secrets.

    These are values under telling keys, credentials in addresses, and the values of secret-looking environment
    variables wherever they turn up.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        secrets = {value for key, value in environment.items() if SECRET_KEY.search(key) and len(value) >= 6}
        self._known = sorted(secrets, key=len, reverse=True)

    def text(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._known:
            text = text.replace(secret, HIDDEN)
        return QUERY_SECRET.sub(rf"\1{HIDDEN}", USER_INFO.sub(HIDDEN, text))

    def value(self, key: str, value: Any) -> str:
        """A parameter's or tag's value as text, without secrets."""
        return HIDDEN if SECRET_KEY.search(key) and value not in (None, "") else self.text(str(value))

    def tree(self, node: Any) -> Any:
        """A nested config without secrets; everything else keeps its type."""
        if isinstance(node, dict):
            hidden = {key for key, value in node.items() if SECRET_KEY.search(str(key)) and isinstance(value, str)}
            return {key: HIDDEN if key in hidden else self.tree(value) for key, value in node.items()}
        if isinstance(node, list | tuple):
            return [self.tree(item) for item in node]
        return self.text(node) if isinstance(node, str) else node

    def override(self, override: str) -> str:
        """A command-line override without secrets."""
        key, equals, value = override.partition("=")
        return f"{key}{equals}{self.value(key, value)}" if equals else self.text(override)


def redactor() -> Redactor:
    """The redactor of this process. A secret that its environment holds since a moment ago is known, too."""
    return _redactor_of(tuple(os.environ.items()))


@functools.lru_cache(maxsize=1)
def _redactor_of(environment: tuple[tuple[str, str], ...]) -> Redactor:
    return Redactor(dict(environment))
