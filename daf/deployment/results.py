"""What packing, validating, serving, rolling back and submitting a policy give back."""

from dataclasses import dataclass
from pathlib import Path

from daf.results import TaskResult


@dataclass(frozen=True, kw_only=True)
class DeploymentResult(TaskResult):
    """A policy on its way out of the house.

    Attributes:
        name: under which it is packed and served.
        version: its semantic version.
        digest: SHA-256 (hex) of the bundle's file; empty where none was made or found.
        bundle: the bundle on this disk, or None.
        target: where it went, such as ``registry``, ``http`` or a season; empty where it went nowhere.
        location: how it is found there, such as ``models:/name/3`` or an address.
        previous: the version that was in use before, or None.
    """

    objective: float | tuple[float, ...] | None = None
    name: str
    version: str = ""
    digest: str = ""
    bundle: Path | None = None
    target: str = ""
    location: str = ""
    previous: str | None = None


def bundle_facts(name: str, version: str, digest: str, **more: str) -> dict[str, str]:
    """What programs are told of a bundle; nothing that is unknown."""
    facts = {"name": name, "version": version, "digest": digest, **more}
    return {key: value for key, value in facts.items() if value}
