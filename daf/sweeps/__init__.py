"""Sweeps: the Hydra sweeper on Optuna, search spaces, pruning, resume, confirmation, and the same from Python."""

from daf.sweeps.api import (
    daf_grid_search,
    daf_random_search,
    daf_sweep_best_config,
    daf_sweep_status,
    daf_variant_sweep,
)
from daf.sweeps.launch import daf_launch_sweep
from daf.sweeps.results import SweepResult, SweepTrialResult
from daf.sweeps.status import SweepStatus

__all__ = [
    "SweepResult",
    "SweepStatus",
    "SweepTrialResult",
    "daf_grid_search",
    "daf_launch_sweep",
    "daf_random_search",
    "daf_sweep_best_config",
    "daf_sweep_status",
    "daf_variant_sweep",
]
