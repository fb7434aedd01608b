"""What the tests of sweeps share: a study and a request without workers."""

from pathlib import Path

from daf.config import DAFConfig
from daf.sweeps.composition import compose_onto
from daf.sweeps.identity import study_name
from daf.sweeps.request import SweepRequest
from daf.sweeps.seeds import study_seeds
from daf.sweeps.space import Space
from daf.sweeps.study import StoredStudy, open_storage
from daf.tracking.tracker import Tracker


def open_study(config: DAFConfig) -> StoredStudy:
    """The study of a config, begun or gone on with; a finite space is a grid."""
    space = Space.from_config(config.sweep.space)
    is_grid = space.is_finite and config.sweep.sampler in (None, "grid")
    return StoredStudy(config, open_storage(config), space, space.points(compose_onto(config)), is_grid=is_grid)


def make_request(config: DAFConfig, tracker: Tracker) -> SweepRequest:
    """A sweep of a config as its engine gets it."""
    return SweepRequest(
        config=config,
        space=Space.from_config(config.sweep.space),
        compose=compose_onto(config),
        output_dir=Path(config.output_dir),
        tracker=tracker,
        seeds=study_seeds(study_name(config)),
    )
