"""The entrypoint: compose, validate, check, dispatch to a task, return its objective."""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from daf.cli.exit_codes import exit_code
from daf.cli.help import asks_for_help, help_text
from daf.config.paths import CONF_DIR
from daf.errors import DAFConfigError, DAFError, Problem, first_line
from daf.redaction import guarded

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from daf.cli.command_line import CommandLine
    from daf.config import DAFConfig
    from daf.environment_checks import EnvironmentCheckResult
    from daf.results import TaskResult
    from daf.sweeps.jobs import TrialOutcome
    from daf.tracking import Tracker

log = logging.getLogger(__name__)

#: Tells the jobs of a multirun, in whatever process they run, which run is their parent.
PARENT_RUN = "DAF_PARENT_RUN_ID"

# Hydra, the schemas and MLflow take most of the time of a fast answer, so each is imported where it is needed first.


def daf_run(config: "DAFConfig", *, overrides: Sequence[str] = (), parent_run_id: str | None = None) -> "TaskResult":
    """Checks and runs one experiment and tracks it.

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

    config = config.model_copy(update={"output_dir": str(Path(config.output_dir).absolute())})
    _raise_if_any(daf_check_environment(config).errors)
    return _run_checked(config, overrides, parent_run_id)


def _run_checked(config: "DAFConfig", overrides: Sequence[str], parent_run_id: str | None = None) -> "TaskResult":
    from daf.tasks import find_task, print_result

    task = find_task(config.task)
    with _tracked(config, run_name(config, overrides), overrides, parent_run_id) as tracker:
        try:
            result = task.run(config, tracker)
        except SystemExit as error:  # anybody's code takes part; its exit is not ours
            raise DAFError(f"code that the task runs called sys.exit({error.code})") from error
        for table in result.tables:
            tracker.log_text(table.to_csv(), f"tables/{_file_name(table.title)}.csv")
        tracker.log_text("\n".join(table.to_markdown() for table in result.tables), "summary.md")
        if isinstance(result.objective, float):
            tracker.log_metrics({"objective": result.objective})
    print_result(result, tracker.output_dir, tracker.run_id, config.tracking.uri)
    return result


@contextmanager
def _tracked(
    config: "DAFConfig", name: str, overrides: Sequence[str], parent_run_id: str | None = None
) -> "Iterator[Tracker]":
    """An MLflow run in the config's store, with where it comes from, and the output folder."""
    from daf.tracking import Tracker, log_provenance, open_tidied

    store = open_tidied(config.tracking.uri, config.tracking.experiment)
    output_dir = Path(config.output_dir).absolute()
    output_dir.mkdir(parents=True, exist_ok=True)
    with Tracker(*store[:2], name, output_dir, parent_run_id=parent_run_id, delivered=store.delivered) as tracker:
        log_provenance(tracker, config, overrides)
        yield tracker


def run_name(config: "DAFConfig", overrides: Sequence[str]) -> str:
    """A name that tells runs apart: in a multirun what varied, otherwise task, policy and mission."""
    from daf.config.override_secrets import override_without_secrets
    from daf.tasks import find_task

    if overrides and os.environ.get(PARENT_RUN):
        pairs = (override_without_secrets(override).partition("=") for override in overrides)
        return " ".join(f"{key.rpartition('.')[2]}={value}" for key, _, value in pairs)
    names = " vs ".join(policy.spec().name for policy in find_task(config.task).named_after(config))
    return f"{config.task.name} {names} {config.mission.name}"


def _file_name(title: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in title.lower()).strip("_")


def main() -> None:
    """`daf_run` and `python -m daf.run`. Exits with 0 done, 1 failed, 2 wrong request, 130 interrupted."""
    # A policy of the user's lies in the folder where they stand, as for `python -m`.
    if "" not in sys.path:
        sys.path.insert(0, "")
    # Hydra would print a part of the traceback and exit with 1 for everything.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    # pydantic would look for plugins in every installed distribution before the first schema.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")
    with guarded():
        code = exit_code(_dispatch)
    sys.exit(code)


def _dispatch() -> None:
    arguments = sys.argv[1:]
    if config_dir := asks_for_help(arguments):
        print(help_text(config_dir))
        return
    from daf.cli.command_line import read_command_line
    from daf.cli.hydra_job import without_hydra_folder
    from daf.config.override_secrets import learn_overrides, overrides_that_sweep_secrets

    command = read_command_line(arguments)
    learn_overrides(command.overrides)
    if command.only_hydra:
        _show()
    elif command.asks_for_sweep():
        command.check_sweep()
        _raise_if_any(overrides_that_sweep_secrets(command.overrides))
        sys.argv[1:] = without_hydra_folder(arguments, command.overrides)
        # DAF's sweeper checks everything itself while nothing has been created yet, and keeps its parent run.
        _hydra_main() if command.sweeper().endswith(".DAFSweeper") else _multirun(command)
    else:
        _single(command)


def _show() -> None:
    """What Hydra shows of a config, or why it cannot."""
    try:
        _hydra_main()
    except Exception as error:
        raise DAFConfigError([Problem("config", first_line(error))]) from error


def _hydra_main() -> None:
    """Hydra's own way through the command line: it shows something, or has a sweeper call `_job`."""
    import hydra

    from daf.cli.hydra_job import saves_without_secrets

    with saves_without_secrets():
        hydra.main(config_path=str(CONF_DIR), config_name="config", version_base="1.3")(_job)()


def _job(composed: "DictConfig") -> "float | tuple[float, ...] | TrialOutcome | None":
    """One job of a multirun of Hydra's, in whatever process the launcher chose. Its own values are checked here."""
    from hydra.core.hydra_config import HydraConfig

    from daf.config.compose import validate

    context = HydraConfig.get()
    with guarded():  # a launcher's process has not come through `main`
        config = validate(composed).model_copy(update={"output_dir": context.runtime.output_dir})
        if config.sweep.trial is not None:
            from daf.sweeps.hydra_trial import run_launched

            return run_launched(config)
        overrides, parent = tuple(context.overrides.task), os.environ.get(PARENT_RUN)
        return daf_run(config, overrides=overrides, parent_run_id=parent).objective


def _single(command: "CommandLine") -> None:
    """One job: composed once and checked once, before Hydra creates its folder."""
    from daf.cli.hydra_job import run_as_job
    from daf.config.compose import compose_job, hydra_on, validate

    with hydra_on(command.config_dir, command.extra_config_dir) as hydra:
        composed = compose_job(hydra, command.overrides, command.config_name)
        config = validate(composed)
        found = _checked(config)
        unswept = [Problem("sweep.space", "is only swept with -m.", "Write: python -m daf.run -m ...")]
        _raise_if_any([*found.errors, *(unswept if config.sweep.space else [])])
        overrides = tuple(composed.hydra.overrides.task)

        def work(output_dir: str) -> None:
            for warning in found.warnings:  # again: the run's log exists only now
                log.warning("%s", warning)
            result = _run_checked(config.model_copy(update={"output_dir": output_dir}), overrides)
            if result.refused:
                raise DAFError(result.refused)
            if result.failed:
                raise DAFError(f"{result.failed} episodes could not be played; what is shown is of the others")

        run_as_job(hydra, composed, command.config_name, work)


def _multirun(command: "CommandLine") -> None:
    """A sweeper of somebody else's, under one parent run, after every value was checked."""
    from daf.config.override_secrets import override_without_secrets

    configs = command.configs()
    for config in configs:
        _raise_if_any(_checked(config).errors)
    name = "multirun " + " ".join(map(override_without_secrets, command.overrides))
    with _tracked(configs[0], name.strip(), command.overrides) as tracker:
        os.environ[PARENT_RUN] = tracker.run_id
        try:
            _hydra_main()
        finally:
            del os.environ[PARENT_RUN]


def _checked(config: "DAFConfig") -> "EnvironmentCheckResult":
    """Whether an experiment can run here; a terminal shows that it takes a moment to find out."""
    from rich.console import Console

    from daf.environment_checks import daf_check_environment

    folder = Path.cwd()
    try:
        with Console(stderr=True).status("checking the environment"):
            return daf_check_environment(config)
    finally:
        os.chdir(folder)  # a policy that is tried out may go elsewhere, and the output folder is relative


def _raise_if_any(problems: Sequence[Problem]) -> None:
    if problems:
        raise DAFConfigError(list(problems))


if __name__ == "__main__":
    # Under its real name, so that functions which travel to other processes can be found there.
    from daf.run import main as daf_main

    daf_main()
