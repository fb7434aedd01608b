"""Tasks for sweeps that are about the sweep: trials that take no time, fail on demand, or wait to be killed."""

import math
import os
import time
from pathlib import Path

from daf.config import DAFConfig
from daf.results import TaskResult
from daf.tracking.tracker import Tracker


def quadratic(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Best at a learning rate of 1e-3. Leaves a file behind for every time that it ran."""
    _mark(config)
    return TaskResult(objective=-((math.log10(config.optimizer.lr) + 3) ** 2))


def two_objectives(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """A front: one objective wants a high learning rate, the other a low one."""
    return TaskResult(objective=(config.optimizer.lr, -config.optimizer.lr))


def fails_once(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Fails the first time that it is tried with a learning rate, like a flaky machine."""
    if _mark(config) == 1:
        raise RuntimeError("a flaky machine")
    return quadratic(config, tracker)


def fails_above(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Always fails with a learning rate above 1e-3."""
    if config.optimizer.lr > 1e-3:
        raise RuntimeError("too high")
    return quadratic(config, tracker)


def no_number(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Has nothing to show."""
    _mark(config)
    return TaskResult(objective=math.nan)


def dies_once(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Takes its process with it the first time that it is tried with a learning rate of 1e-4."""
    if config.optimizer.lr == 1e-4 and _mark(config) == 1:
        os._exit(3)
    return quadratic(config, tracker)


def slow(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Takes a second."""
    time.sleep(1)
    return quadratic(config, tracker)


def runs(folder: Path) -> dict[float, int]:
    """How often each learning rate ran to its end, or to its failure."""
    counts: dict[float, int] = {}
    for path in folder.glob("ran-*"):
        lr = float(path.name.split("-", 2)[2])
        counts[lr] = counts.get(lr, 0) + 1
    return counts


def _mark(config: DAFConfig) -> int:
    # Beside the tracking store, which all runs of a test share.
    folder = Path(str(config.tracking.uri).removeprefix("sqlite:///")).parent
    (folder / f"ran-{os.getpid()}{time.time_ns()}-{config.optimizer.lr}").touch()
    return runs(folder)[config.optimizer.lr]


def until_told(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Ends when a file is there, half a minute later at the latest: until then a trial is known to be running."""
    folder = Path(str(config.tracking.uri).removeprefix("sqlite:///")).parent
    end = time.monotonic() + 30
    while not (folder / "go").exists() and time.monotonic() < end:
        time.sleep(0.05)
    return quadratic(config, tracker)
