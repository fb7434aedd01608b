"""Training with tracking on against a direct call of `cogames.train.train` with the same settings."""

import argparse
import contextlib
import io
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import alternate, median_ratio, report
from benchmarks.direct import train_directly
from daf.config import daf_load_config
from daf.tracking.store import open_store
from daf.tracking.tracker import Tracker
from daf.training import daf_train


def main() -> None:
    """Prints agent steps per second of both sides and their ratio."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark training", description=__doc__)
    parser.add_argument("--steps", type=int, default=163_840, help="agent steps of one training")
    parser.add_argument("--envs", type=int, default=16, help="parallel environments of 8 agents")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    overrides = [
        "task=train",
        "device=cpu",
        f"training.num_steps={arguments.steps}",
        f"training.num_envs={arguments.envs}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        sides = _sides(Path(folder), arguments.steps, overrides)
        sides["cogames.train.train"]()  # imports and first allocations
        measured = alternate(sides, arguments.rounds)
    ratio = median_ratio(measured["daf, tracking on"], measured["cogames.train.train"])
    rows = [(name, f"{sorted(rates)[len(rates) // 2]:,.0f}") for name, rates in measured.items()]
    rows.append(("ratio, median of pairs", f"{ratio:.3f}"))
    report("training", rows, ("", "agent steps / s"), {"rates": measured, "ratio": ratio, "overrides": overrides})


def _sides(folder: Path, steps: int, overrides: list[str]) -> dict[str, Callable[[], float]]:
    """Both ways to train, each as a function that returns agent steps per second."""
    store = f"sqlite:///{folder / 'mlflow.db'}"
    client, experiment = open_store(store, "benchmark")
    runs = itertools.count()

    def with_daf() -> float:
        output = folder / f"daf{next(runs)}"
        output.mkdir()
        config = daf_load_config(overrides=[*overrides, f"tracking.uri={store}", f"output_dir={output}"])
        started = time.perf_counter()
        with contextlib.redirect_stderr(io.StringIO()), Tracker(client, experiment, "benchmark", output) as tracker:
            daf_train(config, tracker)
        return steps / (time.perf_counter() - started)

    def direct() -> float:
        output = folder / f"direct{next(runs)}"
        config = daf_load_config(overrides=overrides)
        started = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            train_directly(config, output)
        return steps / (time.perf_counter() - started)

    return {"cogames.train.train": direct, "daf, tracking on": with_daf}


if __name__ == "__main__":
    main()
