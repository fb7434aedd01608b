"""What a task is, how it is found by its dotted path, and how its result is printed."""

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daf.bridge.imports import ForeignExitError, import_by_name, surviving
from daf.config.missions import mission_specs
from daf.config.paths import CONF_DIR
from daf.config.schemas import DAFConfig, DAFPolicyConfig, DAFTaskConfig
from daf.errors import DAFConfigError, DAFError, Problem
from daf.records import MissionSpec
from daf.redaction import redacted, redactor
from daf.results import TaskResult
from daf.tracking.store import ui_command

if TYPE_CHECKING:
    from daf.tracking.tracker import Tracker

WIDTH_OF_FILES = 160

#: A policy with the config key that names it, such as ``evaluation.baselines.0``.
KeyedPolicy = tuple[str, DAFPolicyConfig]


def keyed(key: str, policies: Sequence[DAFPolicyConfig]) -> list[KeyedPolicy]:
    """The policies of a list in the config, each with its own key: ``evaluation.baselines.0``, ..."""
    return [(f"{key}.{index}", policy) for index, policy in enumerate(policies)]


def configured_policies(config: DAFConfig) -> list[KeyedPolicy]:
    """`policy`, `evaluation.policies` and `evaluation.baselines`."""
    evaluation = config.evaluation
    listed = keyed("evaluation.policies", evaluation.policies)
    return [("policy", config.policy), *listed, *keyed("evaluation.baselines", evaluation.baselines)]


def played_policies(config: DAFConfig) -> list[KeyedPolicy]:
    """`evaluation.policies`, or `policy` where that is empty, and `evaluation.baselines`."""
    first, *others = configured_policies(config)
    return others if config.evaluation.policies else [first, *others]


def only_policy(config: DAFConfig) -> list[DAFPolicyConfig]:
    """`policy` alone."""
    return [config.policy]


def pool_policies(config: DAFConfig) -> list[KeyedPolicy]:
    """`vor.pool`: who replaces the policy where its value over replacement is measured."""
    return keyed("vor.pool", config.vor.pool)


def pool_problems(config: DAFConfig) -> list[Problem]:
    """A value over replacement needs somebody who replaces."""
    if config.vor.pool:
        return []
    hint = "For example: vor.pool=[starter,noop]."
    return [Problem("vor.pool", "holds no policy to replace the candidate with.", hint)]


def _no_problems(config: DAFConfig) -> list[Problem]:
    return []


def _never(config: DAFConfig) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the rest of DAF knows about a task. It stands beside the task's function, as a name of the module.

    Attributes:
        name: what `task.name` says.
        run: does the work: takes the whole config and the run's tracker.
        policies: the policies that a config makes the task use, with their keys. They are loaded before it starts.
        named_after: the policies that the run's name shows.
        missions: what it plays. They are built before it starts, as is `mission` where it trains.
        problems: what else is wrong with a config. Cheap: no simulation, no network.
        needs_account: whether it speaks to the season's server for its user, whom that must know before it starts.
        trains: whether it optimises `policy`, which then needs a network.
        decided_by: top-level keys of the config on which its objective depends; None is all of them. A sweep goes on
            with its study only while these are the same.
        scored_by_sweeps: whether a sweep trains (if the task does) and scores `policy` by itself, with pruning, several
            seeds and confirmation, instead of running the task for its objective.
    """

    name: str
    run: "Callable[[DAFConfig, Tracker], TaskResult]"
    policies: Callable[[DAFConfig], Sequence[KeyedPolicy]] = configured_policies
    named_after: Callable[[DAFConfig], Sequence[DAFPolicyConfig]] = only_policy
    missions: Callable[[DAFConfig], Sequence[MissionSpec]] = mission_specs
    problems: Callable[[DAFConfig], Sequence[Problem]] = _no_problems
    needs_account: bool = False
    trains: Callable[[DAFConfig], bool] = _never
    decided_by: frozenset[str] | None = None
    scored_by_sweeps: bool = False


def find_task(asked: DAFTaskConfig) -> Task:
    """The task behind `task.function`: a `Task`, or a function, with the `Task` beside it or else one with defaults.

    Raises:
        DAFConfigError: there is nothing of the kind, or `task.name` is another task's name.
    """
    found = _imported(asked.function)
    if not callable(found) and not isinstance(found, Task):
        raise DAFConfigError([Problem("task.function", f"{asked.function!r} is neither a function nor a Task.")])
    if why := _not_callable(found):
        what = f"{asked.function} cannot be called with a config and a tracker: {why}."
        raise DAFConfigError([Problem("task.function", what, "Write def task(config, tracker): ...")])
    task = found if isinstance(found, Task) else _beside(found) or Task(name=asked.name, run=found)
    if task.name != asked.name:
        what = f"{asked.function} is the task {task.name!r}, not {asked.name!r}."
        raise DAFConfigError([Problem("task.name", what, f"Write task.name={task.name}.")])
    if asked.name in _shipped_names() and not _is_shipped(task):
        what = f"{asked.name!r} is a task of DAF's, and {asked.function} is another."
        raise DAFConfigError([Problem("task.name", what, "Give it a name of its own, such as task.name=mine.")])
    return task


def _not_callable(found: Any) -> str | None:
    """Why a function does not take a task's arguments, as far as it shows."""
    try:
        inspect.signature(found.run if isinstance(found, Task) else found).bind(object(), object())
    except TypeError as error:
        return str(error)
    except ValueError:  # written in C, it shows nothing
        return None
    return None


def run_task(task: Task, config: DAFConfig, tracker: "Tracker") -> TaskResult:
    """Does the work. The function may be anybody's.

    Raises:
        DAFError: it wants to end the program, or gives no result of a task.
        Exception: whatever it raises.
    """
    try:
        with surviving(f"code that task {task.name} runs"):
            result = task.run(config, tracker)
    except ForeignExitError as error:
        raise DAFError(str(error)) from error
    if not isinstance(result, TaskResult):
        raise DAFError(f"task {task.name} gave {type(result).__name__}, and not daf.results.TaskResult(objective=...)")
    return result


def _imported(path: str) -> Any:
    try:
        return import_by_name(path)
    except (ImportError, AttributeError) as error:
        raise DAFConfigError([Problem("task.function", f"{path!r} cannot be imported: {error}.")]) from error


def _beside(function: Callable[..., Any]) -> Task | None:
    """The `Task` that the function's module holds for it."""
    module = sys.modules.get(getattr(function, "__module__", ""))
    names = vars(module).values() if module else ()
    return next((item for item in names if isinstance(item, Task) and item.run is function), None)


@functools.cache
def _shipped_names() -> frozenset[str]:
    return frozenset(path.stem for path in (CONF_DIR / "task").glob("*.yaml"))


def _is_shipped(task: Task) -> bool:
    return getattr(task.run, "__module__", "").partition(".")[0] == __package__


def print_result(result: TaskResult, output_dir: Path, run_id: str, uri: str | None) -> None:
    """Prints what came out, where its files are and how it is found again in the store at `uri`."""
    from rich.console import Console

    # In a file or a pipe there is no edge to wrap at. Brackets and colons in names are no markup and no emoji.
    width, redact = None if sys.stdout.isatty() else WIDTH_OF_FILES, redactor()
    console = Console(file=redacted(sys.stdout), width=width, markup=False, emoji=False, highlight=False)
    for table in result.tables:
        # Before long cells are cut into lines.
        rows = tuple(tuple(map(redact.text, row)) for row in table.rows)
        console.print(replace(table, rows=rows).to_rich())
    for note in result.notes:
        console.print(note, soft_wrap=True)
    console.print(f"Files: {output_dir}", soft_wrap=True)
    console.print(f"MLflow run: {run_id} ({ui_command(uri)})", soft_wrap=True)
