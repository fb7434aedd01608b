"""Replays in one self-contained HTML page that plays them: no network, no libraries."""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daf.visualization.replays.scene import AgentThing, Replay, Thing, Timeline
from daf.visualization.replays.style import NOBODY, look, team_colours

TEMPLATE = Path(__file__).with_name("viewer.html")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One episode in a viewer.

    Attributes:
        label: what its button says, such as ``best``.
        about: a sentence about it: seed, reward.
        policies: display name of the policy behind each agent.
    """

    label: str
    about: str
    replay: Replay
    policies: tuple[str, ...]


def daf_export_replay_html(episodes: Sequence[Shown], path: Path, *, title: str) -> Path:
    """Writes a page that plays the episodes: a map, a slider, the agents' state and the reward at every step.

    Raises:
        ValueError: no episodes.
    """
    if not episodes:
        raise ValueError("a replay viewer needs at least one episode")
    data = json.dumps([_episode(episode) for episode in episodes], separators=(",", ":"))
    # Inside a script element nothing but "<" could end the data; as an escape it is the same JSON.
    page = TEMPLATE.read_text(encoding="utf-8").replace("{{title}}", html.escape(title))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page.replace("{{data}}", data.replace("<", "\\u003c")), encoding="utf-8")
    return path


def _episode(shown: Shown) -> dict[str, Any]:
    replay = shown.replay
    teams = replay.teams()
    kinds = dict.fromkeys(thing.kind for thing in (*replay.agents, *replay.things))
    return {
        "label": shown.label,
        "about": shown.about,
        "width": replay.width,
        "height": replay.height,
        "steps": replay.steps,
        "walls": [number for wall in replay.walls for number in wall],
        "items": replay.items,
        "teams": [{"name": team, "colour": colour} for team, colour in team_colours(teams).items()],
        "nobody": NOBODY,
        "kinds": {kind: vars(look(kind)) for kind in kinds},
        "things": [_thing(thing, replay.items, teams) for thing in replay.things],
        "agents": [
            _agent(agent, replay.items, teams, policy)
            for agent, policy in zip(replay.agents, shown.policies, strict=True)
        ],
    }


def _thing(thing: Thing, items: Sequence[str], teams: Sequence[str]) -> dict[str, Any]:
    def stock(inventory: Mapping[str, int]) -> list[int]:
        return [number for item, amount in inventory.items() for number in (items.index(item), amount)]

    return {
        "kind": thing.kind,
        "place": _changes(thing.position),
        "team": _changes(
            Timeline(thing.team.steps, tuple(-1 if t is None else teams.index(t) for t in thing.team.values))
        ),
        "stock": _changes(Timeline(thing.inventory.steps, tuple(stock(held) for held in thing.inventory.values))),
        "alive": _changes(thing.alive),
    }


def _agent(agent: AgentThing, items: Sequence[str], teams: Sequence[str], policy: str) -> dict[str, Any]:
    rewards = Timeline(agent.reward.steps, tuple(round(value, 4) for value in agent.reward.values))
    return {
        **_thing(agent, items, teams),
        "number": agent.number,
        "policy": policy,
        "action": _changes(agent.action),
        "succeeded": _changes(agent.succeeded),
        "reward": _changes(rewards),
        "vibe": _changes(agent.vibe),
    }


def _changes(timeline: Timeline[Any]) -> list[Any]:
    """``[steps, values]``."""
    return [timeline.steps, timeline.values]
