"""Hydra's launchers as an executor: batches, and what becomes of their jobs."""

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus

from daf.config import DAFConfig
from daf.execution.executor import JobDone, JobFailed
from daf.execution.interrupts import interrupt_deferred
from daf.sweeps.hydra_executor import LauncherExecutor, trial_overrides
from daf.sweeps.jobs import TrialJob


class _Launcher:
    """Takes batches; a job is what it returns, or the error that it raises."""

    def __init__(self, jobs: Callable[[list[str]], Any]) -> None:
        self.batches: list[tuple[list[list[str]], int]] = []
        self._jobs = jobs

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        self.batches.append(([list(overrides) for overrides in job_overrides], initial_job_idx))
        return [self._run(list(overrides)) for overrides in job_overrides]

    def _run(self, overrides: list[str]) -> JobReturn:
        try:
            return JobReturn(status=JobStatus.COMPLETED, _return_value=self._jobs(overrides))
        except ValueError as error:
            return JobReturn(status=JobStatus.FAILED, _return_value=error)


def _executor(jobs: Callable[[list[str]], Any]) -> tuple[LauncherExecutor, _Launcher]:
    launcher = _Launcher(jobs)
    return LauncherExecutor(launcher, lambda payload: [str(payload)]), launcher


def test_all_that_is_queued_is_one_batch() -> None:
    executor, launcher = _executor(lambda overrides: int(overrides[0]) * 2)
    assert [executor.submit(payload) for payload in (1, 2)] == [0, 1]
    assert executor.next_event() == JobDone(job_id=0, result=2)
    executor.submit(3)
    assert list(executor.events()) == [JobDone(job_id=1, result=4), JobDone(job_id=2, result=6)]
    assert launcher.batches == [([["1"], ["2"]], 0), ([["3"]], 2)]
    assert executor.next_event(0.0) is None


def test_a_job_that_raises_spares_the_others() -> None:
    executor, _ = _executor(lambda overrides: int(overrides[0]))
    executor.submit("one")
    executor.submit("2")
    failed, done = executor.events()
    assert isinstance(failed, JobFailed)
    assert (failed.reason, failed.traceback[:11]) == ("error", "ValueError:")
    assert done == JobDone(job_id=1, result=2)


def test_a_launcher_that_breaks_fails_its_whole_batch() -> None:
    def dies(overrides: list[str]) -> None:
        raise RuntimeError("a worker was lost")

    executor, _ = _executor(dies)
    executor.submit(1)
    executor.submit(2)
    assert [(event.job_id, event.reason, event.traceback) for event in executor.events()] == [  # type: ignore[union-attr]
        (0, "died", "RuntimeError: a worker was lost"),
        (1, "died", "RuntimeError: a worker was lost"),
    ]


def test_a_waiting_job_can_be_stopped() -> None:
    executor, launcher = _executor(lambda overrides: None)
    job_id = executor.submit(1)
    executor.stop(job_id)
    (event,) = executor.events()
    assert isinstance(event, JobFailed)
    assert event.reason == "stopped"
    assert launcher.batches == []


def test_a_closed_one_takes_no_jobs_and_no_time_limits() -> None:
    executor, launcher = _executor(lambda overrides: None)
    with pytest.raises(ValueError, match="time limit"):
        executor.submit(1, time_limit_s=1.0)
    executor.submit(1)
    executor.close()
    assert executor.next_event() is None
    assert launcher.batches == []
    with pytest.raises(RuntimeError, match="closed"):
        executor.submit(1)


def test_ctrl_c_interrupts_a_batch_although_the_caller_holds_it_back() -> None:
    ended = []

    def interrupted(overrides: list[str]) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        ended.append(overrides)

    executor, _ = _executor(interrupted)
    executor.submit(1)
    with interrupt_deferred(), pytest.raises(KeyboardInterrupt):
        executor.next_event()
    assert ended == []


def test_a_jobs_overrides_name_its_trial(tiny: Callable[..., DAFConfig]) -> None:
    config = tiny("sweep.name=mine", "sweep.report_every=256", "output_dir=/runs/7")
    stored: Any = SimpleNamespace(config=config, name="mine")
    job = TrialJob(
        config=config, trial=7, assignments={"optimizer.lr": 1e-3}, name="", parent_run_id=None, training_seeds=(1,)
    )
    overrides = trial_overrides(job, stored, ["task=train", "hydra.sweep.dir=/runs"])
    assert overrides[:3] == ["task=train", "optimizer.lr=0.001", "sweep.name=mine"]
    assert overrides[3].startswith("sweep.storage=")
    assert Path(overrides[3].partition("=")[2].strip("'\"")).name == "mine.journal"
    assert overrides[4:] == [
        "evaluation.seed=1000000",
        "sweep.report_every=256",
        "sweep.trial=7",
        "hydra.sweep.subdir='7'",
    ]
    theirs: Any = SimpleNamespace(config=tiny("sweep.storage='postgresql://me:hunter2@host/x'"), name="mine")
    assert "hunter2" not in "".join(trial_overrides(job, theirs, []))
