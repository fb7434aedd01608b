"""Episode records on disk, under everything that decides how an episode ends.

One file per record: a line with the key, what the policies read, and the SHA-256 of what follows; then the record as
JSON. A file appears by rename, so that processes may share a folder; two that play the same episode write the same
outcome.

What policies will read is not known before they play. So a record is valid only while everything that it says was read
is still the same. Where it is not, a second key is made from the first and from what would be read now, and so on.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import daf
from daf.bridge.episode import loaded_digests
from daf.bridge.missions import build_mission, mission_digest
from daf.bridge.policies import PACKAGES, code_digest, imported_code_digest, policy_digest
from daf.bridge.reads import NOTHING, Reads, current_value
from daf.files import PARTIAL, user_cache, write_whole
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec, digest
from daf.redaction import redactor

HEXADECIMAL = "[0-9a-f]"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CacheSummary:
    """What a cache holds.

    Attributes:
        entries: intact records.
        damaged: files that are no intact record of this version; their episodes will be played again.
        bytes: size of all of these files.
        by_mission: number of records per mission label, most first.
        by_policy: number of records per policy name, most first.
    """

    directory: Path
    entries: int
    damaged: int
    bytes: int
    by_mission: dict[str, int]
    by_policy: dict[str, int]


@dataclass(frozen=True)
class _Entry:
    """What a file of the cache holds: a record, and what was read for it."""

    record: EpisodeRecord
    reads: Mapping[str, str | None]


class DamagedEntryError(ValueError):
    """A file in the cache is not what was once written there."""


def default_cache_dir() -> Path:
    """``$XDG_CACHE_HOME/daf/episodes``, with ``~/.cache`` where that is not set."""
    return user_cache("episodes")


def cache_summary(cache_dir: Path | None = None) -> CacheSummary:
    """Counts what is in the cache; reads every entry."""
    directory = cache_dir or default_cache_dir()
    missions: Counter[str] = Counter()
    policies: Counter[str] = Counter()
    damaged = size = 0
    for path in _entries(directory):
        try:
            data = path.read_bytes()
            size += len(data)
            record = _decode(data, path.stem).record
        except FileNotFoundError:  # another process cleared it
            continue
        except (DamagedEntryError, OSError):
            damaged += 1
            continue
        missions[record.mission] += 1
        policies.update(set(record.policies))
    return CacheSummary(
        directory=directory,
        entries=missions.total(),
        damaged=damaged,
        bytes=size,
        by_mission=dict(missions.most_common()),
        by_policy=dict(policies.most_common()),
    )


def clear_cache(cache_dir: Path | None = None) -> int:
    """Removes every entry and what interrupted writes left behind, nothing else; returns the number of entries."""
    directory = cache_dir or default_cache_dir()
    entries = list(_entries(directory))
    for path in [*entries, *directory.glob(f"{HEXADECIMAL * 2}/.*{PARTIAL}")]:
        path.unlink(missing_ok=True)
    return len(entries)


class EpisodeCache:
    """The records in one folder.

    Digests of missions, policies and code are computed once per object, so an object serves one evaluation.

    Args:
        directory: the folder; it need not exist.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._label = functools.cache(_mission_label)
        self._policies: dict[str, str] = {}
        self._code = functools.cache(code_digest)
        self._now = functools.cache(current_value)

    def find(self, plan: EpisodePlan, backend: str) -> EpisodeRecord | None:
        """The record of an equal episode under the names that `plan` uses, or None.

        A damaged entry is logged as a warning and counts as absent, as does one without the replay that `plan` asks
        for.

        Raises:
            ValueError: the plan's mission or a policy does not exist.
            FileNotFoundError: a policy's weights do not exist.
        """
        key = _key(
            plan,
            backend=backend,
            mission_digest=mission_digest(plan.mission),
            policy_digests=[self._policy_digest(spec) for spec in plan.policies],
            code_digests=[self._code(spec.class_path) for spec in plan.policies],
        )
        _, entry = self._follow(key, self._now)
        if entry is None:
            return None
        record = entry.record
        if plan.replay_dir and not (record.replay_path and Path(record.replay_path).is_file()):
            return None
        return replace(
            record,
            mission=self._label(plan.mission),
            mission_name=plan.mission.name,
            policies=tuple(spec.name for spec in plan.policies),
            replay_path=record.replay_path if plan.replay_dir else None,
        )

    def add(self, plan: EpisodePlan, record: EpisodeRecord, reads: Reads = NOTHING) -> None:
        """Writes the record of a played plan, unless an action timed out: then the clock decided the outcome.

        Args:
            reads: what its policies read.

        Raises:
            OSError: the folder cannot be written, or weights are gone.
            ValueError: a policy's code cannot be found again, as in ``__main__``; it read what cannot be compared with
                what it would read now; or a file that was loaded is no longer what it was before: the record may be
                that of either.
        """
        if any(record.action_timeouts):
            return
        if reads.unknowable:
            names = " or ".join(dict.fromkeys(spec.name for spec in plan.policies))
            raise ValueError(f"what {names} does may differ from one time to the next: {'; '.join(reads.unknowable)}")
        now = loaded_digests(plan)
        if (record.mission_digest, record.policy_digests) != (now["mission_digest"], now["policy_digests"]):
            raise ValueError("a policy's weights, or the mission's file, changed while an episode was played")
        key = _key(
            plan,
            backend=record.backend,
            mission_digest=record.mission_digest,
            policy_digests=list(record.policy_digests),
            code_digests=[imported_code_digest(spec.class_path) for spec in plan.policies],
        )
        then = reads.values
        key, _ = self._follow(key, lambda name: then[name] if name in then else current_value(name))
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, _encode(_Entry(record, then), key))

    def _follow(self, key: str, value: Callable[[str], str | None]) -> tuple[str, _Entry | None]:
        """From a key to the entry for which `value` gives what was read, or else to the first free key."""
        while entry := self._read(key):
            found = {name: value(name) for name in entry.reads}
            if found == entry.reads:
                return key, entry
            key = digest([key, found])
        return key, None

    def _read(self, key: str) -> _Entry | None:
        path = self._path(key)
        try:
            return _decode(path.read_bytes(), key)
        except FileNotFoundError:
            return None
        except (DamagedEntryError, OSError) as error:
            logger.warning("Damaged entry in the episode cache, its episode is played again: %s (%s)", path, error)
            return None

    def _path(self, key: str) -> Path:
        return self.directory / key[:2] / f"{key}.json"

    def _policy_digest(self, spec: PolicySpec) -> str:
        name = json.dumps([spec.class_path, spec.weights, dict(spec.init_kwargs)], sort_keys=True)
        if name not in self._policies:
            self._policies[name] = policy_digest(spec)
        return self._policies[name]


def _mission_label(spec: MissionSpec) -> str:
    return build_mission(spec)[0]


def _key(
    plan: EpisodePlan, *, backend: str, mission_digest: str, policy_digests: list[str], code_digests: list[str | None]
) -> str:
    """SHA-256 of everything that decides how an episode ends, and of nothing else: names are not in it."""
    if None in code_digests:
        raise ValueError("the code of a policy cannot be found again; a module of its own would help")
    return digest(
        {
            "record": [field.name for field in dataclasses.fields(EpisodeRecord)],
            "versions": _versions(),
            "mission": mission_digest,
            "policies": policy_digests,
            "code": code_digests,
            "assignments": plan.assignments,
            "seed": plan.seed,
            "max_action_time_ms": plan.max_action_time_ms,
            "backend": backend,
            "device": plan.device,
        }
    )


@functools.cache
def _versions() -> dict[str, str]:
    bridge = sorted((Path(daf.__file__).parent / "bridge").rglob("*.py"))
    code = digest([hashlib.sha256(path.read_bytes()).hexdigest() for path in bridge])
    return {"daf": f"{daf.__version__} {code}", **{name: importlib.metadata.version(name) for name in PACKAGES}}


def _encode(entry: _Entry, key: str) -> bytes:
    redact, record = redactor().text, entry.record
    clean = replace(record, mission=redact(record.mission), mission_name=redact(record.mission_name))
    body = json.dumps(clean.to_dict()).encode()
    return json.dumps(_head(key, dict(entry.reads), body)).encode() + b"\n" + body


def _head(key: str, reads: object, body: bytes) -> dict[str, object]:
    return {"key": key, "reads": reads, "sha256": hashlib.sha256(json.dumps(reads).encode() + body).hexdigest()}


def _decode(data: bytes, key: str) -> _Entry:
    """Raises DamagedEntryError unless `data` is what `_encode` made for this key."""
    first, _, body = data.partition(b"\n")
    try:
        head = json.loads(first)
    except ValueError as error:
        raise DamagedEntryError("its first line is not JSON") from error
    if not isinstance(head, dict) or head != _head(key, head.get("reads"), body):
        raise DamagedEntryError("the checksum does not fit")
    try:
        return _Entry(EpisodeRecord.from_dict(json.loads(body)), head["reads"])
    except (KeyError, TypeError) as error:
        raise DamagedEntryError("it was written by another version of DAF") from error


def _entries(directory: Path) -> Iterator[Path]:
    return directory.glob(f"{HEXADECIMAL * 2}/{HEXADECIMAL * 64}.json")
