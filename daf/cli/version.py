"""`--version`: DAF's, and of what it stands on."""

from importlib import metadata

from daf import __version__

_BELOW = {"cogames": "cogames", "hydra": "hydra-core"}


def version_text() -> str:
    """One line for each of DAF, CoGames and Hydra."""
    return "\n".join([f"daf {__version__}", *(f"{name} {_installed(package)}" for name, package in _BELOW.items())])


def _installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "is not installed"
