"""What a replay file of CoGames says, made easy to ask for any step."""

import json
import zlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daf.errors import DAFError

FORMAT_VERSION = 4


@dataclass(frozen=True)
class Timeline[T]:
    """A value that changes over an episode: `values[i]` holds from step `steps[i]` on; `steps` starts at 0."""

    steps: tuple[int, ...]
    values: tuple[T, ...]

    def at(self, step: int) -> T:
        """The value after the action of a step (0 is the first)."""
        return self.values[max(bisect_right(self.steps, step) - 1, 0)]


Position = tuple[int, int]
Inventory = Mapping[str, int]


@dataclass(frozen=True)
class Thing:
    """Anything on the map but a wall.

    Attributes:
        kind: the simulator's type name, such as ``junction`` or ``c:miner``.
        position: column and row; (0, 0) is the upper left corner.
        team: the owner's name, or None.
        inventory: resource to amount; what it does not name is 0.
        alive: whether it is on the map.
    """

    kind: str
    position: Timeline[Position]
    team: Timeline[str | None]
    inventory: Timeline[Inventory]
    alive: Timeline[bool]


@dataclass(frozen=True)
class AgentThing(Thing):
    """An agent.

    Attributes:
        number: its index among the agents.
        action: name of the action of each step; `succeeded` says whether it had an effect.
        reward: total reward so far.
        vibe: the sign that it shows.
    """

    number: int
    action: Timeline[str]
    succeeded: Timeline[bool]
    reward: Timeline[float]
    vibe: Timeline[str]


@dataclass(frozen=True)
class Replay:
    """One episode, step by step.

    Attributes:
        steps: number of recorded steps; the state before the first action is not recorded.
        walls: their positions; they never change.
        agents: in the order of their numbers.
        items: resource names in the simulator's order.
    """

    width: int
    height: int
    steps: int
    walls: tuple[Position, ...]
    things: tuple[Thing, ...]
    agents: tuple[AgentThing, ...]
    items: tuple[str, ...]

    def teams(self) -> tuple[str, ...]:
        """Names of all teams that own anything at any time, those of the agents first."""
        owners = [thing.team.values for thing in (*self.agents, *self.things)]
        return tuple(dict.fromkeys(team for values in owners for team in values if team is not None))

    def junctions(self, step: int) -> Counter[str | None]:
        """How many junctions every team holds after a step; those that nobody holds under None."""
        return Counter(thing.team.at(step) for thing in self.things if thing.kind == "junction")

    def mean_reward(self, step: int) -> float:
        """Total reward so far, as the mean over agents."""
        return sum(agent.reward.at(step) for agent in self.agents) / len(self.agents)


def daf_read_replay(path: Path) -> Replay:
    """Reads a replay file (zlib-compressed JSON, as CoGames writes it).

    Raises:
        DAFError: the file is no replay of the known format.
    """
    try:
        data = json.loads(zlib.decompress(path.read_bytes()))
        version = data["version"]
    except (OSError, zlib.error, ValueError, TypeError, KeyError) as error:
        raise DAFError(f"{path} is no replay: {error}") from error
    if version != FORMAT_VERSION:
        raise DAFError(f"{path} is a replay of version {version}; only version {FORMAT_VERSION} can be read.")
    return _Reader(data).replay()


class _Reader:
    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data
        self._teams = {number: tag.removeprefix("team:") for tag, number in data["tags"].items() if "team:" in tag[:5]}
        self._vibes = data["mg_config"]["game"].get("vibe_names", [])

    def replay(self) -> Replay:
        objects = self._data["objects"]
        walls = [entry for entry in objects if entry["type_name"] == "wall"]
        agents = [self._agent(entry) for entry in objects if "agent_id" in entry]
        width, height = self._data["map_size"]
        return Replay(
            width=width,
            height=height,
            steps=self._data["max_steps"],
            walls=tuple((wall["location"][0], wall["location"][1]) for wall in walls),
            things=tuple(
                Thing(**self._common(entry))
                for entry in objects
                if entry["type_name"] != "wall" and "agent_id" not in entry
            ),
            agents=tuple(sorted(agents, key=lambda agent: agent.number)),
            items=tuple(self._data["item_names"]),
        )

    def _common(self, entry: dict[str, Any]) -> dict[str, Any]:
        kind = _timeline(entry["type_name"], str).values[-1]
        return {
            "kind": kind,
            # Column before row: moving east raises the first number, moving south the second.
            "position": _timeline(entry["location"], lambda pair: (int(pair[0]), int(pair[1])), nested=True),
            "team": _timeline(entry["tag_ids"], self._team, nested=True),
            "inventory": _timeline(entry["inventory"], self._inventory, nested=True),
            "alive": _timeline(entry["alive"], bool),
        }

    def _agent(self, entry: dict[str, Any]) -> AgentThing:
        return AgentThing(
            **self._common(entry),
            number=int(_timeline(entry["agent_id"], int).values[-1]),
            action=_timeline(entry["action_id"], lambda index: str(self._data["action_names"][index])),
            succeeded=_timeline(entry["action_success"], bool),
            reward=_timeline(entry["total_reward"], float),
            vibe=_timeline(entry["vibe_id"], self._vibe),
        )

    def _team(self, tags: list[int]) -> str | None:
        return next((self._teams[tag] for tag in tags if tag in self._teams), None)

    def _inventory(self, pairs: list[list[int]]) -> Inventory:
        return {self._data["item_names"][item]: amount for item, amount in pairs}

    def _vibe(self, index: int) -> str:
        return str(self._vibes[index]) if index < len(self._vibes) else str(index)


def _timeline[T](field: Any, convert: Callable[[Any], T], *, nested: bool = False) -> Timeline[T]:
    """Reads a field: ``[[step, value], ...]``, or the bare value where it never changed.

    Args:
        nested: whether values are lists themselves. A list of pairs of numbers is then a constant inventory.
    """
    if (
        isinstance(field, list)
        and field
        and isinstance(field[0], list)
        and (not nested or isinstance(field[0][1], list))
    ):
        return Timeline(tuple(step for step, _ in field), tuple(convert(value) for _, value in field))
    return Timeline((0,), (convert(field),))
