"""What the comments in `conf/` say, read as text: composing would take ten times as long as a help."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_KEY = re.compile(r"( *)([\w-]+):(?: +(.*))?$")
_SECTION_OPTION = re.compile(r"(?:override )?/?([\w/]+): (\w+)$")


@dataclass(frozen=True)
class Key:
    """A key of a config file.

    Attributes:
        name: with the sections that it stands in, such as ``season.server``.
        value: as it is written; empty where the key is a section.
        about: what the comment above it says, on one line.
    """

    name: str
    value: str
    about: str


def about(path: Path) -> str:
    """What the first comment of a file says; it ends with the line that ends a sentence. Empty without a file."""
    return _split(_first_block(_lines(path)))[0]


def first_sentence(text: str) -> str:
    """The text up to its first full stop."""
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]


def keys(path: Path) -> tuple[Key, ...]:
    """The keys of a file that hold values, in their order, as they stand."""
    lines = _lines(path)
    first = _first_block(lines)
    return tuple(_keys(lines[len(first) :], _split(first)[1]))


def choices(path: Path) -> dict[str, str]:
    """The option that a file's list of defaults takes of each group."""
    entries = (line.strip()[2:] for line in _lines(path) if line.strip().startswith("- "))
    return {found[1]: found[2] for entry in entries if (found := _SECTION_OPTION.match(entry))}


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _first_block(lines: Sequence[str]) -> list[str]:
    end = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return list(lines[:end])


def _split(block: Sequence[str]) -> tuple[str, str]:
    """The first comments of a file: what is about the file, and what about its first key."""
    words = [line.removeprefix("#").strip() for line in block]
    words = [line for line in words if not line.startswith("@")]
    end = next((number for number, line in enumerate(words) if line.endswith(".")), len(words) - 1) + 1
    return " ".join(words[:end]), " ".join(words[end:])


def _keys(lines: Sequence[str], comment: str) -> Iterator[Key]:
    sections: list[tuple[int, str]] = []
    for number, line in enumerate(lines):
        if line.lstrip().startswith("#"):
            comment = f"{comment} {line.strip().removeprefix('#').strip()}".strip()
            continue
        if found := _KEY.match(line):
            indent, name, value = len(found[1]), found[2], found[3] or ""
            sections = [section for section in sections if section[0] < indent]
            if value or not _goes_deeper(lines[number + 1 :], indent):
                yield Key(".".join([*(section for _, section in sections), name]), value, comment)
            sections.append((indent, name))
        comment = ""


def _goes_deeper(lines: Sequence[str], indent: int) -> bool:
    following = next((line for line in lines if line.strip() and not line.lstrip().startswith("#")), "")
    return len(following) - len(following.lstrip()) > indent
