"""Where Hydra finds DAF's sweeper. Imported at every start, so everything else waits until there is a sweep."""

from collections.abc import Mapping
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class DAFSweeper(Sweeper):  # type: ignore[misc]
    """`hydra/sweeper=daf`: Optuna with pruning, resume, retries and confirmed results; see `daf.sweeps`."""

    def __init__(self, params: Mapping[str, object] | None = None) -> None:
        self.params = dict(params or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keeps what Hydra hands over."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def sweep(self, arguments: list[str]) -> Any:
        """Runs the sweep that the command line and the config describe."""
        from daf.sweeps.hydra_sweep import sweep

        assert self.hydra_context is not None
        of_config = [f"{key}={value}" for key, value in self.params.items()]
        return sweep(self.hydra_context, self.task_function, self.config, [*of_config, *arguments])
