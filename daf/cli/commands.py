"""`daf` with its subcommands, and the commands `daf-*`: fronts of the one entrypoint."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import NoReturn

from daf.cli.completion import script
from daf.cli.doors import DAF, FRONTS, OTHER_COMMANDS, shown, subcommand, tasks_in
from daf.cli.exit_codes import exit_code
from daf.cli.help import config_folders
from daf.config.suggestions import nearest
from daf.errors import DAFConfigError, Problem
from daf.run import main

_SHELLS = ("bash", "zsh")
#: Where the commands are that do no task. What they need is loaded when they are asked for.
_MODULES = {
    "watch": ("daf.cli.watch", "main"),
    "sweep-stop": ("daf.cli.steer", "stop"),
    "sweep-enqueue": ("daf.cli.steer", "enqueue"),
    "cache": ("daf.cli.cache", "main"),
    "account": ("daf.cli.account", "main"),
}
#: Those that have a command of their own as well, and say the name by which they were called.
_ALSO_ON_THEIR_OWN = ("cache", "account")


def daf(arguments: Sequence[str] | None = None) -> None:
    """`daf COMMAND ...`. Without a command it is as `daf_run`, and without anything it shows its help."""
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    name, *rest = given
    if name.startswith("-") or "=" in name:
        main(DAF, given)
    elif name in _MODULES:
        module, function = _MODULES[name]
        named = {"program": f"daf {name}"} if name in _ALSO_ON_THEIR_OWN else {}
        getattr(import_module(module), function)(rest, **named)
    elif name == "completion":
        sys.exit(exit_code(partial(_print_completion, rest), "daf completion"))
    else:
        _do_task(name, rest)


def _do_task(name: str, rest: list[str]) -> None:
    tasks = {task: path for folder in config_folders(rest) for task, path in tasks_in(folder).items()}
    door = subcommand(name, tasks)
    if door is None:
        hint = nearest(name, [*tasks, *OTHER_COMMANDS])
        sys.exit(
            exit_code(partial(_refuse, Problem(shown(name), "is no command.", f"{hint} daf --help lists them.")), "daf")
        )
    main(door, rest)


def _refuse(problem: Problem) -> NoReturn:
    raise DAFConfigError([problem])


def _print_completion(words: Sequence[str]) -> None:
    if {"--help", "-h"} & set(words):
        print(f"Usage: daf completion {'|'.join(_SHELLS)}\n\n{OTHER_COMMANDS['completion']}")
        return
    if len(words) != 1 or words[0] not in _SHELLS:
        _refuse(Problem("daf completion", "takes the name of a shell.", f"Write one of: {', '.join(_SHELLS)}."))
    print(script(words[0]), end="")


def front(program: str) -> Callable[[], None]:
    """A command of its own."""
    return partial(main, FRONTS[program])


# What pyproject.toml names.
check = front("daf-check")
train = front("daf-train")
sweep = front("daf-sweep")
compare = front("daf-compare")
deploy = front("daf-deploy")
validate = front("daf-validate")
pipeline = front("daf-pipeline")

if __name__ == "__main__":
    daf()
