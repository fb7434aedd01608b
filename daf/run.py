"""The entrypoint: compose, validate, check, dispatch to a task, return its objective."""

import atexit
import io
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from daf.cli.answer import answer_as_json, answering, asks_for_json
from daf.cli.completion import asks_to_complete, completions
from daf.cli.doors import AS_JSON, DAF_RUN, Door
from daf.cli.exit_codes import exit_code
from daf.cli.help import quick_answer
from daf.cli.task_sections import given_in_vain
from daf.config.paths import CONF_DIR
from daf.errors import DAFConfigError, DAFError, Problem, first_line
from daf.execution.interrupts import hear_no_more
from daf.records import digest
from daf.redaction import guarded
from daf.results import TaskResult

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from daf.cli.command_line import CommandLine
    from daf.config import DAFConfig
    from daf.environment_checks import EnvironmentCheckResult
    from daf.sweeps.jobs import TrialOutcome
    from daf.tracking.output_folder import Claim

log = logging.getLogger(__name__)

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
    from daf.tasks import claimed_folder

    config = config.model_copy(update={"output_dir": str(Path(config.output_dir).absolute())})
    if (answer := _answered(config)) is not None:
        return answer
    _raise_if_any(daf_check_environment(config).errors)
    with claimed_folder(config) as claim:
        return _run_checked(config, overrides, claim, parent_run_id)


def _run_checked(
    config: "DAFConfig", overrides: Sequence[str], claim: "Claim", parent_run_id: str | None = None
) -> "TaskResult":
    from daf.tasks import notifying, print_result, run_tracked

    with notifying(config):
        result, run_id = run_tracked(config, overrides, claim, parent_run_id=parent_run_id)
    if config.result_format == "text":
        print_result(result, Path(config.output_dir).absolute(), run_id, config.tracking.uri)
    return result


def _answered(config: "DAFConfig") -> "TaskResult | None":
    """The printed result of a task that only answers a question, such as `task=check`; None for all others."""
    from daf.tasks import answer, find_task, print_result

    task = find_task(config.task)
    if not task.only_answers:
        return None
    result = answer(task, config)
    if config.result_format == "text":
        print_result(result, Path(config.output_dir), "", config.tracking.uri)
    return result


def main(door: Door = DAF_RUN, arguments: Sequence[str] | None = None) -> None:
    """`daf_run`, `python -m daf.run`, and what every other command that does a task ends in.

    Exits with 0 done, 1 failed, 2 wrong request, 130 interrupted.

    Args:
        door: by which command one came.
        arguments: what stands behind it; the process' own by default.
    """
    given = [AS_JSON if word == "--json" else word for word in (sys.argv[1:] if arguments is None else arguments)]
    sys.argv[1:] = given  # who asks what was typed sees no flag that only DAF knows
    # A policy of the user's lies in the folder where they stand, as for `python -m`.
    if "" not in sys.path:
        sys.path.insert(0, "")
    # Hydra would print a part of the traceback and exit with 1 for everything.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    # pydantic would look for plugins in every installed distribution before the first schema.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")
    with guarded():
        code = answering(partial(exit_code, program=door.program), partial(_dispatch, door, given), given)
    atexit.register(hear_no_more)
    sys.exit(code)


def _dispatch(door: Door, arguments: Sequence[str]) -> None:
    if answer := quick_answer(door, arguments):
        print(answer)
        return
    from daf.cli.command_line import read_command_line
    from daf.config.override_secrets import learn_overrides

    if asks_to_complete(arguments):
        print("\n".join(completions(door)))
        return
    command = read_command_line(arguments, door).with_policys_game()
    sys.argv[1:] = command.arguments  # which Hydra reads
    learn_overrides(command.overrides)
    if command.only_hydra:
        _show()
        return
    answer_as_json(asks_for_json(arguments))
    if command.asks_for_sweep():
        _sweep(command)
    else:
        _single(command)


def _sweep(command: "CommandLine") -> None:
    """One job for each value: DAF's sweeper, or somebody else's under one parent run."""
    from daf.cli.hydra_job import job_folder, without_hydra_folder
    from daf.config.override_secrets import overrides_that_sweep_secrets

    composed = command.sweep()
    in_vain = given_in_vain(str(composed.task.name), command.overrides, sweeps=True)
    _raise_if_any([*overrides_that_sweep_secrets(command.overrides), *in_vain])
    folder = job_folder(composed, "hydra.sweep.dir")
    sys.argv[1:] = without_hydra_folder(command.arguments, command.overrides)
    # DAF's sweeper checks everything itself while nothing has been created yet, and keeps its parent run.
    is_dafs = str(composed.hydra.sweeper.get("_target_")).endswith(".DAFSweeper")
    _hydra_main() if is_dafs else _multirun(command, folder)


def _show() -> None:
    """What Hydra shows of a config, or why it cannot."""
    told = io.StringIO()
    try:
        with redirect_stderr(told):
            _hydra_main()
    except Exception as error:
        raise DAFConfigError([Problem("config", first_line(error))]) from error
    except SystemExit as error:
        if error.code:  # Hydra's way to say that there is nothing of the kind
            raise DAFConfigError([Problem("command line", f"{told.getvalue().strip()}.")]) from error
        raise
    sys.stderr.write(told.getvalue())


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
    from daf.config.schemas import DAFNotifyConfig
    from daf.tasks.tracked import PARENT_RUN

    context = HydraConfig.get()
    with guarded():  # a launcher's process has not come through `main`
        # The whole is told of, and no single job.
        alone = {"output_dir": context.runtime.output_dir, "notify": DAFNotifyConfig(urls=())}
        config = validate(composed).model_copy(update=alone)
        if config.sweep.trial is not None:
            from daf.sweeps.hydra_trial import run_launched

            return run_launched(config)
        overrides, parent = tuple(context.overrides.task), os.environ.get(PARENT_RUN)
        return daf_run(config, overrides=overrides, parent_run_id=parent).objective


def _single(command: "CommandLine") -> None:
    """One job: composed once and checked once, before Hydra creates its folder."""
    from daf.cli.hydra_job import job_folder, run_as_job
    from daf.config.compose import compose_job, hydra_on, validate
    from daf.execution.progress import working
    from daf.tasks.outcome import incomplete

    with working("reading the config"):
        from daf.tasks import claimed_folder

        with hydra_on(command.config_dir, command.extra_config_dir) as hydra:
            composed = compose_job(hydra, command.overrides, command.config_name)
        validated = validate(composed)
    config = validated.model_copy(update={"output_dir": job_folder(composed, "hydra.run.dir")})
    _raise_if_any(given_in_vain(config.task.name, command.overrides))
    answer_as_json(config.result_format == "json")
    if (answer := _answered(config)) is not None:
        if answer.refused:
            raise DAFError(answer.refused)
        return
    found = _checked(config)
    unswept = [Problem("sweep.space", "is only swept with -m.", "Write: python -m daf.run -m ...")]
    # A pipeline hands the space on to the stages that are sweeps.
    swept = any(stage.sweep for stage in config.pipeline.stages.values())
    _raise_if_any([*found.errors, *(unswept if config.sweep.space and not swept else [])])
    overrides = tuple(composed.hydra.overrides.task)

    def work() -> None:
        for warning in found.warnings:  # again: the run's log exists only now
            log.warning("%s", warning)
        result = _run_checked(config, overrides, claim)
        if result.refused:
            raise DAFError(result.refused)
        if result.failed:
            raise DAFError(incomplete(result.failed))

    with claimed_folder(config) as claim:
        run_as_job(hydra, composed, command.config_name, work)


def _multirun(command: "CommandLine", folder: str) -> None:
    """A sweeper of somebody else's, under one parent run, after every value was checked."""
    from daf.config.override_secrets import override_without_secrets
    from daf.config.refusals import shortened
    from daf.tasks import noted_as_it_ends, notifying
    from daf.tasks.tracked import PARENT_RUN, tracked
    from daf.tracking.output_folder import Request, claimed

    configs = [config.model_copy(update={"output_dir": folder}) for config in command.configs()]
    for config in configs:
        _raise_if_any(_checked(config).errors)
    name = " ".join(["multirun", *map(override_without_secrets, command.overrides)])
    request = Request(what=shortened(name), digest=digest(name))
    with (
        notifying(configs[0]),
        claimed(Path(folder), request) as claim,
        noted_as_it_ends("multirun", Path(folder)) as ending,
        tracked(configs[0], name, command.overrides, claim, kind="multirun") as tracker,
    ):
        ending.tracker = tracker
        os.environ[PARENT_RUN] = tracker.run_id
        try:
            _hydra_main()
        finally:
            del os.environ[PARENT_RUN]
        ending.finish(TaskResult(objective=None, metrics={"jobs": len(configs)}))


def _checked(config: "DAFConfig") -> "EnvironmentCheckResult":
    """Whether an experiment can run here; people are told that it takes a moment to find out."""
    from daf.environment_checks import daf_check_environment
    from daf.execution.progress import working

    folder = Path.cwd()
    try:
        with working("checking the environment"):
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
