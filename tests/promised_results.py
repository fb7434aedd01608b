"""What every task promises to programs."""

import shlex

import pytest

from daf.config import DAFConfig, daf_load_config
from daf.errors import DAFConfigError
from daf.redaction import HIDDEN
from daf.results import TaskResult
from daf.tasks import find_task


def keeps_promises(name: str, result: TaskResult) -> DAFConfig | None:
    """Holds a result against the task of that name: the files are there, and what comes next is a whole command.

    Returns:
        The config that the command composes, if there is one.
    """
    task = find_task(daf_load_config(overrides=[f"task={name}"]).task)
    assert task.gives <= result.files.keys()
    assert all(path.exists() for path in result.files.values())
    assert all(isinstance(value, int | float) for value in result.metrics.values())
    assert all(isinstance(fact, str) and fact for fact in result.facts.values())
    if result.next is None:
        return None
    command = shlex.split(result.next)
    assert command[:3] == ["python", "-m", "daf.run"]
    if HIDDEN in result.next:  # whoever goes on has to give the secret again
        with pytest.raises(DAFConfigError, match="Give it again"):
            daf_load_config(overrides=command[3:])
        return None
    return daf_load_config(overrides=command[3:])
