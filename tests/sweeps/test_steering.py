"""Steering: what is asked of a running sweep through its storage, on real workers, and what a resume makes of it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from daf.config import DAFConfig
from daf.errors import DAFConfigError
from daf.sweeps import daf_launch_sweep, daf_sweep_status, steering
from daf.sweeps.api import with_sweep
from daf.sweeps.study import StudyTrial, StudyView, load_stored
from tests.sweeps import tasks
from tests.sweeps.support import open_study

Load = Callable[..., DAFConfig]
LR = {"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}}


def _sweep(load: Load, name: str, *overrides: str, space: Any = None, **settings: Any) -> DAFConfig:
    task = (f"task.name={name}", f"task.function={tasks.__name__}.{name}") if hasattr(tasks, name) else ()
    config = load(*task, "sweep.confirm=off", "sweep.name=steered", *overrides)
    return with_sweep(config, space=space or LR, **settings)


@contextmanager
def running(config: DAFConfig) -> Iterator[list[Any]]:
    """A sweep in a thread of its own; what it gives is there once the block has ended."""
    given: list[Any] = []

    def run() -> None:
        try:
            given.append(daf_launch_sweep(config))
        except Exception as error:
            given.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield given
    finally:
        thread.join(180)
    assert not thread.is_alive()


def wait_for[T](what: Callable[[], T], seconds: float = 120) -> T:
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)
    return found


def _trial(config: DAFConfig, number: int, state: str) -> Callable[[], StudyTrial | None]:
    def look() -> StudyTrial | None:
        try:
            trials = load_stored(config).trials()
        except Exception:  # not there yet
            return None
        return trials[number] if len(trials) > number and trials[number].state == state else None

    return look


def _view(config: DAFConfig) -> StudyView:
    return steering.find_study(config, "steered")


def _go(tmp_path: Path) -> None:
    (tmp_path / "go").touch()


def test_a_trial_that_is_stopped_counts_as_stopped_and_a_point_that_is_enqueued_runs_next(tiny: Load) -> None:
    space = {"optimizer.lr": [1e-3, 1e-2], "training.num_steps": [4_000_000, 512]}
    hours = {"optimizer.lr": 1e-3, "training.num_steps": 4_000_000}  # only a stop ends it
    config = _sweep(tiny, "train", space=space, sampler="random", n_trials=1, enqueue=(hours,))
    with running(config) as given:
        wait_for(_trial(config, 0, "RUNNING"))
        view = _view(config)
        answer = steering.enqueue(view, {"optimizer.lr": 1e-2, "training.num_steps": 512})
        assert "trial 1 of steered" in answer and "as soon as a worker is free" in answer
        assert "stops after" in steering.stop_trial(view, 0)
        wait_for(_trial(config, 0, "PRUNED"))
    (result,) = given
    assert (result.status.stopped, result.status.pruned, result.status.failed, result.status.complete) == (1, 0, 0, 1)
    assert "1 stopped by the user" in str(result.status)
    stopped, asked_for = load_stored(config).trials()
    assert (stopped.facts.stopped, stopped.facts.retries) == (True, 0)
    assert (asked_for.params, asked_for.facts.enqueued) == ({"optimizer.lr": 1e-2, "training.num_steps": 512}, True)
    run = MlflowClient(config.tracking.uri).get_run(stopped.facts.run_id)
    assert run.info.status == "KILLED"
    assert (run.data.tags["daf.trial.state"], run.data.tags["daf.stopped"]) == ("STOPPED", "by the user")
    assert run.data.tags["daf.kind"] == "trial"
    with pytest.raises(DAFConfigError, match="trial 0 of steered has ended: pruned"):
        steering.stop_trial(view, 0)


def test_a_sweep_that_is_stopped_finishes_what_runs_and_the_same_command_goes_on(tiny: Load, tmp_path: Path) -> None:
    config = _sweep(tiny, "until_told", n_trials=3, sampler="random")
    with running(config) as given:
        wait_for(_trial(config, 0, "RUNNING"))
        assert "begins no more trials. 1 still running" in steering.stop_sweep(_view(config))
        time.sleep(1.5)
        _go(tmp_path)
    assert (given[0].status.complete, given[0].status.n_trials) == (1, 3)
    with pytest.raises(DAFConfigError, match="nobody runs steered"):
        steering.stop_sweep(_view(config))
    assert "when the sweep goes on" in steering.enqueue(_view(config), {"optimizer.lr": 5e-3})
    assert "it ends as stopped instead" in steering.stop_trial(_view(config), 1)
    assert "trial 2" in steering.enqueue(_view(config), {"optimizer.lr": 6e-3})
    more = daf_launch_sweep(config.model_copy(update={"output_dir": str(tmp_path / "more")}))
    # The request to stop was for those who ran it; that for a trial, and the point, hold.
    assert (more.status.complete, more.status.stopped) == (2, 1)
    assert more.trials[2].assignments == {"optimizer.lr": 6e-3}
    assert 5e-3 not in tasks.runs(tmp_path)


def test_a_trial_that_was_left_behind_is_stopped_when_the_sweep_goes_on(tiny: Load, tmp_path: Path) -> None:
    config = _sweep(tiny, "quadratic", n_trials=1, sampler="random")
    left = open_study(config)
    trial = left.next_trial()
    assert trial is not None
    trial.record(owner="elsewhere 1 1.00 abcdefgh")
    left.close()
    assert "left behind" in steering.stop_trial(_view(config), 0)
    with pytest.raises(Exception, match="no trial of steered finished"):
        daf_launch_sweep(config)
    assert tasks.runs(tmp_path) == {}
    assert daf_sweep_status(config).stopped == 1


WRONG = [
    ({"optimizer.lr": 0.5}, "optimizer.lr: 0.5 is not among what it ranges over: 0.0001 to 0.01"),
    ({"optimizer.lr": "high"}, "'high' is not among what it ranges over"),
    ({"optimizer.lr": True}, "True is not among"),
    ({"training.num_envs": 2.5}, "whole numbers from 2 to 6"),
    ({"training.num_envs": 3}, "3 is between two of its steps: whole numbers from 2 to 6 in steps of 2"),
    ({"optimizer.name": "sgd"}, "'sgd' is not among what it ranges over: one of adam, muon"),
    ({"optimizer.momentum": 1}, "is not swept in steered. Swept: optimizer.lr (0.0001 to 0.01)"),
    ({}, "names no key"),
]


@pytest.mark.parametrize(("point", "message"), WRONG)
def test_a_point_outside_of_the_space_is_refused_with_its_bounds(
    tiny: Load, point: dict[str, Any], message: str
) -> None:
    envs = {"low": 2, "high": 6, "step": 2, "type": "int"}
    space = {**LR, "training.num_envs": envs, "optimizer.name": {"choices": ["adam", "muon"]}}
    config = _sweep(tiny, "quadratic", space=space)
    open_study(config).close()
    with pytest.raises(DAFConfigError) as error:
        steering.enqueue(_view(config), point)
    assert message in str(error.value)
    assert _view(config).trials() == []


def test_a_point_that_a_trial_has_is_refused(tiny: Load) -> None:
    config = _sweep(tiny, "quadratic")
    open_study(config).close()
    steering.enqueue(_view(config), {"optimizer.lr": 1e-3})
    with pytest.raises(DAFConfigError, match="trial 0 of steered has it already"):
        steering.enqueue(_view(config), {"optimizer.lr": 1e-3})


def test_points_are_read_as_the_command_line_reads_them() -> None:
    assert steering.read_point(["optimizer.lr=3e-4", "variant.names=[credit]", "+x='a b'"]) == {
        "optimizer.lr": 3e-4,
        "variant.names": ["credit"],
        "x": "a b",
    }
    with pytest.raises(DAFConfigError) as error:
        steering.read_point(["a=1,2", "b", "~c"])
    assert len(error.value.problems) == 3


def test_an_unknown_study_or_trial_is_named(tiny: Load, tmp_path: Path) -> None:
    config = _sweep(tiny, "quadratic")
    with pytest.raises(DAFConfigError, match="there is no study steered at"):
        steering.find_study(config, "steered")
    assert not (tmp_path / "studies").exists()
    open_study(config).close()
    with pytest.raises(DAFConfigError, match="has no trial 4: it has none yet"):
        steering.stop_trial(_view(config), 4)
