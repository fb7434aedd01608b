"""`--help`: tasks, config groups and examples, read from the folder of the config."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from daf.config.paths import CONF_DIR

USAGE = """\
daf_run: train, evaluate and track CoGames policies.

Usage: python -m daf.run [task=TASK] [group=option ...] [group.key=value ...]
       python -m daf.run -m optimizer.lr=1e-4,3e-4          (one run for each value)
"""

EXAMPLES = """\
Examples
  python -m daf.run
  python -m daf.run task=train policy=lstm variant=objective_mine optimizer.lr=3e-4 training.num_steps=200000
  python -m daf.run task=evaluate policy=starter mission=arena mission.cogs=4 evaluation.episodes=8
  python -m daf.run task=train training.resume=outputs/2026-01-31/12-00-00-000000/checkpoints
  python -m daf.run -m optimizer.lr=1e-4,3e-4 seed=1,2,3
  python -m daf.run -m sweep=asha sweep.n_jobs=2 'optimizer.lr=tag(log,interval(1e-4,1e-2))'
  python -m daf.run -m sweep=ppo sweep.name=mine sweep.n_jobs=2 sweep.timeout_s=1800      (again: goes on)

Every key with its default       python -m daf.run --cfg job
Completion of groups and keys    eval "$(daf_run -sc install=bash)"      (or fish, zsh)
Flags of Hydra                   python -m daf.run --hydra-help
Results                          ./scripts/mlflow-ui

Exit codes: 0 done, 1 the work failed, 2 the request was wrong, 130 interrupted (143 by SIGTERM,
129 by SIGHUP).
"""


def asks_for_help(arguments: Sequence[str]) -> Path | None:
    """The folder of the config to show where the arguments hold `--help`, else None.

    Read without Hydra, whose import takes ten times as long as the help.
    """
    if not {"--help", "-h"} & set(arguments):
        return None
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-path", "-cp", type=Path, default=CONF_DIR)
    parser.add_argument("--cfg", "-c")  # or -c would be taken for the beginning of -cp
    folder: Path = parser.parse_known_args(list(arguments))[0].config_path
    return folder


def help_text(config_dir: Path) -> str:
    """The help, with every task and group that `config_dir` holds."""
    tasks = "\n".join(
        f"  {path.stem:<12} {_description(path)}" for path in sorted((config_dir / "task").glob("*.yaml"))
    )
    groups = "\n".join(f"  {name:<12} {', '.join(options)}" for name, options in _groups(config_dir))
    return "\n".join([USAGE, f"Tasks (task=...)\n{tasks}\n", f"Config groups (group=option)\n{groups}\n", EXAMPLES])


def _groups(config_dir: Path) -> Iterator[tuple[str, list[str]]]:
    for folder in sorted(config_dir.iterdir()):
        if folder.is_dir() and folder.name != "hydra":
            yield folder.name, sorted(path.stem for path in folder.glob("*.yaml"))


def _description(path: Path) -> str:
    """The first comment of a config file that is not a directive for Hydra."""
    comments = (line.removeprefix("#").strip() for line in path.read_text().splitlines() if line.startswith("#"))
    return next((comment for comment in comments if not comment.startswith("@")), "")
