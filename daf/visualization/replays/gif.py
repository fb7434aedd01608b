"""A replay as a GIF: everything at a glance, for pages and messages that cannot run a viewer."""

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daf.visualization.replays.scene import Replay, Thing
from daf.visualization.replays.style import NOBODY, Look, look, team_colours
from daf.visualization.text import picture_text

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

#: Frames beyond this are thinned out evenly, so that a long episode stays a small file.
MAX_FRAMES = 200
FRAME_MS, LAST_FRAME_MS = 90, 1500
#: The longer side of the map in pixels, and what a cell may take of it.
MAP_PIXELS, MIN_CELL, MAX_CELL = 640, 3, 20
#: Of the whole picture, so that what stands above and below a narrow map has room.
MIN_WIDTH = 480
#: Cells around the agents' ways that are shown.
MARGIN = 5
TRAIL = 12
GROUND, WALL, INK, PAPER = "#f4f2ec", "#6b6f76", "#1d1f23", "#ffffff"
LINE = 20


def daf_export_replay_gif(replay: Replay, path: Path, *, title: str = "") -> Path:
    """Writes an animated GIF of the part of the map in which the agents moved.

    Args:
        title: stands above the map.
    """
    from PIL.Image import Dither, Quantize

    painter = _Painter(replay, title)
    pictures = [painter.frame(step) for step in shown_steps(replay.steps)]
    # One palette for all frames, rare colours included: what stands still then stays the same bytes.
    palette = pictures[-1].quantize(64, method=Quantize.MAXCOVERAGE)
    first, *rest = [picture.quantize(palette=palette, dither=Dither.NONE) for picture in pictures]
    path.parent.mkdir(parents=True, exist_ok=True)
    durations = [FRAME_MS] * len(rest) + [LAST_FRAME_MS]
    first.save(path, save_all=True, append_images=rest, duration=durations, loop=0)
    return path


def shown_steps(steps: int) -> list[int]:
    """At most `MAX_FRAMES` of the steps, evenly spread, the last one always among them."""
    stride = math.ceil(steps / MAX_FRAMES)
    return list(range((steps - 1) % stride, steps, stride))


@dataclass(frozen=True)
class _View:
    """A rectangle of cells, `left` and `top` included, and the pixels of one cell."""

    left: int
    top: int
    width: int
    height: int
    cell: int

    @classmethod
    def of(cls, replay: Replay) -> "_View":
        places = [place for agent in replay.agents for place in agent.position.values]
        columns, rows = [x for x, _ in places], [y for _, y in places]
        left, right = _widened(min(columns), max(columns), replay.width)
        top, bottom = _widened(min(rows), max(rows), replay.height)
        cell = MAP_PIXELS // max(right - left, bottom - top)
        return cls(left, top, right - left, bottom - top, max(MIN_CELL, min(cell, MAX_CELL)))

    def shows(self, place: tuple[int, int]) -> bool:
        return 0 <= place[0] - self.left < self.width and 0 <= place[1] - self.top < self.height

    def corner(self, place: tuple[int, int]) -> tuple[int, int]:
        return (place[0] - self.left) * self.cell, (place[1] - self.top) * self.cell

    def centre(self, place: tuple[int, int]) -> tuple[float, float]:
        x, y = self.corner(place)
        return x + self.cell / 2, y + self.cell / 2


def _widened(low: int, high: int, size: int) -> tuple[int, int]:
    """First cell shown and first not shown: the margin around `low` to `high`, at least 24 cells, within the map."""
    extra = max(MARGIN, math.ceil((24 - (high - low + 1)) / 2))
    return max(0, low - extra), min(size, high + 1 + extra)


class _Painter:
    def __init__(self, replay: Replay, title: str) -> None:
        from PIL import Image, ImageDraw

        self._replay = replay
        self._view = _View.of(replay)
        self._colours = team_colours(replay.teams())
        map_width, map_height = self._view.width * self._view.cell, self._view.height * self._view.cell
        self._width = max(map_width, MIN_WIDTH)
        headings, legend = _wrapped(title, self._width - 12), self._legend_lines()
        self._left, self._top = (self._width - map_width) // 2, LINE * len(headings) + 4
        self._below = self._top + map_height + 4
        self._ground = Image.new("RGB", (self._width, self._below + LINE * (2 + len(legend)) + 4), PAPER)
        draw = ImageDraw.Draw(self._ground)
        for number, line in enumerate(headings):
            draw.text((6, 2 + LINE * number), line, fill=INK, font=_font(14))
        self._paint_map(draw, map_width, map_height)
        for number, entries in enumerate(legend):
            self._paint_legend(draw, entries, self._below + LINE * (2 + number))

    def _paint_map(self, draw: "ImageDraw", width: int, height: int) -> None:
        """What never changes: the ground and the walls."""
        draw.rectangle((self._left, self._top, self._left + width - 1, self._top + height - 1), fill=GROUND)
        for wall in filter(self._view.shows, self._replay.walls):
            x, y = self._view.corner(wall)
            x, y, far = x + self._left, y + self._top, self._view.cell - 1
            draw.rectangle((x, y, x + far, y + far), fill=WALL)

    def frame(self, step: int) -> "Image":
        """The picture after a step."""
        from PIL import ImageDraw

        picture = self._ground.copy()
        draw = ImageDraw.Draw(picture)
        for thing in self._replay.things:
            if thing.alive.at(step):
                self._paint(picture, thing, step, look(thing.kind).letter)
        for agent in self._replay.agents:
            self._paint_trail(draw, agent, step)
        for agent in self._replay.agents:
            if agent.alive.at(step):
                self._paint(picture, agent, step, str(agent.number))
        for number, text in enumerate(self._status(step)):
            draw.text((6, self._below + LINE * number), text, fill=INK, font=_font(13))
        return picture

    def _paint(self, picture: "Image", thing: Thing, step: int, letter: str) -> None:
        place = thing.position.at(step)
        if not self._view.shows(place):
            return
        colour = self._colours.get(thing.team.at(step) or "", NOBODY)
        spent = thing.kind.endswith("_extractor") and not sum(thing.inventory.at(step).values())
        held = thing.team.at(step) is not None
        sprite = _sprite(
            look(thing.kind), letter, colour, not spent and (held or thing.kind != "junction"), self._sprite()
        )
        x, y = self._view.centre(place)
        corner = round(x - sprite.width / 2) + self._left, round(y - sprite.height / 2) + self._top
        picture.paste(sprite, corner, sprite)

    def _sprite(self) -> int:
        """Pixels of a sprite: a little more than a cell, so that letters can be read."""
        return max(9, round(self._view.cell * 1.25))

    def _paint_trail(self, draw: "ImageDraw", agent: Thing, step: int) -> None:
        colour = self._colours.get(agent.team.at(step) or "", NOBODY)
        places = [agent.position.at(at) for at in range(max(0, step - TRAIL), step + 1)]
        points = [(x + self._left, y + self._top) for x, y in map(self._view.centre, places)]
        if len(points) > 1:
            draw.line(points, fill=colour, width=max(1, self._view.cell // 5))

    def _status(self, step: int) -> tuple[str, str]:
        held = self._replay.junctions(step)
        teams = ", ".join(f"{team} {held[team]}" for team in self._colours)
        reward = picture_text(self._replay.mean_reward(step))
        return (
            f"step {step + 1} of {self._replay.steps}    reward {reward} per agent",
            f"junctions held: {teams} of {held.total()}" if held else "no junctions on this map",
        )

    def _legend_lines(self) -> list[list[tuple[Look, str, str]]]:
        """The legend's entries (look, colour, text), as many in a line as fit."""
        looks = dict.fromkeys([look("agent"), *map(look, sorted(thing.kind for thing in self._replay.things))])
        entries = [(shown, NOBODY, shown.name.partition(" (")[0]) for shown in looks]
        entries += [(Look("circle", "", ""), colour, f"of {team}") for team, colour in self._colours.items()]
        lines: list[list[tuple[Look, str, str]]] = [[]]
        used = 6.0
        for entry in entries:
            width = _entry_width(entry[2])
            if used + width > self._width and lines[-1]:
                lines.append([])
                used = 6.0
            lines[-1].append(entry)
            used += width
        return lines

    def _paint_legend(self, draw: "ImageDraw", line: list[tuple[Look, str, str]], top: int) -> None:
        left = 6.0
        for shown, colour, text in line:
            sprite = _sprite(shown, shown.letter, colour, shown.shape != "ring", 15)
            self._ground.paste(sprite, (round(left), top + 1), sprite)
            draw.text((left + 19, top + 1), text, fill=INK, font=_font(12))
            left += _entry_width(text)


def _wrapped(text: str, width: float) -> list[str]:
    """Lines of a text that are no wider than `width` pixels, broken between words."""
    lines: list[str] = []
    for word in text.split():
        if lines and _font(14).getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _entry_width(text: str) -> float:
    return 19 + _font(12).getlength(text) + 14


@functools.cache
def _font(size: int) -> "FreeTypeFont | ImageFont":
    from PIL import ImageFont

    return ImageFont.load_default(size)


@functools.lru_cache(maxsize=1024)
def _sprite(shown: Look, letter: str, colour: str, filled: bool, size: int) -> "Image":
    """A small picture of a thing, drawn large and scaled down so that its edges are smooth."""
    from PIL import Image, ImageDraw

    large = size * 8
    image = Image.new("RGBA", (large, large), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    fill, outline, width = (colour, INK, large // 14) if filled else (PAPER, colour, large // 9)
    near, middle, far = large * 0.06, large / 2, large * 0.94
    if shown.shape == "circle":
        draw.ellipse((near, near, far, far), fill, outline, width)
    elif shown.shape == "ring":
        draw.ellipse((large * 0.16, large * 0.16, large * 0.84, large * 0.84), fill, outline, width)
    elif shown.shape == "diamond":
        draw.polygon([(middle, 0), (large, middle), (middle, large), (0, middle)], fill, outline, width)
    elif shown.shape == "triangle":
        draw.polygon([(middle, near), (far, far), (near, far)], fill, outline, width)
    else:
        radius = large * (0.06 if shown.shape == "hub" else 0.22)
        draw.rounded_rectangle((near, near, far, far), radius, fill, outline, width)
    if letter:
        ink = PAPER if filled else INK
        scale = 0.44 if shown.shape == "diamond" else 0.6
        draw.text((middle, middle), letter, fill=ink, font=_font(round(large * scale)), anchor="mm")
    return image.resize((size, size), Image.Resampling.LANCZOS)
