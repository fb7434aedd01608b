"""Where deployed policies are kept: what every target can do."""

from pathlib import Path
from typing import Protocol

from daf.deployment.metadata import BundleMetadata
from daf.deployment.moves import Move, Use, next_free
from daf.errors import DAFError
from daf.files import sha256_of

#: Tags of the run that moved an alias begin with this.
MOVE = "daf.move"


class MovedMeanwhileError(DAFError):
    """Somebody else moved the alias."""


class Target(Protocol):
    """One policy's versions and one alias of it. Every method raises DAFError where the target does not do it.

    Attributes:
        kind: ``registry`` or ``http``.
        name: of the policy.
        alias: that marks the version in use.
    """

    kind: str
    name: str
    alias: str

    def versions(self) -> dict[str, str]:
        """Semantic version to the SHA-256 (hex) of its bundle; empty where nobody deployed any."""

    def use(self) -> Use:
        """What the alias stands for now."""

    def upload(self, bundle: Path, metadata: BundleMetadata, digest: str) -> bool:
        """Keeps a bundle as a version; False if it is there already. Of two at once, one keeps it.

        Raises:
            DAFError: the version is there with another digest; it stays as it is.
        """

    def move(self, seen: Use, move: Move) -> None:
        """Moves the alias in one step, and notes the move.

        Raises:
            MovedMeanwhileError: the alias is no longer where it was `seen`; it stays where it is.
        """

    def fetch(self, version: str, folder: Path) -> Path:
        """Brings a version's bundle into a folder and returns the file, whose digest has been checked."""

    def location(self, version: str) -> str:
        """How a version is found there."""


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file.

    Raises:
        DAFError: it cannot be read.
    """
    try:
        return sha256_of(path)
    except OSError as error:
        raise DAFError(f"{path} cannot be read: {error.strerror or error}") from error


def check_same(target: Target, version: str, there: str, digest: str) -> None:
    """A version that exists is the same bundle, or an error that proposes another number.

    Raises:
        DAFError: it is another bundle.
    """
    if there != digest:
        free = next_free(version, target.versions())
        raise DAFError(
            f"{target.name} {version} is deployed already with another content ({there[:12]}, this one is "
            f"{digest[:12]}), and a version is never overwritten. Take the next free one: deployment.version={free}"
        )


def moved_meanwhile(target: Target, seen: Use, now: Use, move: Move) -> MovedMeanwhileError:
    """That somebody else was faster."""
    return MovedMeanwhileError(
        f"the alias {target.alias} of {target.name} was moved by somebody else meanwhile, from "
        f"{seen.version or 'nothing'} to {now.version or 'nothing'}. It stays there; ask again if you want "
        f"{move.after} all the same"
    )


def move_tags(target: Target, move: Move) -> dict[str, str]:
    """What a run says of the move that it makes."""
    return {
        f"{MOVE}.target": target.kind,
        f"{MOVE}.name": target.name,
        f"{MOVE}.alias": target.alias,
        f"{MOVE}.kind": move.kind,
        f"{MOVE}.from": move.before or "",
        f"{MOVE}.to": move.after,
        f"{MOVE}.why": move.why,
        f"{MOVE}.state": "made",
    }
