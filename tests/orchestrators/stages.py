"""Tasks that take no time, for the tests of pipelines."""

import os
import signal
import time
from pathlib import Path

from daf.config import DAFConfig
from daf.errors import DAFError
from daf.records import MissionSpec
from daf.results import ResultTable, TaskResult
from daf.tasks import KeyedPolicy, Task
from daf.tracking.tracker import Tracker


def nobody(config: DAFConfig) -> list[KeyedPolicy]:
    return []


def nowhere(config: DAFConfig) -> list[MissionSpec]:
    return []


def note(tracker: Tracker) -> int:
    """Counts the calls of a stage; the file lies beside the pipeline's folder."""
    path = tracker.output_dir.parent.parent / f"calls.{tracker.output_dir.name}"
    calls = len(path.read_text()) + 1 if path.exists() else 1
    path.write_text("x" * calls)
    return calls


def give(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Gives its seed as a number, a word and a file; what it was given stands in its facts."""
    note(tracker)
    path = tracker.output_dir / "seed.txt"
    path.write_text(str(config.seed))
    return TaskResult(
        objective=float(config.seed),
        tables=(ResultTable("Seed", ("", "value"), (("seed", str(config.seed)),)),),
        metrics={"half": config.seed / 2, "whole": config.seed},
        facts={"run": str(config.run), "device": config.device, "level": str(config.level)},
        files={"seed_file": path},
    )


def fail(config: DAFConfig, tracker: Tracker) -> TaskResult:
    note(tracker)
    raise DAFError("nothing went well")


def refuse(config: DAFConfig, tracker: Tracker) -> TaskResult:
    note(tracker)
    return TaskResult(objective=0.0, refused="it is worse than the champion")


def incomplete(config: DAFConfig, tracker: Tracker) -> TaskResult:
    note(tracker)
    return TaskResult(objective=0.0, failed=2)


def store_away(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Works the third time."""
    if note(tracker) < 3:
        try:
            raise ConnectionRefusedError("nobody answers")
        except ConnectionRefusedError as error:
            raise DAFError("MLflow takes no run") from error
    return TaskResult(objective=1.0)


def die_once(config: DAFConfig, tracker: Tracker) -> TaskResult:
    if note(tracker) < 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return TaskResult(objective=1.0)


def interrupt_once(config: DAFConfig, tracker: Tracker) -> TaskResult:
    if note(tracker) < 2:
        raise KeyboardInterrupt
    return TaskResult(objective=1.0)


def meet(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Waits until another stage is at work at the same time."""
    folder = tracker.output_dir.parent.parent / "met"
    folder.mkdir(exist_ok=True)
    (folder / tracker.output_dir.name).touch()
    end = time.monotonic() + 60
    while len(list(folder.iterdir())) < 2:
        if time.monotonic() > end:
            raise DAFError("nobody came")
        time.sleep(0.02)
    return TaskResult(objective=None)


def sleep(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Sleeps for a minute, and notes that it was asked to end."""
    (tracker.output_dir / "begun").touch()
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        (tracker.output_dir / "saved").touch()
        raise
    return TaskResult(objective=None)


GIVE = Task(name="give", run=give, policies=nobody, missions=nowhere, gives=frozenset({"seed_file"}))
PACKED = Task(name="packed", run=give, policies=lambda config: [("policy", config.policy)], missions=nowhere)
FAIL, REFUSE, INCOMPLETE, STORE_AWAY, DIE_ONCE, INTERRUPT_ONCE, MEET, SLEEP = (
    Task(name=run.__name__, run=run, policies=nobody, missions=nowhere)
    for run in (fail, refuse, incomplete, store_away, die_once, interrupt_once, meet, sleep)
)


def stage(name: str, *overrides: str, **settings: object) -> dict[str, object]:
    """A stage with one of these tasks, as a config has it."""
    task = [f"task.name={name}", f"task.function={__name__}.{name.upper()}"]
    return {"task": "train", "overrides": [*task, *overrides], **settings}


def calls(folder: Path, name: str) -> int:
    """How often a stage was called."""
    path = folder / f"calls.{name}"
    return len(path.read_text()) if path.exists() else 0
