"""`--help` and `--version`: tasks, groups, keys and examples, read from the folder of the config without Hydra.

Hydra's import alone takes longer than the whole help.
"""

import argparse
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from daf.cli.conf_comments import about, choices, first_sentence, keys
from daf.cli.doors import DAF, OTHER_COMMANDS, Door, tasks_in
from daf.cli.task_sections import READS
from daf.cli.version import version_text
from daf.config.paths import CONF_DIR

EXIT_CODES = """\
Exit codes: 0 done, 1 the work failed, 2 the request was wrong, 130 interrupted (143 by SIGTERM, 129 by SIGHUP).
"""

USAGE = """\
daf_run: train, evaluate and track CoGames policies.

Usage: python -m daf.run [task=TASK] [group=option ...] [group.key=value ...]
       python -m daf.run -m optimizer.lr=1e-4,3e-4          (one run for each value)
"""

EXAMPLES = """\
Examples
  python -m daf.run
  python -m daf.run task=train policy=lstm variant=objective_mine training.num_steps=200000
  python -m daf.run task=evaluate policy=starter mission=arena evaluation.episodes=8
  python -m daf.run task=train training.resume=outputs/2026-01-31/12-00-00-000000/checkpoints
  python -m daf.run -m optimizer.lr=1e-4,3e-4 seed=1,2,3
  python -m daf.run -m sweep=asha sweep.n_jobs=2 'optimizer.lr=tag(log,interval(1e-4,1e-2))'
  python -m daf.run -m sweep=ppo sweep.name=mine sweep.timeout_s=1800        (again: goes on)

Every key with its default       python -m daf.run --cfg job
The keys of a task               daf TASK --help
Completion of groups and keys    eval "$(daf completion bash)"      (or zsh)
Flags of Hydra                   python -m daf.run --hydra-help
Results                          ./scripts/mlflow-ui
"""

OVERVIEW = """\
daf: train, evaluate, compare, sweep and deploy CoGames policies.

Usage: daf COMMAND [group=option ...] [group.key=value ...] [flags]
       daf COMMAND --help
"""

OVERVIEW_EXAMPLES = """\
Examples
  daf train policy=lstm mission=miner_tutorial training.num_steps=200000
  daf compare comparison.policies=[starter,random] mission=arena
  daf sweep task=train optimizer.lr=1e-4,3e-4

daf-check, daf-train, daf-sweep, daf-compare, daf-deploy, daf-validate and daf-pipeline are the same as daf check, ...
"""

FLAGS = """\
Flags
  -m, --multirun   one run for each of several values: key=1,2
  --json           print the result as JSON on stdout, all else on stderr
  --cfg job        print the config instead of doing anything
  --config-dir DIR options of your own, in folders as in conf/
  --hydra-help     all flags
  --version        versions of DAF, CoGames and Hydra
"""


def quick_answer(door: Door, arguments: Sequence[str]) -> str | None:
    """What `--version` and `--help` say; None where neither is asked for."""
    if "--version" in arguments:
        return version_text()
    folder = asks_for_help(arguments)
    if folder is None:
        return None
    if door.task:
        return task_help(door.program, door.task, folder)
    if door.sweeps:
        return sweep_help(door.program, folder)
    return overview(folder) if door == DAF else help_text(folder)


def asks_for_help(arguments: Sequence[str]) -> Path | None:
    """The folder of the config to show where the arguments hold `--help`, else None."""
    return config_folders(arguments)[0] if {"--help", "-h"} & set(arguments) else None


def config_folders(arguments: Sequence[str]) -> list[Path]:
    """The folder of the config, and one more where the arguments name it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config-path", "-cp", type=Path, default=CONF_DIR)
    parser.add_argument("--config-dir", "-cd", type=Path)
    parser.add_argument("--cfg", "-c")  # or -c would be taken for the beginning of -cp
    try:
        found = parser.parse_known_args(list(arguments))[0]
    except argparse.ArgumentError:  # --config-path without a folder: told where the command line is read
        return [CONF_DIR]
    return [folder for folder in (found.config_path, found.config_dir) if folder]


def help_text(config_dir: Path) -> str:
    """The help of the entrypoint, with every task and group that `config_dir` holds."""
    tasks = _table({name: first_sentence(about(path)) for name, path in tasks_in(config_dir).items()})
    groups = _table({name: ", ".join(options) for name, options in _groups(config_dir)})
    parts = [USAGE, f"Tasks (task=...)\n{tasks}", f"Config groups (group=option)\n{groups}", EXAMPLES]
    return "\n".join([*parts, _wrapped(EXIT_CODES)]).rstrip()


def overview(config_dir: Path) -> str:
    """The help of `daf`: its commands, one line each where the terminal is wide enough."""
    tasks = {name: first_sentence(about(path)) for name, path in tasks_in(config_dir).items()}
    parts = [OVERVIEW, f"Tasks\n{_table(tasks)}", f"More\n{_table(OTHER_COMMANDS)}", FLAGS]
    return "\n".join([*parts, _wrapped(OVERVIEW_EXAMPLES), _wrapped(EXIT_CODES)]).rstrip()


def task_help(program: str, task: str, config_dir: Path) -> str:
    """The help of one task: what it does, and the keys of the groups that it uses."""
    file = config_dir / "task" / f"{task}.yaml"
    own = {key.name: key.value for key in keys(file)}
    chosen = {**choices(config_dir / "config.yaml"), **choices(file)}
    named = {task: "", **choices(file), **{name.partition(".")[0]: "" for name in own}}
    sections = READS.get(task) or tuple(section for section in named if section != "task")
    parts = [
        _wrapped(f"{program}: {about(file) or f'the same as daf_run task={task}'}\n"),
        _wrapped(f"Usage: {program} [group=option ...] [group.key=value ...] [flags]\n"),
        *(_section(config_dir, section, chosen, own) for section in sections if (config_dir / section).is_dir()),
        _top_level(config_dir),
        _other_groups(config_dir, sections),
        FLAGS,
        _wrapped(EXIT_CODES),
    ]
    return "\n".join(part for part in parts if part).rstrip()


def sweep_help(program: str, config_dir: Path) -> str:
    """The help of sweeps: the keys that say how values are searched and judged."""
    chosen = choices(config_dir / "config.yaml")
    parts = [
        f"{program}: one run for each value, or a search for the best ones (daf_run -m).\n",
        _wrapped(f"Usage: {program} [task=TASK] key=1,2 ... [sweep=OPTION] [group.key=value ...] [flags]\n"),
        *(_section(config_dir, section, chosen, {}) for section in ("sweep", "objective")),
        _other_groups(config_dir, ("sweep", "objective")),
        FLAGS,
        _wrapped(EXIT_CODES),
    ]
    return "\n".join(part for part in parts if part).rstrip()


def _section(config_dir: Path, section: str, chosen: dict[str, str], own: dict[str, str]) -> str:
    option = chosen.get(section, "default")
    file = config_dir / section / f"{option}.yaml"
    lines = [f"{section}={option}", textwrap.indent(_wrapped(about(file), 2), "  ")]
    others = sorted(path.stem for path in (config_dir / section).glob("*.yaml") if path.stem != option)
    if others:
        lines.append(textwrap.indent(_wrapped(f"Or: {', '.join(others)}.", 2), "  "))
    lines += [_key(f"{section}.{key.name}", key.value, key.about, own) for key in keys(file)]
    return "\n".join(lines) + "\n"


def _top_level(config_dir: Path) -> str:
    everywhere = [key for key in keys(config_dir / "config.yaml") if "." not in key.name]
    return "\n".join(["For every task", *(_key(key.name, key.value, key.about, {}) for key in everywhere)]) + "\n"


def _key(name: str, value: str, says: str, own: dict[str, str]) -> str:
    lines = f"  {name}={own.get(name, value)}"
    return f"{lines}\n{textwrap.indent(_wrapped(says, 6), '      ')}" if says else lines


def _other_groups(config_dir: Path, shown: Sequence[str]) -> str:
    names = [name for name, _ in _groups(config_dir) if name not in (*shown, "task")]
    return _wrapped(f"Other groups (daf_run --cfg job prints all keys): {', '.join(names)}.\n")


def _groups(config_dir: Path) -> Iterator[tuple[str, list[str]]]:
    for folder in sorted(config_dir.iterdir()) if config_dir.is_dir() else ():
        if folder.is_dir() and folder.name != "hydra":
            yield folder.name, sorted(path.stem for path in folder.glob("*.yaml"))


def _table(rows: dict[str, str]) -> str:
    column = max((len(name) for name in rows), default=0) + 4
    lines = [
        textwrap.fill(
            says,
            _width(),
            initial_indent=f"  {name}".ljust(column),
            subsequent_indent=" " * column,
            break_on_hyphens=False,
            break_long_words=False,
        )
        for name, says in rows.items()
    ]
    return "\n".join(lines) + "\n"


def _wrapped(text: str, indent: int = 0) -> str:
    """The text in lines of the terminal's width, less an indent; its line breaks stay."""
    width = _width() - indent
    return "\n".join(
        textwrap.fill(line, width, break_on_hyphens=False, break_long_words=False) if len(line) > width else line
        for line in text.split("\n")
    )


def _width() -> int:
    return min(max(shutil.get_terminal_size().columns, 40), 120)
