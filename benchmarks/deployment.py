"""Deployment: packing an LSTM and trying it as the season would, beyond the imports that every command pays."""

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import alternate, report
from benchmarks.direct import new_weights
from daf.config import DAFConfig, daf_load_config
from daf.deployment import (
    daf_deploy_policy,
    daf_package_policy,
    daf_rollback_deployment,
    daf_validate_deployment,
)
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
        steps = work.steps() | registry_steps(work, options.rounds)
        measured = alternate({name: work.timed(step) for name, step in steps.items()}, options.rounds)
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


def registry_steps(work: _Work, rounds: int) -> dict[str, Callable[[Tracker], object]]:
    """Deploying a packed bundle as one version after the other, and rolling each back to the first."""
    versions = itertools.count()

    def config() -> DAFConfig:
        base = work.config("deploy")
        own = {"version": f"1.0.{next(versions)}", "unvalidated": True}
        return base.model_copy(update={"deployment": base.deployment.model_copy(update=own)})

    def packed(tracker: Tracker) -> DAFConfig:
        asked = config()
        bundle = {"bundle": str(daf_package_policy(asked, tracker).bundle)}
        return asked.model_copy(update={"deployment": asked.deployment.model_copy(update=bundle)})

    made: list[DAFConfig] = []
    work.timed(lambda tracker: made.extend(packed(tracker) for _ in range(rounds + 1)))()
    work.timed(lambda tracker: daf_deploy_policy(made.pop(), tracker))()
    rollback = work.config("rollback")
    return {
        "deploy in the registry": lambda tracker: daf_deploy_policy(made.pop(), tracker),
        "roll back in the registry": lambda tracker: daf_rollback_deployment(rollback, tracker),
    }


if __name__ == "__main__":
    main()
