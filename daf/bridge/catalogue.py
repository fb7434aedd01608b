"""CoGames' names, known without importing it, so that a misspelt one is reported in a fraction of a second.

`catalogue.json` belongs to one CoGames version; `python -m daf.bridge.catalogue` writes it anew after an upgrade, and
a test compares it with what the installed CoGames says.
"""

import functools
import importlib.metadata
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from daf.bridge.mission_names import MISSION_SETS
from daf.bridge.missions import mission_names, variant_names
from daf.bridge.policies import registered_policies

FILE = Path(__file__).with_name("catalogue.json")


@dataclass(frozen=True)
class Catalogue:
    """Names that CoGames knows.

    Attributes:
        version: the CoGames release that they belong to.
        missions: full names (``site.mission``).
        mission_sets: set name to full names.
        variants: mission variants and reward variants.
        policies: short name to class path.
    """

    version: str
    missions: tuple[str, ...]
    mission_sets: dict[str, tuple[str, ...]]
    variants: tuple[str, ...]
    policies: dict[str, str]


@functools.cache
def catalogue() -> Catalogue:
    """The stored names, or for another CoGames version than theirs the live ones (which takes seconds)."""
    stored = json.loads(FILE.read_text())
    if stored["version"] != importlib.metadata.version("cogames"):
        return live_catalogue()
    return Catalogue(
        version=stored["version"],
        missions=tuple(stored["missions"]),
        mission_sets={name: tuple(missions) for name, missions in stored["mission_sets"].items()},
        variants=tuple(stored["variants"]),
        policies=stored["policies"],
    )


def live_catalogue() -> Catalogue:
    """The names, asked from CoGames itself."""
    return Catalogue(
        version=importlib.metadata.version("cogames"),
        missions=tuple(mission_names()),
        mission_sets={name: tuple(mission_names(name)) for name in MISSION_SETS},
        variants=tuple(variant_names()),
        policies=dict(sorted(registered_policies().items())),
    )


if __name__ == "__main__":
    FILE.write_text(json.dumps(asdict(live_catalogue()), indent=1) + "\n")
