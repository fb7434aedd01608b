"""How a run has ended: noted in its output folder, and told to whom it may concern."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from daf.config.schemas import DAFConfig
from daf.errors import DAFConfigError, DAFError, DAFInterruptedError
from daf.execution.interrupts import ended_by, interrupt_deferred
from daf.files import write_whole
from daf.notification import Notifier
from daf.redaction import redactor
from daf.results import Outcome, Status, TaskResult
from daf.tasks.find import run_task
from daf.tasks.task import Task
from daf.tracking import Tracker
from daf.tracking.untracked import Untracked

log = logging.getLogger(__name__)

#: What is said of errors that say nothing themselves.
WITHOUT_WORDS: dict[type[BaseException], str] = {
    KeyboardInterrupt: "Interrupted.",
    SystemExit: "The command line was refused; standard error says why.",
}

#: In every output folder, and with the MLflow run.
RESULT_FILE = "result.json"


@dataclass
class _Last:
    """The run of this process that ended last: of one that runs others, itself."""

    outcome: Outcome | None = None
    notifies: bool = False


_last = _Last()


def last_outcome() -> Outcome | None:
    """How the last run of this process has ended; None before there was one."""
    return _last.outcome


def outcome_text(outcome: Outcome) -> str:
    """An outcome as JSON, secrets blanked."""
    return json.dumps(redactor().tree(outcome.as_json()), indent=1, allow_nan=False) + "\n"


def outcome_of_error(
    error: BaseException, task: str = "", output_dir: Path | None = None, tracker: Tracker | None = None
) -> Outcome:
    """What an error makes of a run, or of a request that never became one."""
    status, code = _status(error)
    problems = error.problems if isinstance(error, DAFConfigError) else []
    said = str(error) if isinstance(error, DAFError) else f"{type(error).__name__}: {error}"
    return Outcome(
        task=task,
        status=status,
        exit_code=code,
        output_dir=output_dir,
        run_id=tracker.run_id if tracker else "",
        metrics=tracker.figures if tracker else {},
        error=WITHOUT_WORDS.get(type(error), said),
        problems=tuple({"where": each.where, "what": each.what, "hint": each.hint} for each in problems),
    )


def _status(error: BaseException) -> tuple[Status, int]:
    if isinstance(error, KeyboardInterrupt | DAFInterruptedError):
        return "interrupted", 128 + ended_by()
    wrong = isinstance(error, SystemExit) and error.code == DAFConfigError.exit_code
    if wrong or isinstance(error, DAFConfigError):
        return "refused_request", DAFConfigError.exit_code
    return "failed", DAFError.exit_code


@dataclass
class Ending:
    """What is to be said of a run when it ends.

    Attributes:
        task: its name.
        output_dir: where its files are.
        tracker: of its MLflow run, once that has begun.
    """

    task: str
    output_dir: Path
    tracker: Tracker | None = None

    def finish(self, result: TaskResult) -> None:
        """Notes a result while its tracker is open: work that is done stays done where the note cannot be written."""
        assert self.tracker is not None, "there is a result, so there was a run"
        _last.outcome = _outcome(result, self.task, self.output_dir, self.tracker.run_id)
        try:
            self.tracker.log_text(outcome_text(_last.outcome), RESULT_FILE)
        except DAFError as refused:
            self.tracker.warn(str(refused))

    def fail(self, error: BaseException) -> None:
        """Notes what is known of a run that came to no result. A request that was wrong leaves nothing."""
        _last.outcome = outcome_of_error(error, self.task, self.output_dir, self.tracker)
        if isinstance(error, DAFConfigError):
            return
        try:
            write_whole(self.output_dir / RESULT_FILE, outcome_text(_last.outcome))
        except OSError as refused:
            log.warning("%s cannot be written: %s", self.output_dir / RESULT_FILE, refused.strerror or refused)


def answer(task: Task, config: DAFConfig) -> TaskResult:
    """The result of a task that only answers a question, noted for who asks how the last run has ended."""
    result = run_task(task, config, Untracked(Path(config.output_dir)))
    _last.outcome = _outcome(result, task.name)
    return result


def _outcome(result: TaskResult, task: str, output_dir: Path | None = None, run_id: str = "") -> Outcome:
    error = result.refused or (incomplete(result.failed) if result.failed else None)
    return Outcome(
        task=task,
        status=result.ended,
        exit_code=DAFError.exit_code if error else 0,
        output_dir=output_dir,
        run_id=run_id,
        result=result,
        error=error,
    )


def incomplete(failed: int) -> str:
    """Why a result without some of its episodes is a failure."""
    return f"{failed} episodes could not be played; what is shown is of the others"


@contextmanager
def noted_as_it_ends(task: str, output_dir: Path) -> Iterator[Ending]:
    """Writes ``result.json`` however the block ends; one that comes to a result calls `Ending.finish`."""
    ending = Ending(task, output_dir.absolute())
    try:
        yield ending
    except BaseException as error:
        with interrupt_deferred():
            ending.fail(error)
        raise


@contextmanager
def notifying(config: DAFConfig) -> Iterator[None]:
    """Tells `notify.urls` how the run in the block has ended, once, whatever runs it is made of."""
    if not config.notify.urls or _last.notifies:
        yield
        return
    notifier, before = Notifier(config.notify.urls), _last.outcome
    _last.notifies = True
    try:
        yield
    finally:
        _last.notifies = False
        if _last.outcome is not None and _last.outcome is not before:
            with interrupt_deferred():
                notifier.tell(_last.outcome)
