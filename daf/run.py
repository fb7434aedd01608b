"""The entrypoint: compose, validate, check, dispatch to a task, return its objective."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from daf.cli.command_line import CommandLine, read_command_line
from daf.cli.help import help_text
from daf.config import CONF_DIR, DAFConfig
from daf.config.compose import validate
from daf.errors import DAFConfigError, DAFError, DAFInterruptedError, Problem
from daf.results import TaskResult
from daf.tasks import find_task, print_result
from daf.tracking.redaction import Redactor

if TYPE_CHECKING:
    from daf.sweeps.jobs import TrialOutcome

#: Tells the jobs of a multirun, in whatever process they run, which run is their parent.
PARENT_RUN = "DAF_PARENT_RUN_ID"


def daf_run(config: DAFConfig, *, overrides: Sequence[str] = (), parent_run_id: str | None = None) -> TaskResult:
    """Runs one experiment and tracks it.

    Args:
        config: the whole experiment; `daf_load_config` makes one.
        overrides: what was asked for on the command line, for the record and the run's name.
        parent_run_id: MLflow run under which this one is filed.

    Raises:
        DAFConfigError: the experiment cannot run here; nothing was started.
        DAFError: the work failed; the MLflow run says FAILED.
        DAFInterruptedError: Ctrl-C; the MLflow run says KILLED.
    """
    from daf.environment_checks import daf_check_environment
    from daf.tracking.provenance import log_provenance
    from daf.tracking.store import open_store
    from daf.tracking.tracker import Tracker

    found = daf_check_environment(config)
    if not found.passed:
        raise DAFConfigError(list(found.errors))
    task = find_task(config.task)
    client, experiment_id = open_store(config.tracking.uri, config.tracking.experiment)
    output_dir = Path(config.output_dir).absolute()
    output_dir.mkdir(parents=True, exist_ok=True)
    name = run_name(config, overrides)
    with Tracker(client, experiment_id, name, output_dir, parent_run_id=parent_run_id) as tracker:
        log_provenance(tracker, config, overrides)
        result = task.run(config, tracker)
        for table in result.tables:
            tracker.log_text(table.to_csv(), f"tables/{_file_name(table.title)}.csv")
        tracker.log_text("\n".join(table.to_markdown() for table in result.tables), "summary.md")
        if isinstance(result.objective, float):
            tracker.log_metrics({"objective": result.objective})
    print_result(result, tracker.output_dir, tracker.run_id, config.tracking.uri)
    return result


def run_name(config: DAFConfig, overrides: Sequence[str]) -> str:
    """A name that tells runs apart: in a multirun what varied, otherwise task, policy and mission."""
    if overrides and os.environ.get(PARENT_RUN):
        pairs = (Redactor().override(override).partition("=") for override in overrides)
        return " ".join(f"{key.rpartition('.')[2]}={value}" for key, _, value in pairs)
    names = " vs ".join(policy.spec().name for policy in find_task(config.task).named_after(config))
    return f"{config.task.name} {names} {config.mission.name}"


def _file_name(title: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in title.lower()).strip("_")


class _CarriedError(BaseException):
    """Takes an error past Hydra, which would print its own version of it first."""

    def __init__(self, error: DAFError) -> None:
        self.error = error


@hydra.main(config_path=str(CONF_DIR), config_name="config", version_base="1.3")
def _job(composed: DictConfig) -> "float | tuple[float, ...] | TrialOutcome | None":
    """One job of Hydra's: the only one, or one of a multirun in whatever process the launcher chose."""
    context = HydraConfig.get()
    config = validate(composed).model_copy(update={"output_dir": context.runtime.output_dir})
    if config.sweep.trial is not None:
        from daf.sweeps.launched import run_launched

        return run_launched(config)
    parent = os.environ.get(PARENT_RUN) if context.mode is RunMode.MULTIRUN else None
    try:
        return daf_run(config, overrides=tuple(context.overrides.task), parent_run_id=parent).objective
    except DAFError as error:
        if context.mode is RunMode.RUN:
            raise _CarriedError(error) from error
        raise


def main() -> None:
    """`daf_run` and `python -m daf.run`. Exits with 0 done, 1 failed, 2 wrong request, 130 interrupted."""
    # A policy of the user's lies in the folder where they stand, as for `python -m`.
    if "" not in sys.path:
        sys.path.insert(0, "")
    # Hydra would print a part of the traceback and exit with 1 for everything.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    sys.exit(_exit_code(_dispatch))


def _dispatch() -> None:
    command = read_command_line(sys.argv[1:])
    if command.help:
        print(help_text(command.config_dir))
        return
    if command.only_informs:
        _job()
        return
    if command.multirun and command.sweeper().endswith(".DAFSweeper"):
        # It checks everything itself while nothing has been created yet, and keeps a parent run of its own.
        _job()
        return
    for config in command.configs():
        _check_early(config, command)
    if command.multirun:
        _multirun(command)
    else:
        _job()


def _check_early(config: DAFConfig, command: CommandLine) -> None:
    """The full check, before Hydra creates a folder. In a multirun each job is checked again, with its own values."""
    from rich.console import Console

    from daf.environment_checks import daf_check_environment

    with Console(stderr=True).status("checking the environment"):
        problems = list(daf_check_environment(config).errors)
    if config.sweep.space and not command.multirun:
        problems.append(Problem("sweep.space", "is only swept with -m.", "Write: python -m daf.run -m ..."))
    if problems:
        raise DAFConfigError(problems)


def _multirun(command: CommandLine) -> None:
    """Runs Hydra's multirun under one parent run."""
    from daf.tracking.provenance import log_provenance
    from daf.tracking.store import open_store
    from daf.tracking.tracker import Tracker

    config = command.configs()[0]
    client, experiment_id = open_store(config.tracking.uri, config.tracking.experiment)
    output_dir = Path(config.output_dir).absolute()
    output_dir.mkdir(parents=True, exist_ok=True)
    redactor = Redactor()
    name = "multirun " + " ".join(redactor.override(override) for override in command.overrides)
    with Tracker(client, experiment_id, name.strip(), output_dir) as tracker:
        log_provenance(tracker, config, command.overrides)
        os.environ[PARENT_RUN] = tracker.run_id
        try:
            _job()
        finally:
            del os.environ[PARENT_RUN]


def _exit_code(action: Callable[[], None]) -> int:
    """Runs an action; what went wrong is told on standard error and becomes an exit code."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    redactor = Redactor()
    try:
        try:
            action()
        except _CarriedError as carried:
            raise carried.error from carried.error.__cause__
    except (KeyboardInterrupt, DAFInterruptedError) as error:
        print(f"\n{str(error) or 'Interrupted.'}", file=sys.stderr)
        return DAFInterruptedError.exit_code
    except DAFError as error:
        print(f"daf_run: {redactor.text(str(error))}", file=sys.stderr)
        return error.exit_code
    except (HydraException, OmegaConfBaseException) as error:
        print(f"daf_run: {redactor.text(str(error))}", file=sys.stderr)
        return DAFConfigError.exit_code
    except BrokenPipeError:
        # `daf_run --help | head`: the reader has seen enough. Nothing more may be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DAFError.exit_code
    except Exception:
        import traceback

        print(redactor.text(traceback.format_exc()), file=sys.stderr)
        print("daf_run: failed with the error above. If it is DAF's fault, please report it.", file=sys.stderr)
        return DAFError.exit_code
    return 0


if __name__ == "__main__":
    # Under its real name, so that functions which travel to other processes can be found there.
    from daf.run import main as daf_main

    daf_main()
