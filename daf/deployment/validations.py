"""Which bundles were packed here and which passed a validation, by digest: asked before anything leaves the house."""

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from daf.files import user_cache, write_whole

Level = Literal["smoke", "qualifying"]
#: Lowest first: who passed a higher level passed those below it.
LEVELS: tuple[Level, ...] = ("smoke", "qualifying")


@dataclass(frozen=True, kw_only=True)
class PassedValidation:
    """A bundle's passed validation.

    Attributes:
        digest: SHA-256 (hex) of the bundle.
        level: how thoroughly it was tried.
        passed_at: when, as ISO 8601 in UTC.
        run_id: the MLflow run that holds the checks and the agents' logs.
        figures: what was measured, by metric name.
    """

    digest: str
    level: Level
    passed_at: str
    run_id: str
    figures: dict[str, float] = field(default_factory=dict)


def validations_folder() -> Path:
    """``$XDG_CACHE_HOME/daf/validations``, with ``~/.cache`` where that is not set."""
    return user_cache("validations")


def record_validation(digest: str, level: Level, *, run_id: str, figures: Mapping[str, float]) -> PassedValidation:
    """Notes that a bundle passed, where this user's later deployments find it.

    Raises:
        OSError: the cache folder cannot be written to, or others may write to it.
    """
    passed_at = datetime.now(UTC).isoformat(timespec="seconds")
    passed = PassedValidation(digest=digest, level=level, passed_at=passed_at, run_id=run_id, figures=dict(figures))
    _note(_file(digest, level), asdict(passed))
    return passed


def note_packed(digest: str) -> None:
    """Notes that this user packed a bundle here: code of their own, which they need not be asked to trust.

    Raises:
        OSError: the cache folder cannot be written to, or others may write to it.
    """
    _note(_packed_file(digest), {"digest": digest})


def was_packed_here(digest: str) -> bool:
    """Whether this user packed the bundle on this machine."""
    return bool((_noted(_packed_file(digest)) or {}).get("digest") == digest)


def _note(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_private(path.parent):
        raise OSError(f"{path.parent} is not yours alone. Make it yours, mode 0700: it decides what may be deployed.")
    write_whole(path, json.dumps(content, indent=1, sort_keys=True))
    path.chmod(0o600)


def passed_validation(digest: str, level: Level = "smoke") -> PassedValidation | None:
    """The latest validation that a bundle passed at a level or a higher one, or None.

    A note that others may have written does not count.
    """
    found = [_read(_file(digest, known)) for known in LEVELS[LEVELS.index(level) :]]
    passed = [validation for validation in found if validation and validation.digest == digest]
    return max(passed, key=lambda validation: validation.passed_at, default=None)


def _file(digest: str, level: Level) -> Path:
    return validations_folder() / f"{digest}-{level}.json"


def _packed_file(digest: str) -> Path:
    return validations_folder() / f"{digest}-packed.json"


def _read(path: Path) -> PassedValidation | None:
    try:
        return PassedValidation(**(_noted(path) or {}))
    except TypeError:  # of another version of DAF's
        return None


def _noted(path: Path) -> dict[str, Any] | None:
    """What a note says; None where there is none, or where others may have written it."""
    if not (_is_private(path.parent) and _is_private(path)):
        return None
    try:
        noted: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError):  # half a file
        return None
    return noted if isinstance(noted, dict) else None


def _is_private(path: Path) -> bool:
    """Whether a file or folder is this user's, and nobody else can write to it."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return (
        not stat.S_ISLNK(found.st_mode)
        and found.st_uid == os.getuid()
        and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )
