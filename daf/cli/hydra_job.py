"""A composed config as a job of Hydra's, with its folder, its logging and its callbacks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from daf.config.refusals import shortened
from daf.errors import DAFConfigError, Problem, first_line
from daf.redaction import redactor


def job_folder(composed: DictConfig, key: str) -> str:
    """The absolute folder that Hydra will make for what is composed.

    Args:
        key: the folder's, ``hydra.run.dir`` or ``hydra.sweep.dir``.

    Raises:
        DAFConfigError: it names none, or jobs are to change the working directory.
    """
    if composed.hydra.job.chdir:
        what = "relative paths in the config are meant from the folder where DAF is started, so no job leaves it."
        raise DAFConfigError([Problem("hydra.job.chdir", what, "Leave it out: files of a run are in output_dir.")])
    before = HydraConfig.instance().cfg
    try:
        HydraConfig.instance().cfg = composed  # for ${hydra:...}; `set_config` would close it to changes
        folder = OmegaConf.select(composed, key)
    except (OmegaConfBaseException, ValueError) as error:
        raise DAFConfigError([Problem(key, f"names no folder: {shortened(first_line(error))}.")]) from error
    finally:
        HydraConfig.instance().cfg = before
    if folder is None or not str(folder).strip() or "\x00" in str(folder):
        raise DAFConfigError([Problem(key, "names no folder.", "Leave it out, and give output_dir.")])
    return str(Path(str(folder)).absolute())


def run_as_job(hydra: Hydra, composed: DictConfig, config_name: str, work: Callable[[], Any]) -> None:
    """Does what `Hydra.run` does after its composition, and raises what the work raises.

    Args:
        composed: the config with Hydra's section.
        work: is done once the job's output folder is there.

    Raises:
        DAFConfigError: Hydra cannot set the job up: its logging, its callbacks, its folder.
    """
    composed.hydra.mode = RunMode.RUN
    composed.hydra.output_subdir = None
    try:
        done = _done(hydra, composed, config_name, work)
    except Exception as error:  # what the work raises is not raised here
        what = f"Hydra cannot set up the job: {shortened(first_line(error.__cause__ or error))}."
        raise DAFConfigError([Problem("hydra", what)]) from error
    if done.status is JobStatus.FAILED:
        # `return_value` would print a version of the error of its own first.
        raise done._return_value


def _done(hydra: Hydra, composed: DictConfig, config_name: str, work: Callable[[], Any]) -> JobReturn:
    configure_log(composed.hydra.hydra_logging, composed.hydra.verbose)
    if composed.hydra.verbose:  # Hydra shows its plugins, search path and config while it composes
        overrides = [*composed.hydra.overrides.hydra, *composed.hydra.overrides.task]
        hydra.compose_config(config_name, overrides, RunMode.RUN, with_log_configuration=True)
    callbacks = Callbacks(composed)
    callbacks.on_run_start(config=composed, config_name=config_name)
    done = run_job(
        task_function=lambda _: work(),
        config=composed,
        job_dir_key="hydra.run.dir",
        job_subdir_key=None,
        hydra_context=HydraContext(config_loader=hydra.config_loader, callbacks=callbacks),
    )
    callbacks.on_run_end(config=composed, config_name=config_name, job_return=done)
    return done


def without_hydra_folder(arguments: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Hydra's arguments so that no job has a folder ``.hydra``, whatever its config says.

    Hydra would write config and overrides there with their secrets; DAF writes both without them.

    Args:
        overrides: those among the arguments. Hydra's parser wants them side by side.
    """
    last = len(arguments) - arguments[::-1].index(overrides[-1]) if overrides else len(arguments)
    return [*arguments[:last], "hydra.output_subdir=null", *arguments[last:]]


@contextmanager
def saves_without_secrets() -> Iterator[None]:
    """Blanks secrets in what Hydra and its sweepers save: ``multirun.yaml``, and the results of a sweeper."""
    save = OmegaConf.save

    def save_without_secrets(config: Any, f: Any, resolve: bool = False) -> None:
        plain = OmegaConf.to_container(config, resolve=resolve) if OmegaConf.is_config(config) else config
        save(OmegaConf.create(redactor().tree(plain)), f)

    OmegaConf.save = staticmethod(save_without_secrets)  # type: ignore[method-assign]
    try:
        yield
    finally:
        OmegaConf.save = staticmethod(save)  # type: ignore[method-assign]
