"""What a task is, how it is found, run as a tracked run, and shown."""

from daf.tasks.find import find_task, run_task, shipped_tasks
from daf.tasks.outcome import answer, noted_as_it_ends, notifying
from daf.tasks.show import print_result
from daf.tasks.task import (
    KeyedPolicy,
    Task,
    configured_policies,
    keyed,
    only_policy,
    played_policies,
    pool_policies,
    pool_problems,
)
from daf.tasks.tracked import claimed_folder, run_name, run_tracked, tracked

__all__ = [
    "KeyedPolicy",
    "Task",
    "answer",
    "claimed_folder",
    "configured_policies",
    "find_task",
    "keyed",
    "noted_as_it_ends",
    "notifying",
    "only_policy",
    "played_policies",
    "pool_policies",
    "pool_problems",
    "print_result",
    "run_name",
    "run_task",
    "run_tracked",
    "shipped_tasks",
    "tracked",
]
