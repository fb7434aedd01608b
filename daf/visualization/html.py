"""HTML from Python, escaped unless it was built here."""

import html
import re
from collections.abc import Iterable

#: Characters that stay together wherever there is any room.
LONGEST_WHOLE = 26


class Markup(str):
    """Text that is HTML already. Only `element` and `document` make it."""


type Child = str | Iterable[Child]


def element(name: str, /, *children: Child, **attributes: str | int | bool | None) -> Markup:
    """An element with escaped attributes and children; lists of children are flattened.

    Attributes: ``class_`` is ``class``, ``data_value`` is ``data-value``; True is an attribute without a value, None
    and False leave it out.
    """
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        parts.append(f" {key}" if value is True else f' {key}="{html.escape(str(value))}"')
    parts.append(">")
    if name in ("meta", "input", "wbr"):
        return Markup("".join(parts))
    return Markup(f"{''.join(parts)}{_inner(children)}</{name}>")


def breakable(name: str) -> list[Child]:
    """A name that goes on in the next line only where a word begins in it, if there is any room; numbers stay whole."""
    parts = re.split(r"(?<=[_./:-])(?=[^\W\d_]{2})", name)
    whole = [element("span", part, class_="whole") if _is_whole(part) else part for part in parts]
    return [child for part in whole for child in (part, element("wbr"))][:-1]


def _is_whole(part: str) -> bool:
    """Whether a browser would break a part that has room on a line: it does at a hyphen."""
    return "-" in part and " " not in part and len(part) <= LONGEST_WHOLE


def document(title: str, style: str, script: str, *body: Child) -> str:
    """A whole page with its style and script inside; a policy of its own forbids it to load anything else."""
    import base64
    import hashlib

    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(style)),
    )
    page = element("html", head, element("body", *body, element("script", Markup(script))), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _inner(child: Child) -> str:
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return html.escape(child)
    return "".join(_inner(part) for part in child)
