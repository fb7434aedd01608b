"""One attempt at a stage, in this process or in a worker: what an `Executor` calls."""

import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from daf.config.refusals import shortened
from daf.config.schemas import DAFConfig
from daf.environment_checks import daf_check_environment
from daf.errors import DAFConfigError, DAFError, DAFInterruptedError, first_line
from daf.execution.executor import JobContext
from daf.execution.processes import is_worker
from daf.orchestrators.transient import is_transient
from daf.redaction import redactor
from daf.results import TaskResult
from daf.sweeps import daf_launch_sweep
from daf.tasks import claimed_folder, run_tracked

#: The target of a pipeline's executors.
WORK = f"{__name__}:work"
LOG_FILE = "stage.log"
SECONDS_BETWEEN_LOOKS = 0.2

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StageJob:
    """An attempt at a stage, as plain data.

    Attributes:
        config: the stage's, with its own output folder.
        overrides: that made it, for the record.
        parent_run_id: MLflow run of the pipeline.
        sweep: whether the task is swept.
        check: whether the environment is to be checked first.
        time_limit_s: seconds after which it is ended.
        delay_s: seconds to wait first.
    """

    name: str
    config: DAFConfig
    overrides: tuple[str, ...]
    parent_run_id: str
    sweep: bool = False
    check: bool = True
    time_limit_s: float | None = None
    delay_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class StageOutcome:
    """How an attempt ended.

    Attributes:
        state: ``interrupted`` is by Ctrl-C or because others were.
        result: what the task gave, without what only its own type has; None where it gave nothing.
        error: why it failed, in one line.
        transient: whether the same attempt may succeed later.
    """

    state: Literal["done", "failed", "interrupted"]
    result: TaskResult | None = None
    run_id: str | None = None
    error: str | None = None
    transient: bool = False
    seconds: float = field(default=0.0, compare=False)


def work(job: StageJob, context: JobContext) -> StageOutcome:
    """Does a stage's task as a tracked run of its own, and says how that ended."""
    started, asked = time.perf_counter(), _Asked()
    try:
        with _ends_when_asked(job, context, asked), _logged(Path(job.config.output_dir)):
            time.sleep(job.delay_s)
            result, run_id = _done(job)
        outcome = StageOutcome(state="done", result=_plain(result), run_id=run_id)
    except (KeyboardInterrupt, DAFInterruptedError):
        outcome = _interrupted(job, asked)
    except Exception as error:  # a task may be anybody's code
        outcome = _failed(job, error)
    return StageOutcome(**{**outcome.__dict__, "seconds": time.perf_counter() - started})


def _done(job: StageJob) -> tuple[TaskResult, str]:
    config = job.config
    if job.sweep:
        swept = daf_launch_sweep(config, overrides=job.overrides)
        return swept, swept.run_id
    if job.check and (errors := daf_check_environment(config).errors):
        raise DAFConfigError(list(errors))
    with claimed_folder(config) as claim:
        tags = {"daf.stage": job.name}
        return run_tracked(config, job.overrides, claim, parent_run_id=job.parent_run_id, kind="stage", tags=tags)


def _plain(result: TaskResult) -> TaskResult:
    """A result that can be pickled and written down, whatever type the task has for its own."""
    names = ("objective", "tables", "notes", "failed", "refused", "metrics", "facts", "files", "next")
    return TaskResult(**{name: getattr(result, name) for name in names})


def _failed(job: StageJob, error: Exception) -> StageOutcome:
    if not isinstance(error, DAFError):
        log.error("stage %s:\n%s", job.name, redactor().text(traceback.format_exc()))
    if isinstance(error, DAFConfigError):
        told = "; ".join(map(str, error.problems))
    else:
        told = shortened(error) if isinstance(error, DAFError) else f"{type(error).__name__}: {first_line(error)}"
    return StageOutcome(state="failed", error=redactor().text(told), transient=is_transient(error))


@dataclass
class _Asked:
    """Why a stage in a worker was asked to end."""

    why: Literal["stop", "time limit"] | None = None


def _interrupted(job: StageJob, asked: _Asked) -> StageOutcome:
    if asked.why is None and not is_worker():
        # Whoever began the pipeline pressed Ctrl-C: it ends with all that is above it.
        return StageOutcome(state="interrupted")
    if asked.why == "time limit":
        error = f"it took longer than its time limit of {job.time_limit_s:g} s"
        return StageOutcome(state="failed", error=error, transient=True)
    return StageOutcome(state="interrupted")


@contextmanager
def _ends_when_asked(job: StageJob, context: JobContext, asked: _Asked) -> Iterator[None]:
    """In a worker, makes a request to stop, and the end of the time limit, what Ctrl-C is: the task ends in order."""
    if not is_worker():
        yield
        return
    before, over = signal.signal(signal.SIGINT, signal.default_int_handler), threading.Event()
    end = time.monotonic() + job.time_limit_s if job.time_limit_s else float("inf")

    def watch() -> None:
        while asked.why is None and not over.wait(SECONDS_BETWEEN_LOOKS):
            # The task's own thread has no use for the context, so that this one may have it.
            if context.should_stop():
                asked.why = "stop"
            elif time.monotonic() >= end:
                asked.why = "time limit"
        if asked.why and not over.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        signal.signal(signal.SIGINT, before)


@contextmanager
def _logged(folder: Path) -> Iterator[None]:
    """In a worker, whose output nobody sees, keeps the stage's log in its folder."""
    if not is_worker():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    root, handler = logging.getLogger(), logging.FileHandler(folder / LOG_FILE)
    handler.setFormatter(logging.Formatter("[%(asctime)s][%(name)s][%(levelname)s] %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
