"""How things look: the shape says what a thing is, the letter which one, the colour who owns it."""

from collections.abc import Sequence
from dataclasses import dataclass

from daf.visualization.style import COLOURS

#: Nobody's colour, and those of the teams in the order in which they appear.
NOBODY = "#8a8f98"
TEAM_COLOURS = (COLOURS[0], COLOURS[1], COLOURS[2], COLOURS[3], COLOURS[4])


@dataclass(frozen=True)
class Look:
    """How one kind of thing is drawn.

    Attributes:
        shape: ``circle``, ``diamond``, ``square``, ``hub``, ``ring`` or ``triangle``.
        letter: drawn inside, or an empty string.
        name: what the legend calls it.
    """

    shape: str
    letter: str
    name: str


_KNOWN = {
    "agent": Look("circle", "", "agent (its number inside)"),
    "hub": Look("hub", "H", "hub"),
    "junction": Look("ring", "", "junction (filled: held by a team)"),
    "ship": Look("triangle", "", "ship of the clips"),
    "aligner": Look("square", "A", "aligner station"),
    "scrambler": Look("square", "X", "scrambler station"),
    "miner": Look("square", "M", "miner station"),
    "scout": Look("square", "S", "scout station"),
}


def look(kind: str) -> Look:
    """The look of a kind; one that is not known becomes a square with its first letter."""
    # Stations carry their team's name in front: c:miner, cogs_green:miner.
    kind = kind.rpartition(":")[2]
    if kind in _KNOWN:
        return _KNOWN[kind]
    name = kind.replace("_", " ")
    if kind.endswith("_extractor"):
        return Look("diamond", name[0].upper(), name)
    return Look("square", name[:1].upper(), name)


def team_colours(teams: Sequence[str]) -> dict[str, str]:
    """A colour for every team."""
    return {team: TEAM_COLOURS[index % len(TEAM_COLOURS)] for index, team in enumerate(teams)}
