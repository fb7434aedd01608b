"""`task=check`: whether an experiment can run here, without beginning it."""

import time
from dataclasses import dataclass
from itertools import groupby

from daf.config.compose import daf_load_config
from daf.config.schemas import DAFConfig
from daf.config.schemas.values import Schema
from daf.config.suggestions import nearest
from daf.environment_checks.environment import daf_check_environment
from daf.environment_checks.result import CheckRow, EnvironmentCheckResult
from daf.errors import DAFConfigError, Problem
from daf.execution.progress import counted
from daf.results import ResultTable, TaskResult
from daf.tasks import Task, shipped_tasks
from daf.tracking.tracker import Tracker


@dataclass(frozen=True, kw_only=True)
class CheckResult(TaskResult):
    """What `task=check` found.

    Attributes:
        environment: errors, warnings and rows.
    """

    environment: EnvironmentCheckResult


def daf_check(config: DAFConfig, tracker: Tracker | None = None) -> CheckResult:
    """Checks whether the config could be run with `check.task`; nothing is made, in no store and no folder.

    Args:
        tracker: not used, since a check must do without the store that it looks at.

    Raises:
        DAFConfigError: there is no task `check.task`.
    """
    began = time.process_time()
    asked = _as_its_task(config, _task_name(config))
    found = daf_check_environment(asked, missions=config.check.missions, machine=True)
    counts = f"{counted(len(found.errors), 'error')}, {counted(len(found.warnings), 'warning')}"
    seconds = time.process_time() - began
    return CheckResult(
        objective=None,
        tables=(_table(found.rows, config.check.task),),
        notes=(f"{counts}. {_verdict(found, config)}",),
        refused=None if found.passed else f"task={config.check.task} cannot run here: {counts}",
        metrics={"checks": len(_by_check(found)), "errors": len(found.errors), "warnings": len(found.warnings)}
        | {"processor_seconds": seconds},
        facts=_facts(found),
        environment=found,
    )


def _task_name(config: DAFConfig) -> str:
    name = config.check.task
    known = sorted(shipped_tasks())
    if name in known:
        return name
    raise DAFConfigError([Problem("check.task", f"{name!r} is no task of DAF's.", nearest(name, known))])


def _as_its_task(config: DAFConfig, name: str) -> DAFConfig:
    """The config as it would be with another task: with what that one's file sets, wherever the user set nothing."""
    plain, preset = (daf_load_config(overrides=[f"task={task}"]) for task in (CHECK.name, name))
    merged = _merged(config, plain, preset)
    assert isinstance(merged, DAFConfig), "a merged config is one"
    return merged


def _merged(asked: object, plain: object, preset: object) -> object:
    """What was asked for where it is not the default, else what the task's file sets."""
    if not (isinstance(asked, Schema) and type(asked) is type(plain) is type(preset)):
        return preset if asked == plain else asked
    fields = {name: [getattr(each, name) for each in (asked, plain, preset)] for name in type(asked).model_fields}
    return asked.model_copy(update={name: _merged(*values) for name, values in fields.items()})


def _table(rows: tuple[CheckRow, ...], task: str) -> ResultTable:
    cells = tuple((row.check, row.state, row.found, row.remedy) for row in rows)
    return ResultTable(f"Checks for task={task}", ("check", "state", "found", "remedy"), cells)


def _verdict(found: EnvironmentCheckResult, config: DAFConfig) -> str:
    if not found.passed:
        return f"task={config.check.task} cannot run here."
    without = "" if config.check.missions else " Missions and policies were not tried (check.missions=true does)."
    return f"task={config.check.task} can run here.{without}"


def _facts(found: EnvironmentCheckResult) -> dict[str, str]:
    """The table for programs: ``<check>.state``, ``.found`` and ``.remedy``, where several findings are lines."""
    facts: dict[str, str] = {}
    for check, rows in _by_check(found).items():
        facts[f"{check}.state"] = rows[0].state
        facts[f"{check}.found"] = "\n".join(row.found for row in rows)
        facts[f"{check}.remedy"] = "\n".join(dict.fromkeys(row.remedy for row in rows if row.remedy))
    return facts


def _by_check(found: EnvironmentCheckResult) -> dict[str, list[CheckRow]]:
    return {check: list(rows) for check, rows in groupby(found.rows, key=lambda row: row.check)}


def _nothing(config: DAFConfig) -> tuple[()]:
    """Neither policies nor missions: those of `check.task` are looked at while it runs, and end nothing."""
    return ()


CHECK = Task(
    name="check",
    run=daf_check,
    policies=_nothing,
    named_after=_nothing,
    missions=_nothing,
    tracked=False,
    only_answers=True,
)
