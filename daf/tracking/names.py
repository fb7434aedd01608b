"""What MLflow takes as keys, values and paths, made of whatever users name."""

import re
import unicodedata
from collections.abc import Iterable

from daf.records import digest

#: MLflow's limits: characters of a key, of a parameter's value (a tag's may be longer), of a run's name in a database.
KEY_LENGTH, VALUE_LENGTH, NAME_LENGTH = 250, 6000, 250
#: What file systems take as one part of a path, in bytes.
PART_LENGTH = 255
#: Tag of what a run is: ``run``, ``pipeline``, ``stage``, ``multirun``, ``job``, ``sweep``, ``trial``, ``training``
#: (one of several of a trial) or ``confirmation``.
KIND = "daf.kind"
#: Characters of a digest that keeps two names apart.
_APART = 8


class Keys:
    """Legal keys for what was named in one run: the same name always has the same key, two names never share one."""

    def __init__(self) -> None:
        self._key_of: dict[str, str] = {}
        self._taken: set[str] = set()

    def of(self, names: Iterable[str]) -> dict[str, str]:
        """Name to key. Legal names keep theirs; of several that come to the same key, later ones get a digest."""
        names = list(names)
        # Legal ones choose first.
        for name in sorted(
            (name for name in names if name not in self._key_of), key=lambda name: legal_key(name) != name
        ):
            key = legal_key(name)
            self._key_of[name] = key if key not in self._taken else _apart(key, name, KEY_LENGTH)
            self._taken.add(self._key_of[name])
        return {name: self._key_of[name] for name in names}


def legal_key(name: str) -> str:
    """A key made of what the user named, such as ``+policy.init_kwargs.x``, in the characters that MLflow takes.

    MLflow may treat keys as paths: none leads anywhere else.
    """
    key = _relative(re.sub(r"[^\w\-. :/]", "_", name))
    return key if len(key) <= KEY_LENGTH else _apart(key, name, KEY_LENGTH)


def artifact_path(name: str) -> str:
    """A relative path that stays below the folder it is put in, with parts that file systems take."""
    return "/".join(_part(part) for part in _relative(legal_text(name)).split("/"))


def _part(name: str) -> str:
    part = "".join("_" if unicodedata.category(letter)[0] == "C" else letter for letter in name)
    if len(part.encode()) <= PART_LENGTH:
        return part
    stem, dot, ending = part.rpartition(".")
    ending = dot + ending if len(ending) <= 10 else ""
    short = (stem or part).encode()[: PART_LENGTH - 20].decode(errors="ignore")
    return f"{short}-{digest(name)[:_APART]}{ending}"


def _relative(path: str) -> str:
    """A path without empty parts, none of which is the folder itself or the one above."""
    parts = [part.replace(".", "_") if set(part) == {"."} else part for part in path.split("/") if part]
    joined = "/".join(parts) or "_"
    return f"__{joined[2:]}" if joined.startswith("..") else joined


def _apart(key: str, name: str, length: int) -> str:
    return f"{key[: length - _APART - 1]}-{digest(name)[:_APART]}"


def legal_text(text: str) -> str:
    """The text in characters that every database takes."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def legal_value(text: str, length: int = VALUE_LENGTH) -> str:
    """A value that databases take; one that is too long says so at its end."""
    text = legal_text(text)
    if len(text) <= length:
        return text
    note = f"... ({len(text)} characters)"
    return text[: length - len(note)] + note


def folder_name(name: str) -> str:
    """The name of a folder for anything with a name: the name itself where it is a plain one."""
    if re.fullmatch(r"\w[\w .-]{0,99}", name) and name == name.strip(". "):
        return name
    return f"{re.sub(r'[^\w.-]', '_', name)[:60].strip('._') or 'named'}-{digest(name)[:_APART]}"


def finite(value: object) -> float | None:
    """The value as a number that has a place in a plot; None for NaN, infinity and what is no number."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) < float("inf") else None
