"""The commands by which one enters DAF: each is the one entrypoint, with something said in advance."""

from dataclasses import dataclass
from pathlib import Path

from daf.config.paths import CONF_DIR
from daf.errors import Problem

#: What `--json` says: Hydra's parser knows no flags but its own.
AS_JSON = "result_format=json"
_LONGEST = 100
_KEYS_OF_TASK = ("task", "task.name", "task.function")


@dataclass(frozen=True)
class Door:
    """One way in.

    Attributes:
        program: what is typed, and what messages begin with.
        task: the task that it stands for; None where `task=` says it.
        sweeps: whether `-m` is meant.
    """

    program: str
    task: str | None = None
    sweeps: bool = False


DAF_RUN = Door("daf_run")
DAF = Door("daf")
#: Commands of their own.
FRONTS = {
    door.program: door
    for door in (
        Door("daf-check", task="check"),
        Door("daf-train", task="train"),
        Door("daf-sweep", sweeps=True),
        Door("daf-compare", task="compare"),
        Door("daf-deploy", task="deploy"),
        Door("daf-validate", task="validate"),
        Door("daf-pipeline", task="pipeline"),
    )
}
#: What `daf` does besides tasks.
OTHER_COMMANDS = {
    "sweep": "One run of a task for each value, or a search for the best ones.",
    "watch": "Show what runs against a store, live, in a browser or a terminal.",
    "sweep-stop": "Stop a sweep after its running trials, or one of its trials.",
    "sweep-enqueue": "Give a running sweep a point to try next.",
    "cache": "Show or clear the records of played episodes.",
    "account": "Log in at the season's server, or see who is.",
    "completion": 'Print what makes a shell complete: eval "$(daf completion bash)", or zsh.',
}


def tasks_in(config_dir: Path = CONF_DIR) -> dict[str, Path]:
    """The tasks of a config folder: name to file."""
    return {path.stem: path for path in sorted((config_dir / "task").glob("*.yaml"))}


def subcommand(name: str, tasks: dict[str, Path]) -> Door | None:
    """The door that `daf NAME` opens, if it leads to the entrypoint."""
    if name == "sweep":
        return Door("daf sweep", sweeps=True)
    return Door(f"daf {name}", task=name) if name in tasks and name not in OTHER_COMMANDS else None


def second_tasks(door: Door, overrides: list[str]) -> list[Problem]:
    """What among the overrides would make another task of a door's."""
    if door.task is None:
        return []
    found = []
    for text in overrides:
        key, equals, value = text.partition("=")
        if key.lstrip("+~").partition("@")[0] in _KEYS_OF_TASK:
            found.append(_another_task(door, text, value if key.lstrip("+~") == "task" else None))
        elif not equals and text in tasks_in():
            found.append(_another_task(door, text, text))
    return found


def shown(word: str) -> str:
    """A word that may be anything, for a message."""
    return word if word.isprintable() and 0 < len(word) <= _LONGEST else ascii(word[:_LONGEST])


def _another_task(door: Door, text: str, name: str | None) -> Problem:
    text, what = shown(text), f"{door.program} is task={door.task} already."
    if name == door.task:
        return Problem(text, what, "Leave it out.")
    own = next((front.program for front in FRONTS.values() if front.task and front.task == name), None)
    known = own or (f"daf {name}" if name in tasks_in() else f"daf_run {text if '=' in text else 'task=...'}")
    return Problem(text, what, f"For another task write: {known} ...")
