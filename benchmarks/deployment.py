"""Deployment: packing an LSTM and trying it as the season would, beyond the imports that every command pays."""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import alternate, report
from benchmarks.direct import new_weights
from daf.config import DAFConfig, daf_load_config
from daf.deployment import daf_package_policy, daf_validate_deployment
from daf.tracking.store import open_store
from daf.tracking.tracker import Tracker


def main() -> None:
    """Prints the seconds of every step, medians over rounds."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark deployment", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        work = _Work(Path(folder))
        measured = alternate({name: work.timed(step) for name, step in work.steps().items()}, options.rounds)
    rows = [(name, f"{sorted(times)[len(times) // 2]:.2f}") for name, times in measured.items()]
    report("deployment", rows, ("", "s"), {"seconds": measured})


class _Work:
    """The steps of a deployment, on an LSTM and a store of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, f"sqlite:///{folder / 'mlflow.db'}"
        self.client, self.experiment = open_store(self.store, "deployment")
        self.weights, self.runs = folder / "lstm.pt", 0
        new_weights(self.config("package").mission_spec(), self.weights)

    def config(self, task: str) -> DAFConfig:
        """An LSTM with weights on the arena, with all eight agents."""
        own = (f"task={task}", "policy=lstm", f"policy.weights={self.weights}", "deployment.name=benchmark")
        return daf_load_config(overrides=[*own, f"tracking.uri={self.store}", f"output_dir={self.folder / 'out'}"])

    def steps(self) -> dict[str, Callable[[Tracker], object]]:
        """By name what is timed, each with a run of its own."""
        package, validate = self.config("package"), self.config("validate")
        return {
            "package": lambda tracker: daf_package_policy(package, tracker),
            "package and smoke-validate": lambda tracker: daf_validate_deployment(validate, tracker),
        }

    def timed(self, step: Callable[[Tracker], object]) -> Callable[[], float]:
        """A step as `alternate` takes it."""

        def seconds() -> float:
            self.runs += 1
            output = self.folder / str(self.runs)
            output.mkdir()
            with Tracker(self.client, self.experiment, output.name, output) as tracker:
                started = time.perf_counter()
                step(tracker)
                return time.perf_counter() - started

        return seconds


if __name__ == "__main__":
    main()
