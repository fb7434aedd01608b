"""A trial that takes the whole sweep with it, once."""

import os
import signal
from pathlib import Path

import psutil

from daf.config import DAFConfig
from daf.results import TaskResult
from daf.tracking.tracker import Tracker


def crashing(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Kills the sweep's process in the second trial, as a machine that runs out of memory would."""
    mark = Path(config.output_dir).parent / "crashed"
    if config.optimizer.lr > 1e-3 and not mark.exists():
        mark.touch()
        _kill_sweep()
    return TaskResult(objective=config.optimizer.lr)


def _kill_sweep() -> None:
    for process in psutil.Process().parents():
        if "daf.run" in process.cmdline():
            os.kill(process.pid, signal.SIGKILL)
            return
    raise RuntimeError("no sweep was found")
