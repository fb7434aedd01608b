"""The moves of an alias, and the version that it goes back to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["deploy", "rollback"]


@dataclass(frozen=True, kw_only=True)
class Move:
    """One step of an alias from version to version.

    Attributes:
        before: the version that it left, or None for the first.
        after: the version that it went to.
        why: a sentence.
        run_id: the MLflow run that moved it; empty where nobody noted one.
    """

    kind: Kind
    before: str | None
    after: str
    why: str
    run_id: str = ""


@dataclass(frozen=True)
class Use:
    """Which version an alias stands for, and how it came there.

    Attributes:
        version: the version in use, or None: the alias is not there.
        moves: all of them, the oldest first.
        revision: changes with every move, so that a move can be asked for on condition that nobody was faster.
    """

    version: str | None
    moves: tuple[Move, ...] = ()
    revision: str = ""


def previous_version(use: Use) -> str | None:
    """The version to go back to: the one in use before the present one was deployed; None if there is none.

    A roll-back takes the version that it left out of the line, so that the next one goes back further.
    """
    line = _line(use.moves)
    if use.version is not None and (not line or line[-1] != use.version):  # somebody moved the alias by hand
        line.append(use.version)
    return line[-2] if len(line) > 1 else None


def _line(moves: Sequence[Move]) -> list[str]:
    """The deployed versions that a roll-back has not taken out, the one in use last."""
    line: list[str] = []
    for move in moves:
        if move.before is not None and (not line or line[-1] != move.before):
            line.append(move.before)  # set by hand, without a note
        if move.kind == "rollback" and move.after in line:
            del line[len(line) - line[::-1].index(move.after) :]
        elif not line or line[-1] != move.after:
            line.append(move.after)
    return line


def version_key(version: str) -> tuple[tuple[int, ...], bool, tuple[tuple[bool, int, str], ...]]:
    """Sorts semantic versions by their precedence (https://semver.org, 11)."""
    core, _, label = version.partition("-")
    parts = tuple((not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in label.split(".") if part)
    return tuple(int(part) for part in core.split(".")), not label, parts


def next_free(version: str, taken: Iterable[str]) -> str:
    """The next patch version that nobody has taken."""
    major, minor, patch = version.partition("-")[0].split(".")
    known, number = set(taken), int(patch) + 1
    while f"{major}.{minor}.{number}" in known:
        number += 1
    return f"{major}.{minor}.{number}"
