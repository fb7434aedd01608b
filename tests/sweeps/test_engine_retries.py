"""What the engine makes of jobs that fail, on an executor that ends them as a test says."""

import signal
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from daf.config import DAFConfig
from daf.errors import DAFError
from daf.execution.executor import Event, Executor, JobDone, JobFailed, Reason
from daf.sweeps.api import with_sweep
from daf.sweeps.engine import run_jobs, run_trials
from daf.sweeps.jobs import TrialJob, TrialOutcome
from daf.sweeps.study import StoredStudy
from daf.tracking.tracker import Tracker
from tests.sweeps.support import make_request, open_study

Load = Callable[..., DAFConfig]
#: How a job ends, from its id and itself; None is a moment in which nothing happens.
End = Callable[[int, TrialJob], Event | None]


class ScriptedExecutor(Executor):
    """Runs nothing: the job that was submitted first ends as the script's next line says."""

    def __init__(self, *script: End) -> None:
        self.jobs: list[TrialJob] = []
        self.is_closed = False
        self.limits: list[float | None] = []
        self._script = iter(script)
        self._waiting: deque[int] = deque()

    def submit(self, payload: Any, *, cost: float = 0.0, time_limit_s: float | None = None) -> int:
        self.jobs.append(payload)
        self.limits.append(time_limit_s)
        self._waiting.append(len(self.jobs) - 1)
        return self._waiting[-1]

    def stop(self, job_id: int) -> None:
        raise AssertionError("nothing is pruned here")

    def next_event(self, timeout_s: float | None = None) -> Event | None:
        if timeout_s == 0.0 or not self._waiting:
            return None
        job_id = self._waiting.popleft()
        return next(self._script)(job_id, self.jobs[job_id])

    def close(self) -> None:
        self.is_closed = True

    def run_ids(self) -> list[str]:
        """The MLflow runs that jobs were given, in the order of their submission."""
        return [job.run_id for job in self.jobs if job.run_id]


def _done(job_id: int, job: TrialJob) -> Event:
    return JobDone(job_id=job_id, result=TrialOutcome(state="complete", run_id=str(job.run_id), values=(1.0,)))


def _failed(reason: Reason) -> End:
    return lambda job_id, _: JobFailed(job_id=job_id, reason=reason, traceback="Traceback:\nRuntimeError: no luck")


def _ctrl_c(job_id: int, job: TrialJob) -> None:
    signal.raise_signal(signal.SIGINT)


def _study(tiny: Load, *overrides: str, values: Sequence[float] = (1e-3,)) -> StoredStudy:
    return open_study(with_sweep(tiny(*overrides), space={"optimizer.lr": list(values)}, sampler="grid"))


def _run(stored: StoredStudy, tracker: Tracker, executor: Executor) -> list[str]:
    """Runs the study's trials; returns the lines that a person would see."""
    lines: list[str] = []
    request = make_request(stored.config, tracker)
    run_trials(stored, request, executor, lambda status, running, line: lines.append(line), 60.0)
    return [line for line in lines if line]


def _statuses(tracker: Tracker, run_ids: Sequence[str]) -> list[str]:
    return [tracker.client.get_run(run_id).info.status for run_id in run_ids]


def _attempts(executor: ScriptedExecutor) -> list[str]:
    return [job.tags["daf.trial.attempt"] for job in executor.jobs]


@pytest.mark.parametrize("reason", ["died", "error", "hung"])
def test_a_failed_trial_is_tried_again_with_a_new_run(tiny: Load, tracker: Tracker, reason: Reason) -> None:
    stored = _study(tiny, "sweep.max_retries=2")
    executor = ScriptedExecutor(_failed(reason), _failed(reason), _done)
    lines = _run(stored, tracker, executor)
    assert _attempts(executor) == ["0", "1", "2"]
    (trial,), run_ids = stored.trials(), executor.run_ids()
    assert (trial.state, trial.values, trial.facts.retries) == ("COMPLETE", (1.0,), 2)
    assert len(set(run_ids)) == 3
    assert trial.facts.run_id == run_ids[-1]
    assert _statuses(tracker, run_ids[:2]) == ["FAILED", "FAILED"]
    assert {(job.trial, job.config.optimizer.lr) for job in executor.jobs} == {(0, 1e-3)}
    assert lines == ["trial 0: lr=0.001 -> 1.0000"]


def test_a_lost_one_costs_no_attempt(tiny: Load, tracker: Tracker) -> None:
    stored = _study(tiny, "sweep.max_retries=0")
    executor = ScriptedExecutor(_failed("lost"), _failed("lost"), _done)
    _run(stored, tracker, executor)
    assert _attempts(executor) == ["0", "0", "0"]
    (trial,) = stored.trials()
    assert (trial.state, trial.facts.retries) == ("COMPLETE", 0)
    assert len(set(executor.run_ids())) == 3
    assert _statuses(tracker, executor.run_ids()[:2]) == ["FAILED", "FAILED"]


def test_one_that_keeps_failing_is_recorded_and_the_others_go_on(tiny: Load, tracker: Tracker) -> None:
    stored = _study(tiny, "sweep.max_retries=1", "sweep.max_failure_rate=0.5", values=(1e-4, 1e-3))
    executor = ScriptedExecutor(_failed("died"), _failed("died"), _done)
    lines = _run(stored, tracker, executor)
    failed, done = stored.trials()
    assert (failed.state, failed.facts.failure) == ("FAIL", "failed: RuntimeError: no luck")
    assert (done.state, done.params) == ("COMPLETE", {"optimizer.lr": 1e-3})
    assert lines[0] == "trial 0: failed: RuntimeError: no luck"
    assert _statuses(tracker, executor.run_ids()[:2]) == ["FAILED", "FAILED"]
    files = tracker.client.list_artifacts(executor.run_ids()[0])
    assert [file.path for file in files] == ["traceback.txt"]


def test_more_failures_than_allowed_end_the_sweep_and_kill_what_runs(tiny: Load, tracker: Tracker) -> None:
    stored = _study(tiny, "sweep.max_retries=0", "sweep.max_failure_rate=0", "sweep.n_jobs=2", values=(1e-4, 1e-3))
    executor = ScriptedExecutor(_failed("died"))
    with pytest.raises(DAFError, match=r"1 of 2 trials failed.*max_failure_rate=0"):
        _run(stored, tracker, executor)
    assert executor.is_closed
    assert _statuses(tracker, executor.run_ids()) == ["FAILED", "KILLED"]


def test_a_stopped_one_is_not_tried_again(tiny: Load, tracker: Tracker) -> None:
    stored = _study(tiny, "sweep.max_retries=5", "sweep.max_failure_rate=1")
    executor = ScriptedExecutor(_failed("stopped"))
    _run(stored, tracker, executor)
    assert [trial.state for trial in stored.trials()] == ["FAIL"]


def test_what_ended_before_its_worker_died_counts(tiny: Load, tracker: Tracker) -> None:
    def ends_and_dies(job_id: int, job: TrialJob) -> Event | None:
        folder = Path(job.config.output_dir)
        folder.mkdir()
        TrialOutcome(state="complete", run_id=str(job.run_id), values=(7.0,)).save(folder)
        return _failed("died")(job_id, job)

    stored = _study(tiny, "sweep.max_retries=5")
    executor = ScriptedExecutor(ends_and_dies)
    _run(stored, tracker, executor)
    assert [trial.values for trial in stored.trials()] == [(7.0,)]
    assert _statuses(tracker, executor.run_ids()) == ["FINISHED"]


def test_ctrl_c_kills_the_runs_and_leaves_the_trials_to_the_next_time(tiny: Load, tracker: Tracker) -> None:
    stored = _study(tiny, "sweep.n_jobs=2", values=(1e-4, 1e-3))
    executor = ScriptedExecutor(_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        _run(stored, tracker, executor)
    assert executor.is_closed
    assert len(executor.jobs) == 2
    assert _statuses(tracker, executor.run_ids()) == ["KILLED", "KILLED"]
    assert [trial.state for trial in stored.trials()] == ["RUNNING", "RUNNING"]
    stored.close()

    # As a process leaves it that was killed outright.
    tracker.client.update_run(executor.run_ids()[0], status="RUNNING")
    again = ScriptedExecutor(_done, _done)
    _run(open_study(stored.config), tracker, again)
    assert [job.trial for job in again.jobs] == [0, 1]
    assert _statuses(tracker, executor.run_ids()) == ["KILLED", "KILLED"]
    assert [trial.state for trial in stored.trials()] == ["COMPLETE", "COMPLETE"]


def test_jobs_of_no_trial_are_tried_again_too(tiny: Load, tracker: Tracker) -> None:
    stored = _study(tiny, "sweep.max_retries=1")
    job = TrialJob(
        config=stored.config, trial=0, assignments={}, name="confirm", parent_run_id=None, training_seeds=(1,)
    )
    executor = ScriptedExecutor(_failed("died"), _done, _failed("died"), _failed("died"))
    outcomes: list[tuple[int, str]] = []
    failures = run_jobs(
        [job, job],
        lambda index, outcome: outcomes.append((index, outcome.run_id)),
        stored,
        make_request(stored.config, tracker),
        executor,
        lambda status, running, line: None,
        None,
    )
    run_ids = executor.run_ids()
    assert outcomes == [(0, run_ids[1])]
    assert failures == ["Traceback:\nRuntimeError: no luck"]
    assert len(set(run_ids)) == 4
    assert [trial.state for trial in stored.trials()] == [], "the study knows nothing of them"
