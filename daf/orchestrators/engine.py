"""Runs the stages of a pipeline: in order of their needs, side by side where that is asked for, each at most once."""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from daf.config.references import CHECKPOINTS
from daf.config.schemas import DAFConfig
from daf.errors import DAFConfigError, DAFError, DAFInterruptedError
from daf.execution.executor import Event, Executor, JobDone, JobFailed
from daf.execution.in_process import InProcessExecutor
from daf.execution.processes import ProcessExecutor
from daf.files import is_file
from daf.orchestrators.compose import Composed, stage_config
from daf.orchestrators.plan import Stage, stages_of
from daf.orchestrators.results import StageResult
from daf.orchestrators.run_stage import WORK, StageJob, StageOutcome
from daf.orchestrators.state import StageState, inputs_digest
from daf.orchestrators.transient import TRANSIENT_REASONS
from daf.tasks import find_task
from daf.tracking.abandoned import end_abandoned
from daf.tracking.deliver import reason
from daf.tracking.output_folder import noted_run
from daf.tracking.tracker import Tracker
from daf.training.resume import resume_problems

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

#: Seconds that a stage may take to save its work after it was asked to end, before its process is.
GRACE_S = 60.0
#: Seconds before another attempt: so many after the first failure, twice as many after the second, ...
FIRST_DELAY_S, LONGEST_DELAY_S = 1.0, 30.0


def run_stages(config: DAFConfig, tracker: Tracker) -> tuple[StageResult, ...]:
    """Runs every stage of a checked config's pipeline that is not done already, and says what became of each.

    Raises:
        DAFInterruptedError: Ctrl-C; what is done stays done, and the same request goes on with the rest.
    """
    stages = stages_of(config)
    with ExitStack() as stack:
        run = _Run(config, tracker, stages, stack)
        try:
            while run.goes_on():
                run.take(run.wait())
        except KeyboardInterrupt:
            run.end_running()
            raise run.interrupted() from None
    return tuple(run.results[stage.name] for stage in stages)


@dataclass(kw_only=True)
class _Running:
    """A stage that is at work."""

    stage: Stage
    state: StageState
    job: StageJob
    executor: Executor
    attempts: int = 1
    seconds: float = 0.0


class _Run:
    """One run of a pipeline."""

    def __init__(self, config: DAFConfig, tracker: Tracker, stages: Sequence[Stage], stack: ExitStack) -> None:
        self.results: dict[str, StageResult] = {}
        self._config = config
        self._tracker = tracker
        self._stages = stages
        self._waiting = list(stages)
        self._running: dict[int, _Running] = {}
        self._stack = stack
        self._here: Executor | None = None
        self._workers: Executor | None = None

    def goes_on(self) -> bool:
        """Begins what can begin; whether anything is at work then."""
        while self._begin_next():
            pass
        return bool(self._running)

    def wait(self) -> Event:
        """What happens next to a stage that is at work."""
        executor = next(iter(self._running.values())).executor
        event = executor.next_event()
        assert event is not None, "a job is at work"
        return event

    def take(self, event: Event) -> None:
        """Notes what became of a stage, or has it tried again."""
        running = self._running.pop(event.job_id)
        outcome = _outcome(event, self._tracker)
        running.seconds += outcome.seconds
        if outcome.state == "interrupted":
            self.end_running()
            raise self.interrupted()
        if outcome.transient and running.attempts <= running.stage.config.retries:
            self._try_again(running, outcome)
        else:
            self._note(running, _result(running, outcome))

    def _begin_next(self) -> bool:
        """Begins, reuses or skips one stage that waits for nothing; whether there was one."""
        for stage in self._waiting:
            if why := self._why_skipped(stage):
                skipped = self._new_result(stage, "skipped", why)
            elif self._may_begin(stage):
                skipped = None
            else:
                continue
            self._waiting.remove(stage)
            if skipped:
                self._finish(skipped)
            else:
                self._begin(stage)
            return True
        return False

    def _why_skipped(self, stage: Stage) -> str | None:
        if needed := next((n for n in stage.needs if n in self.results and not self.results[n].done), None):
            return f"it needs {needed}, which {_became(self.results[needed])}"
        failed = next((name for name, result in self.results.items() if result.status == "failed"), None)
        if failed and self._config.pipeline.on_failure == "stop":
            return f"{failed} failed, and pipeline.on_failure is stop"
        return None

    def _may_begin(self, stage: Stage) -> bool:
        free = len(self._running) < self._config.pipeline.workers
        return free and all(name in self.results for name in stage.needs)

    def _begin(self, stage: Stage) -> None:
        state = StageState(Path(self._config.output_dir).absolute() / stage.name)
        try:
            composed = stage_config(self._config, stage, self.results)
            inputs = inputs_digest(composed.config, stage, self.results)
            if (done := state.finished(inputs)) and self._take_over(done):
                log.info("stage %s: done already", stage.name)
                self._finish(done)
                return
            unfinished = state.digest == inputs
            state.begin(inputs)
        except DAFError as error:
            told = "; ".join(map(str, error.problems)) if isinstance(error, DAFConfigError) else str(error)
            self._finish(self._new_result(stage, "failed", told))
            return
        log.info("stage %s: begins", stage.name)
        job = self._job(stage, _gone_on(composed, state) if unfinished else composed)
        self._submit(_Running(stage=stage, state=state, job=job, executor=self._executor(stage)))

    def _job(self, stage: Stage, composed: Composed) -> StageJob:
        return StageJob(
            name=stage.name,
            config=composed.config,
            overrides=composed.overrides,
            parent_run_id=self._tracker.run_id,
            sweep=stage.config.sweep,
            # All others were checked before the first stage began.
            check=stage.refers,
            time_limit_s=stage.config.time_limit_s,
        )

    def _executor(self, stage: Stage) -> Executor:
        """This process where nothing speaks against it, since it has imported already what stages need."""
        workers = min(self._config.pipeline.workers, len(self._stages))
        if workers == 1 and stage.config.time_limit_s is None:
            self._here = self._here or self._stack.enter_context(InProcessExecutor(WORK))
            return self._here
        self._workers = self._workers or self._stack.enter_context(ProcessExecutor(WORK, workers))
        return self._workers

    def _submit(self, running: _Running) -> None:
        limit = running.job.time_limit_s
        backstop = None if limit is None else limit + running.job.delay_s + GRACE_S
        self._running[running.executor.submit(running.job, time_limit_s=backstop)] = running

    def _try_again(self, running: _Running, outcome: StageOutcome) -> None:
        delay = min(FIRST_DELAY_S * 2 ** (running.attempts - 1), LONGEST_DELAY_S)
        log.warning("stage %s failed: %s. Another attempt follows in %g s.", running.stage.name, outcome.error, delay)
        composed = Composed(config=running.job.config, overrides=running.job.overrides)
        config = _gone_on(composed, running.state).config
        job = replace(running.job, config=config, delay_s=delay)
        self._submit(replace(running, job=job, attempts=running.attempts + 1))

    def _take_over(self, done: StageResult) -> bool:
        """Files the run of a stage that is done under this pipeline's; whether the store still has it."""
        tags = {"mlflow.parentRunId": self._tracker.run_id}
        return done.run_id is not None and _set_tags(self._tracker.client, done.run_id, tags)

    def _note(self, running: _Running, result: StageResult) -> None:
        stage = running.stage
        running.state.end(result)
        if running.job.sweep and result.run_id:  # a sweep begins its run by itself
            tags = {"mlflow.parentRunId": self._tracker.run_id, "daf.stage": stage.name}
            _set_tags(self._tracker.client, result.run_id, tags)
        told = f": {result.error}" if result.error else ""
        log.log(
            logging.ERROR if result.status == "failed" else logging.INFO,
            "stage %s: %s after %.1f s%s",
            stage.name,
            result.status,
            result.seconds,
            told,
        )
        self._finish(result)

    def _finish(self, result: StageResult) -> None:
        self.results[result.name] = result
        self._tracker.set_tags({f"daf.stage.{result.name}": result.status})
        if result.attempts:
            self._tracker.log_metrics({f"stage_seconds/{result.name}": result.seconds})

    def _new_result(self, stage: Stage, status: str, error: str) -> StageResult:
        return StageResult(
            name=stage.name,
            task=stage.config.task,
            status="failed" if status == "failed" else "skipped",
            output_dir=Path(self._config.output_dir).absolute() / stage.name,
            error=error,
        )

    def end_running(self) -> None:
        """Asks stages in workers to end, and waits until they have saved their work, or for `GRACE_S` seconds."""
        executor = self._workers
        if executor is None:
            return
        for job_id in self._running:
            executor.stop(job_id)
        end = time.monotonic() + GRACE_S
        while self._running and (event := executor.next_event(end - time.monotonic())):
            self._running.pop(event.job_id, None)
        end_abandoned(self._tracker.client)

    def interrupted(self) -> DAFInterruptedError:
        """What is said to whom interrupted it."""
        done = sum(result.done for result in self.results.values())
        return DAFInterruptedError(
            f"Interrupted: {done} of {len(self._stages)} stages are done. The same request with"
            f" output_dir={self._config.output_dir} goes on with the rest."
        )


def _set_tags(client: "MlflowClient", run_id: str, tags: Mapping[str, str]) -> bool:
    """Sets tags of a run that has ended; whether the store has it."""
    from mlflow.exceptions import MlflowException

    try:
        for key, value in tags.items():
            client.set_tag(run_id, key, value)
    except MlflowException as error:
        log.warning("MLflow: run %s takes no tags: %s", run_id, reason(error))
        return False
    return True


def _became(result: StageResult) -> str:
    return "was skipped" if result.status == "skipped" else "failed"


def _outcome(event: Event, tracker: Tracker) -> StageOutcome:
    if isinstance(event, JobDone):
        outcome: StageOutcome = event.result
        return outcome
    assert isinstance(event, JobFailed), "a stage sends no messages"
    if event.reason == "stopped":
        return StageOutcome(state="interrupted")
    # Whatever ran it can no longer end its run.
    end_abandoned(tracker.client)
    lines = [line for line in event.traceback.strip().splitlines() if line.strip()]
    told = lines[-1] if event.reason == "error" else lines[0]
    return StageOutcome(state="failed", error=told, transient=event.reason in TRANSIENT_REASONS)


def _result(running: _Running, outcome: StageOutcome) -> StageResult:
    """A stage's result from how its last attempt ended."""
    config, found = running.job.config, outcome.result
    result = StageResult(
        name=running.stage.name,
        task=config.task.name,
        status="failed",
        output_dir=Path(config.output_dir),
        error=outcome.error,
        run_id=outcome.run_id or noted_run(Path(config.output_dir)),
        seconds=running.seconds,
        attempts=running.attempts,
    )
    if found is None:
        return result
    return replace(
        result,
        status="failed" if found.refused else "warning" if found.failed else "ok",
        error=found.refused,
        objective=found.objective,
        metrics=dict(found.metrics),
        facts=dict(found.facts),
        files=dict(found.files),
        tables=found.tables,
        notes=found.notes,
        missing=found.failed,
        next=found.next,
    )


def _gone_on(composed: Composed, state: StageState) -> Composed:
    """The same stage, going on from the checkpoint that an unfinished training of it left."""
    config, checkpoints = composed.config, state.folder / CHECKPOINTS
    if config.training.resume or not find_task(config.task).trains(config):
        return composed
    if not is_file(checkpoints / "trainer_state.pt"):
        return composed
    training = config.training.model_copy(update={"resume": str(checkpoints)})
    resumed = config.model_copy(update={"training": training})
    return composed if resume_problems(resumed) else replace(composed, config=resumed)
