"""``policy=<folder>`` or ``policy=<run id>``: a trained policy, and with it the game that it was trained on.

A score says nothing without the mission, variants, cogs and length behind it, so a policy that is named by where it is
kept brings those of its training along. What the command says of them itself comes first.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from daf.bridge.bundles import is_bundle, read_bundle
from daf.config.override_syntax import override_text, plain
from daf.config.references import CHECKPOINTS, Stores, is_reference, local, looking_in, run_text
from daf.config.tracking_address import is_run_id
from daf.errors import DAFConfigError, Problem, first_line
from daf.files import is_file, user_path

#: The sections that decide which game is played, and what a training writes its own into.
GAME, CONFIG_FILE = ("mission", "variant"), "config.yaml"

logger = logging.getLogger(__name__)

#: Says, from the other overrides, where references lead to.
FindStores = Callable[[Sequence[str]], Stores]


@dataclass(frozen=True)
class _Trained:
    """A policy that is kept somewhere, and the text of the config that it was trained with, where that is known."""

    class_path: str
    weights: str
    config: str | None


def with_game(overrides: Sequence[str], find_stores: FindStores) -> list[str]:
    """The overrides, with ``policy=<where it is kept>`` written out, and the game of its training before the others.

    Raises:
        DAFConfigError: it names nothing that is kept.
    """
    if not any(text.startswith("policy=") for text in overrides):
        return list(overrides)
    asked = [(text, place) for text in overrides if (place := _place(text))]
    if not asked:
        return list(overrides)
    text, place = asked[-1]  # as Hydra takes the last one
    rest = [other for other in overrides if (other, _place(other)) not in asked]
    try:
        trained = _found(place, rest, find_stores)
        game = list(_game(trained.config, rest))
    except (ValueError, OSError, yaml.YAMLError) as error:
        raise DAFConfigError([Problem("policy", f"{place}: {first_line(error).rstrip('.')}.")]) from error
    if game:
        logger.warning("%s brings along what it was trained on: %s", text, " ".join(game))
    own = [override_text("policy.class_path", trained.class_path), override_text("policy.weights", trained.weights)]
    return [*own, *game, *rest]


def _place(text: str) -> str | None:
    """Where ``policy=...`` says that a policy is kept; None for any other override, options of the group included."""
    if not text.startswith("policy="):
        return None
    try:
        value = plain(_parsed(text).value())
    except HydraException:  # told where the config is composed
        return None
    if not isinstance(value, str) or not value.strip() or not (is_reference(value) or _checkpoint(value)):
        return None
    return value


def _parsed(text: str) -> Override:
    return OverridesParser.create().parse_override(text)


def _checkpoint(text: str) -> Path | None:
    """The checkpoint folder or bundle at a path, which may be a run's output folder."""
    path = user_path(text)
    return next((found for found in (path, path / CHECKPOINTS) if is_bundle(found)), None)


def _found(place: str, rest: Sequence[str], find_stores: FindStores) -> _Trained:
    if checkpoint := _checkpoint(place):
        beside = (folder / CONFIG_FILE for folder in (checkpoint.parent, checkpoint))
        config = next((path.read_text() for path in beside if is_file(path)), None)
        return _Trained(read_bundle(checkpoint).class_path, str(checkpoint), config)
    with looking_in(find_stores(rest)):
        class_path = local(place).class_path
        return _Trained(class_path, place, run_text(place, CONFIG_FILE) if is_run_id(place) else None)


def _game(config: str | None, rest: Sequence[str]) -> Iterator[str]:
    """Overrides for all that a training's config says about the game, and the command does not."""
    loaded = yaml.safe_load(config) if config else None
    said = {text.lstrip("+").partition("=")[0] for text in rest}
    if not isinstance(loaded, Mapping) or "experiment" in said:  # which decides the game, as a whole
        return
    for section in GAME:
        values: Mapping[str, Any] = loaded.get(section) or {}
        for key, value in values.items():
            if not {section, f"{section}.{key}"} & said:
                yield override_text(f"{section}.{key}", value)
