"""How a task is found by its dotted path, and how the work of one is done."""

import functools
import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from daf.bridge.imports import ForeignExitError, import_by_name, surviving
from daf.config.paths import CONF_DIR
from daf.config.schemas import DAFConfig, DAFTaskConfig
from daf.errors import DAFConfigError, DAFError, Problem
from daf.results import TaskResult
from daf.tasks.task import Task

if TYPE_CHECKING:
    from daf.tracking.tracker import Tracker


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
    if asked.name in shipped_tasks() and not _is_shipped(task):
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
def shipped_tasks() -> frozenset[str]:
    """Names of DAF's own tasks."""
    return frozenset(path.stem for path in (CONF_DIR / "task").glob("*.yaml"))


def _is_shipped(task: Task) -> bool:
    return getattr(task.run, "__module__", "").partition(".")[0] == "daf"
