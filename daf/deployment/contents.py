"""Which files go into a bundle, under which names. Whatever nobody asked for stays out."""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from daf.bridge.bundles import SPEC_FILE
from daf.bridge.file_digests import SKIPPED
from daf.bridge.sources import PolicyParts
from daf.config.schemas import DAFConfig
from daf.deployment.metadata import METADATA_FILE
from daf.errors import DAFConfigError, Problem
from daf.redaction import redactor

#: Names that every system and both archives take.
LEGAL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. +@=-]*(/[A-Za-z0-9_][A-Za-z0-9_. +@=-]*)*")
LONGEST_NAME = 200
#: Larger files are weights, not texts.
MOST_SEARCHED = 2**22
FILES, ROOTS = "deployment.files", "deployment.roots"


def bundle_files(config: DAFConfig, key: str, parts: PolicyParts) -> dict[str, Path]:
    """Every file of the bundle, by its name in it: the policy's own and those that `deployment.files` names.

    Args:
        key: of the config that names the policy.

    Raises:
        DAFConfigError: naming every file that cannot be packed, and why.
    """
    problems: list[Problem] = []
    files: dict[str, Path] = {}
    for name, path, where in [*_own(parts, key), *_extra(config, parts, problems)]:
        if what := _why_not(name, path, files):
            problems.append(Problem(where, what))
        else:
            files[name] = path
    if problems:
        raise DAFConfigError(list(dict.fromkeys(problems)))
    return files


def _own(parts: PolicyParts, key: str) -> Iterator[tuple[str, Path, str]]:
    yield from ((name, path, key) for name, path in parts.files.items() if name != METADATA_FILE)


def _extra(config: DAFConfig, parts: PolicyParts, problems: list[Problem]) -> Iterator[tuple[str, Path, str]]:
    """The files that are named, and those in folders that are, each below the root that holds it."""
    roots = [*parts.roots, *(Path(root).expanduser() for root in config.deployment.roots)]
    for index, text in enumerate(config.deployment.files):
        where, path = f"{FILES}.{index}", Path(text).expanduser()
        root = next((root for root in roots if _below(path, root)), None)
        if not os.path.lexists(path):
            problems.append(Problem(where, f"there is nothing at {text!r}."))
        elif root is None:
            hint = f"Add the folder that it is relative to: {ROOTS}=[., /folder]."
            problems.append(Problem(where, f"{text!r} lies outside of the folders that files may come from.", hint))
        else:
            yield from ((_name(file, root), file, where) for file in _files_in(path))


def _below(path: Path, root: Path) -> bool:
    """Whether a path, and what it leads to, lies in a folder."""
    return _absolute(path).is_relative_to(root.resolve()) and path.resolve().is_relative_to(root.resolve())


def _absolute(path: Path) -> Path:
    """Where a path is, links in its folder followed, its own not."""
    return path.parent.resolve() / path.name if path.name not in ("", "..") else path.resolve()


def _name(path: Path, root: Path) -> str:
    return _absolute(path).relative_to(root.resolve()).as_posix()


def _files_in(path: Path) -> Iterator[Path]:
    """A file, or all in a folder but what is hidden, what tools leave behind, and what runs write."""
    if path.is_symlink() or not path.is_dir():
        yield path
        return
    for entry in sorted(path.iterdir()):
        if not entry.name.startswith(".") and entry.name not in SKIPPED and entry.suffix != ".pyc":
            yield from _files_in(entry)


def _why_not(name: str, path: Path, others: Mapping[str, Path]) -> str | None:
    """Why a file cannot be packed under a name, or None."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return f"{path} is a link; name the file that it leads to."
    if not stat.S_ISREG(mode):
        return f"{path} is no regular file."
    return _why_no_name(name, path) or _why_no_room(name, path, others) or _why_secret(path)


def _why_no_name(name: str, path: Path) -> str | None:
    hidden = next((part for part in PurePosixPath(name).parts if part.startswith(".") or part in SKIPPED), None)
    if hidden:
        return f"{path} is not packed: {hidden} is hidden, or left behind by a tool."
    if name in (SPEC_FILE, METADATA_FILE):
        return f"{path} would be {name} in the bundle, which DAF writes itself."
    if not LEGAL_NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        return f"{name!r} is no name for every system: at most {LONGEST_NAME} letters, digits and _-+=@. please."
    return None


def _why_secret(path: Path) -> str | None:
    """A bundle goes to others, and a secret in it with it."""
    if path.stat().st_size > MOST_SEARCHED:
        return None
    content = path.read_bytes()
    if any(secret.encode() in content for secret in redactor().secrets):
        return f"{path} holds a secret: one that the environment or the config of this process names. Take it out."
    return None


def _why_no_room(name: str, path: Path, others: Mapping[str, Path]) -> str | None:
    twin = next((other for other in others if other.casefold() == name.casefold()), None)
    if twin is None or (twin == name and path.samefile(others[twin])):
        return None
    return f"{path} and {others[twin]} would both be {name} in the bundle."
