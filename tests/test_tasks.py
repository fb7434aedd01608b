"""What a task says of itself, and how it is found."""

from collections.abc import Callable
from pathlib import Path

import pytest

from daf.config import DAFConfig, daf_load_config
from daf.config.sections import SECTIONS
from daf.environment_checks import daf_check_environment
from daf.errors import DAFConfigError, Problem
from daf.results import TaskResult
from daf.tasks import Task, find_task, keyed, run_name
from daf.tracking.tracker import Tracker

Load = Callable[..., DAFConfig]
SHIPPED = sorted(path.stem for path in (Path(__file__).parents[1] / "conf" / "task").glob("*.yaml"))


def plain(config: DAFConfig, tracker: Tracker) -> TaskResult:
    return TaskResult(objective=1.0)


def declared(config: DAFConfig, tracker: Tracker) -> TaskResult:
    return TaskResult(objective=2.0)


DECLARED = Task(
    name="declared",
    run=declared,
    policies=lambda config: keyed("comparison.policies", config.comparison.policies),
    problems=lambda config: [Problem("seed", "is odd.")] if config.seed % 2 else [],
    trains=lambda config: True,
)
TAKEN = Task(name="train", run=lambda config, tracker: TaskResult(objective=None))
NOTHING = 3


def with_task(name: str, function: str, *overrides: str) -> DAFConfig:
    task = ("task=train", f"task.name={name}", f"task.function={__name__}.{function}")
    return daf_load_config(overrides=[*task, *overrides])


def problems(config: DAFConfig) -> list[str]:
    with pytest.raises(DAFConfigError) as caught:
        find_task(config.task)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_task_stands_beside_its_function(name: str) -> None:
    config = daf_load_config(overrides=[f"task={name}"])
    task = find_task(config.task)
    assert (task.name, config.task.name) == (name, name)
    assert task.run.__name__ == config.task.function.rpartition(".")[2]
    assert task.decided_by is None or task.decided_by <= SECTIONS.keys()


def test_which_tasks_train_and_which_a_sweep_scores_by_itself() -> None:
    configs = {name: daf_load_config(overrides=[f"task={name}"]) for name in SHIPPED}
    tasks = {name: find_task(config.task) for name, config in configs.items()}
    assert {name for name, task in tasks.items() if task.trains(configs[name])} == {"train", "quickstart"}
    assert {name for name, task in tasks.items() if task.scored_by_sweeps} == {"train", "quickstart", "evaluate"}
    assert tasks["ablation"].trains(daf_load_config(overrides=["task=ablation", "ablation.trainings=2"]))


@pytest.mark.parametrize(
    ("overrides", "keys"),
    [
        (["task=train", "evaluation.baselines=[noop]"], ["policy", "evaluation.baselines.0"]),
        (["task=evaluate"], ["policy"]),
        (["task=evaluate", "evaluation.policies=[noop]"], ["evaluation.policies.0"]),
        (["task=compare", "comparison.policies=[noop,random]"], ["comparison.policies.0", "comparison.policies.1"]),
        (["task=tournament", "tournament.policies=[noop]"], ["tournament.policies.0"]),
        (["task=vor", "vor.pool=[noop]"], ["policy", "vor.pool.0"]),
        (["task=benchmark", "benchmark.scripted=[noop]"], ["policy", "benchmark.scripted.0"]),
        (
            ["task=benchmark", "benchmark.scripted=[noop]", "+benchmark.algorithms.a=[lstm]"],
            ["benchmark.algorithms.a.0", "benchmark.scripted.0"],
        ),
    ],
)
def test_the_policies_that_a_config_makes_a_task_use(overrides: list[str], keys: list[str]) -> None:
    config = daf_load_config(overrides=overrides)
    assert [key for key, _ in find_task(config.task).policies(config)] == keys


def test_a_plain_function_is_a_task_with_defaults() -> None:
    config = with_task("mine", "plain")
    task = find_task(config.task)
    assert (task.name, task.run) == ("mine", plain)
    assert [key for key, _ in task.policies(config)] == ["policy"]
    assert not task.trains(config)
    assert task.decided_by is None


@pytest.mark.parametrize("function", ["declared", "DECLARED"])
def test_a_users_task_is_found_by_its_function_and_by_its_name(function: str) -> None:
    assert find_task(with_task("declared", function).task) is DECLARED


def test_name_and_function_cannot_disagree() -> None:
    assert problems(with_task("other", "DECLARED")) == [
        f"task.name: {__name__}.DECLARED is the task 'declared', not 'other'. Write task.name=declared."
    ]
    for function in ("plain", "TAKEN"):
        (problem,) = problems(with_task("train", function))
        assert problem == (
            f"task.name: 'train' is a task of DAF's, and {__name__}.{function} is another."
            " Give it a name of its own, such as task.name=mine."
        )
    (problem,) = problems(daf_load_config(overrides=["task=train", "task.function=daf.evaluation.daf_evaluate"]))
    assert "is the task 'evaluate', not 'train'" in problem


def test_what_is_no_task() -> None:
    assert problems(with_task("mine", "NOTHING")) == [
        f"task.function: '{__name__}.NOTHING' is neither a function nor a Task."
    ]
    (problem,) = problems(with_task("mine", "missing"))
    assert "cannot be imported" in problem
    found = daf_check_environment(with_task("mine", "missing"))
    assert [error.where for error in found.errors] == ["task.function"]


def test_what_a_users_task_declares_is_checked(tiny: Load) -> None:
    mine = ("task.name=declared", f"task.function={__name__}.DECLARED")
    found = daf_check_environment(tiny(*mine, "seed=3", "comparison.policies=['class=lstm,data=gone.pt']"))
    assert {error.where for error in found.errors} == {"seed", "comparison.policies.0.weights"}
    assert daf_check_environment(tiny(*mine, "seed=2", "comparison.policies=[noop]")).passed


def test_a_run_is_named_after_its_task_policies_and_mission() -> None:
    assert run_name(daf_load_config(overrides=["task=train"]), ()) == "train lstm cogsguard_arena.basic"
    compared = daf_load_config(overrides=["task=compare", "comparison.policies=[noop,starter]"])
    assert run_name(compared, ()) == "compare noop vs starter cogsguard_arena.basic"
