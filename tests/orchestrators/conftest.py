"""A pipeline of made-up stages."""

from collections.abc import Callable
from typing import Any

import pytest

from daf.config import DAFConfig
from daf.config.override_syntax import override_text

Piped = Callable[..., DAFConfig]


@pytest.fixture
def piped(tiny: Callable[..., DAFConfig]) -> Piped:
    """A config with stages by name, and overrides."""

    def load(*overrides: str, **stages: dict[str, Any]) -> DAFConfig:
        given = override_text("+pipeline.stages", stages)
        return tiny("task=pipeline", "pipeline.name=test", given, *overrides)

    return load
