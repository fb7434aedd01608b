"""``metadata.json``: what a bundle of DAF's says of itself, and whether its files are those that it names."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from daf.bridge.bundles import BundleError, read_member
from daf.config.schemas.deployment import DeploymentName, SemanticVersion
from daf.files import sha256_of

METADATA_FILE = "metadata.json"

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class BundleMetric(_Part):
    """One metric of the packed policy.

    Attributes:
        name: as `objective.metric` has it, such as ``reward`` or ``game/cogs/aligned.junction.held``.
        mission: full name of the mission, variants included.
        mission_digest: SHA-256 of its whole configuration, length and agents included; None: nobody noted it.
        mean: over `seeds`, one episode each.
        low: lower end of the interval, or None for a single episode.
        high: upper end of the interval.
        level: confidence level of the interval.
        seeds: of the episodes, in order.
    """

    name: str
    mission: str
    mission_digest: Digest | None = None
    mean: float
    low: float | None
    high: float | None
    level: float
    seeds: tuple[int, ...]


class BundleMetadata(_Part):
    """What a bundle says of itself.

    Attributes:
        schema_version: of this form.
        class_path: full dotted path of the policy's class.
        files: SHA-256 (hex) of every other file in the bundle, by its path.
        config: the composed config that it was trained or packed with, without secrets, times and paths of the host.
        run_id: the MLflow run that its weights come from, or None.
        metrics: what was measured, on which seeds; empty where nothing was.
        versions: of Python and of the packages that decide how it acts.
        load: lines that say how it is loaded, for DAF, for CoGames and from Python.
        provenance: an in-toto Statement (v1) with a SLSA provenance predicate over `files`.
    """

    schema_version: Literal[1] = 1
    name: DeploymentName
    version: SemanticVersion
    class_path: str
    files: dict[str, Digest]
    config: dict[str, Any] = Field(default_factory=dict)
    run_id: str | None = None
    metrics: tuple[BundleMetric, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)
    load: dict[str, str] = Field(default_factory=dict)
    provenance: dict[str, Any] = Field(default_factory=dict)

    def text(self) -> bytes:
        """The same metadata in always the same bytes."""
        data = self.model_dump(mode="json")
        return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_metadata(bundle: Path) -> BundleMetadata:
    """Reads ``metadata.json`` of a bundle (archive or folder), without running or unpacking anything.

    Raises:
        BundleError: the bundle is damaged or not sound, holds none, or not what DAF writes.
    """
    text = read_member(bundle, METADATA_FILE)
    if text is None:
        raise BundleError(f"{bundle} holds no {METADATA_FILE}: it was not made by task=package.")
    try:
        return BundleMetadata.model_validate_json(text)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(map(str, found["loc"])) or "it"
        raise BundleError(f"{bundle}: {METADATA_FILE} is not what DAF writes; {where}: {found['msg']}.") from error


def check_digests(folder: Path, metadata: BundleMetadata) -> None:
    """Whether an unpacked bundle holds exactly the files that its metadata names.

    Raises:
        BundleError: naming the files that are missing, that are not named, and whose content is another.
        OSError: a file cannot be read.
    """
    found = _files_in(folder)
    missing = sorted(metadata.files.keys() - found.keys())
    beside = sorted(found.keys() - metadata.files.keys() - {METADATA_FILE})
    other = sorted(name for name, digest in metadata.files.items() if found.get(name, digest) != digest)
    problems = [
        f"{what}: {', '.join(map(repr, names[:5]))}{f' and {len(names) - 5} more' * (len(names) > 5)}"
        for what, names in (("missing", missing), ("not named", beside), ("of another content", other))
        if names
    ]
    if problems:
        raise BundleError(f"the files are not those that {METADATA_FILE} names; {'; '.join(problems)}.")


def _files_in(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder; for what is neither file nor folder a text that is no digest."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            found[name] = "a link or a device"
        elif path.is_file():
            found[name] = sha256_of(path)
    return found
