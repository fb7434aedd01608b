"""`cogames-daf`: CoGames' command line with DAF's commands in it."""

import sys
from collections.abc import Sequence
from functools import partial

from daf.bridge.cogames_commands import run_cogames
from daf.cli.conf_comments import about, first_sentence
from daf.cli.doors import FRONTS, OTHER_COMMANDS, Door
from daf.config.paths import CONF_DIR
from daf.run import main as daf_main


def main() -> None:
    """`cogames-daf daf-train ...` is `daf-train ...`; every other command is CoGames' own."""
    name, *rest = sys.argv[1:] or [""]
    if name in FRONTS:  # before CoGames is imported, which takes seconds
        daf_main(FRONTS[name], rest)
    commands = {program: (_about(door), partial(_through, door)) for program, door in FRONTS.items()}
    run_cogames("cogames-daf", "DAF", commands)


def _through(door: Door, arguments: Sequence[str]) -> None:
    daf_main(door, arguments)


def _about(door: Door) -> str:
    return first_sentence(about(CONF_DIR / "task" / f"{door.task}.yaml")) if door.task else OTHER_COMMANDS["sweep"]


if __name__ == "__main__":
    main()
