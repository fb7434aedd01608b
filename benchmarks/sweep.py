"""A sweep of short trainings: two warm workers, one, the official Optuna plugin, and a shell loop of single runs.

With ``--pruning`` instead: successive halving against no pruning on the same trials, agent steps and confirmed best.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import load_average, median_ratio, report
from daf.config import DAFConfig, daf_load_config
from daf.results import TaskResult
from daf.sweeps.study import StudyTrial, StudyView, load_stored
from daf.tracking.tracker import Tracker

SHORT = (
    "task=train",
    "device=cpu",
    "variant=credit",
    "mission.cogs=4",
    "mission.max_steps=100",
    "training.num_envs=8",
    "training.minibatch_size=2048",
    "evaluation.episodes=4",
    "evaluation.workers=1",
    "evaluation.cache=off",
)
WHOLE_TRIAL = "task.function=benchmarks.sweep.train_and_evaluate"
INTERVAL = "optimizer.lr=tag(log,interval(1e-4,1e-2))"


def main() -> None:
    """Prints both sides and their ratios."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark sweep", description=__doc__)
    parser.add_argument("--trials", type=int, help="16, or 32 with --pruning")
    parser.add_argument("--steps", type=int, help="agent steps of one training: 32,768, or 65,536 with --pruning")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--pruning", action="store_true", help="measure ASHA against no pruning")
    arguments = parser.parse_args()
    trials, steps = (32, 65_536) if arguments.pruning else (16, 32_768)
    arguments.trials, arguments.steps = arguments.trials or trials, arguments.steps or steps
    with tempfile.TemporaryDirectory() as folder:
        (_pruning if arguments.pruning else _throughput)(Path(folder), arguments)


def _throughput(folder: Path, arguments: argparse.Namespace) -> None:
    sides: dict[str, Callable[[Path], None]] = {
        "daf, 2 workers": lambda own: _sweep(own, arguments, 2),
        "daf, 1 worker": lambda own: _sweep(own, arguments, 1),
        "hydra-optuna-sweeper": lambda own: _official(own, arguments),
        "shell loop": lambda own: _loop(own, arguments),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    overheads: list[float] = []
    trial_seconds: dict[str, list[float]] = {}
    for number in range(arguments.rounds):
        order = list(sides) if number % 2 == 0 else list(reversed(sides))
        for name in order:
            own = folder / f"{number}-{''.join(c for c in name if c.isalnum())}"
            own.mkdir()
            started = time.perf_counter()
            sides[name](own)
            seconds[name].append(time.perf_counter() - started)
            print(f"round {number + 1}: {name} {seconds[name][-1]:.1f} s (load {load_average()})", flush=True)
            if name == "daf, 1 worker":
                overheads.append(_overhead(own))
            if name.startswith("daf"):
                trial_seconds.setdefault(name, []).append(_trial_seconds(own))
    fast = seconds["daf, 2 workers"]
    rows: list[tuple[str, ...]] = [
        (name, f"{sorted(own)[len(own) // 2]:.1f}", f"{median_ratio(own, fast):.2f}") for name, own in seconds.items()
    ]
    rows.append(("overhead per trial (1 worker)", f"{max(overheads):.2f}", ""))
    # Two processes slow each other down on most machines, whatever they do.
    rows += [(f"a trial's own seconds ({name})", f"{fmean(own):.2f}", "") for name, own in trial_seconds.items()]
    columns = ("", "seconds", "times as long as 2 workers")
    details = {"seconds": seconds, "overhead_s": overheads, "trials": arguments.trials, "steps": arguments.steps}
    report("sweep", rows, columns, details)


def _own(folder: Path, arguments: argparse.Namespace) -> list[str]:
    steps = f"training.num_steps={arguments.steps}"
    return [*SHORT, steps, f"tracking.uri=sqlite:///{folder / 'mlflow.db'}", f"output_dir={folder / 'out'}"]


def _run(*arguments: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "daf.run", *arguments], capture_output=True, text=True, env=environment
    )
    if done.returncode:
        raise SystemExit(done.stderr)


def _sweep(folder: Path, arguments: argparse.Namespace, workers: int, *more: str) -> None:
    settings = (f"sweep.n_trials={arguments.trials}", f"sweep.n_jobs={workers}", "sweep.name=benchmark")
    _run("-m", *_own(folder, arguments), *settings, "sweep.sampler=random", "sweep.confirm=off", INTERVAL, *more)


def _official(folder: Path, arguments: argparse.Namespace) -> None:
    settings = (f"hydra.sweeper.n_trials={arguments.trials}", "hydra.sweeper.n_jobs=1")
    _run("-m", "hydra/sweeper=optuna", *settings, *_own(folder, arguments), WHOLE_TRIAL, INTERVAL)


def _loop(folder: Path, arguments: argparse.Namespace) -> None:
    for number in range(arguments.trials):
        rate = f"optimizer.lr={1e-4 * 100 ** (number / arguments.trials)}"
        output = f"output_dir={folder / f'out{number}'}"
        _run(*_own(folder, arguments), WHOLE_TRIAL, rate, output)


def train_and_evaluate(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """What a trial of ours does, as a task for those who only run tasks."""
    from daf.evaluation.task import daf_evaluate
    from daf.training.task import daf_train

    trained = daf_train(config, tracker)
    policy = config.policy.model_copy(update={"weights": str(trained.checkpoint_dir)})
    return daf_evaluate(config.model_copy(update={"policy": policy}), tracker)


def _stored(folder: Path) -> StudyView:
    overrides = [f"tracking.uri=sqlite:///{folder / 'mlflow.db'}", "sweep.name=benchmark"]
    return load_stored(daf_load_config(overrides=overrides))


def _trial_seconds(folder: Path) -> float:
    """Mean seconds of a trial on its worker, after the first of each."""
    return fmean(float(trial.facts.seconds or 0.0) for trial in _stored(folder).trials()[2:])


def _overhead(folder: Path) -> float:
    """Seconds between a trial's begin and the next one's that it neither trained nor played, after the first."""
    trials = sorted(_stored(folder).trials(), key=_started)
    gaps = []
    for trial, following in itertools.pairwise(trials[1:]):
        whole = (_started(following) - _started(trial)).total_seconds()
        output = Path(str(trial.facts.output_dir))
        records = [json.loads(line) for line in (output / "evaluation/episodes.jsonl").read_text().splitlines()]
        metrics = [json.loads(line)["metrics"] for line in (output / "metrics.jsonl").read_text().splitlines()]
        training = next(own["train/seconds"] for own in metrics if "train/seconds" in own)
        gaps.append(whole - training - sum(record["wall_time_s"] for record in records))
    return sorted(gaps)[len(gaps) // 2]


def _started(trial: StudyTrial) -> datetime:
    assert trial.started is not None, "a benchmark's trials have all run"
    return trial.started


def _pruning(folder: Path, arguments: argparse.Namespace) -> None:
    """The same trials and seeds with and without ASHA; the best of each is trained anew on fresh seeds."""
    rows: list[tuple[str, ...]] = []
    details: dict[str, Any] = {}
    for name, settings in (("no pruning", ("sweep=random",)), ("asha", ("sweep=asha",))):
        own = folder / name.replace(" ", "-")
        own.mkdir()
        common = (
            "sweep.n_jobs=2",
            "sweep.name=benchmark",
            f"sweep.n_trials={arguments.trials}",
            "sweep.confirm=retrain",
        )
        space = (INTERVAL, "training.ent_coef=tag(log,interval(1e-4,1e-1))")
        started = time.perf_counter()
        _run("-m", *settings, *common, "sweep.confirm_top_k=1", *_own(own, arguments), *space)
        seconds = time.perf_counter() - started
        study = _stored(own)
        agent_steps = sum(trial.facts.agent_steps for trial in study.trials())
        found = json.loads((own / "out" / "confirmation.json").read_text())
        details[name] = {"agent_steps": agent_steps, "seconds": seconds, "confirmation": found}
        low, high = found["interval"]
        best = f"{found['mean']:.4f} ({low:.4f} to {high:.4f})"
        rows.append((name, f"{agent_steps:,}", f"{seconds:.0f}", best))
        print(f"{name}: {agent_steps:,} agent steps, {seconds:.0f} s, best {best} (load {load_average()})", flush=True)
    report("sweep_pruning", rows, ("", "agent steps", "seconds", "confirmed best"), details)


if __name__ == "__main__":
    main()
