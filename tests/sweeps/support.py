"""What the tests of sweeps share: a study and a request without workers."""

from pathlib import Path

from daf.config import DAFConfig
from daf.sweeps.composition import compose_onto
from daf.sweeps.request import SweepRequest
from daf.sweeps.space import Space
from daf.sweeps.study import StoredStudy, open_storage
from daf.tracking.tracker import Tracker


def open_study(config: DAFConfig) -> StoredStudy:
    """The study of a config, begun or gone on with; a finite space is a grid."""
    space = Space.from_config(config.sweep.space)
    grid = space.grid(compose_onto(config)) if space.is_finite else None
    return StoredStudy(config, open_storage(config), space, grid)


def make_request(config: DAFConfig, tracker: Tracker) -> SweepRequest:
    """A sweep of a config as its engine gets it."""
    return SweepRequest(
        config=config,
        space=Space.from_config(config.sweep.space),
        compose=compose_onto(config),
        output_dir=Path(config.output_dir),
        tracker=tracker,
    )
