"""The command line, read before Hydra acts on it: problems are found while nothing has been created yet."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from daf.config.paths import CONF_DIR
from daf.config.refusals import shortened
from daf.errors import DAFConfigError, Problem
from daf.files import is_file, is_folder

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from daf.config import DAFConfig

#: Values of one swept key that are validated in advance.
MOST_VALUES = 64
_MULTIRUN = re.compile(r"\+*hydra\.mode=['\"]?MULTIRUN['\"]?")


@dataclass(frozen=True)
class CommandLine:
    """What the user asked for.

    Attributes:
        overrides: everything that is not a flag.
        multirun: whether `-m` was given.
        only_hydra: whether Hydra alone acts (`--cfg`, `--info`, shell completion, `--experimental-rerun`).
        config_dir: folder of the primary config.
        config_name: the primary config.
        extra_config_dir: the folder given as `--config-dir`, or None.
    """

    overrides: tuple[str, ...]
    multirun: bool
    only_hydra: bool
    config_dir: Path
    config_name: str
    extra_config_dir: Path | None

    def with_policys_game(self, arguments: Sequence[str]) -> "tuple[CommandLine, list[str]]":
        """The same, and its arguments, with what a policy that is named by where it is kept brings along.

        Raises:
            DAFConfigError: it names nothing that is kept.
        """
        options = self.config_dir / "policy"
        named = [text.removeprefix("policy=") for text in self.overrides if text.startswith("policy=")]
        if all(is_file(options / f"{name}.yaml") for name in named):
            return self, list(arguments)
        from daf.config.compose import with_policys_game  # with the schemas, which `--cfg` does without

        told = with_policys_game(
            self.overrides,
            config_dir=self.config_dir,
            config_name=self.config_name,
            extra_dir=self.extra_config_dir,
        )
        if list(told) == list(self.overrides):
            return self, list(arguments)
        # Hydra's parser wants overrides side by side, wherever that is.
        at = arguments.index(self.overrides[0])
        flags = [text for text in arguments if text not in self.overrides]
        return replace(self, overrides=tuple(told)), [*flags[:at], *told, *flags[at:]]

    def configs(self) -> "tuple[DAFConfig, ...]":
        """A multirun's validated configs: one for every value of every swept key, the first combination first.

        Raises:
            DAFConfigError: naming every problem at once.
        """
        from daf.config import daf_load_config  # with the schemas, which `--cfg` does without

        configs: list[DAFConfig] = []
        problems: list[Problem] = []
        for overrides in self._combinations():
            try:
                configs.append(
                    daf_load_config(
                        overrides=overrides,
                        config_dir=self.config_dir,
                        config_name=self.config_name,
                        extra_dir=self.extra_config_dir,
                    )
                )
            except DAFConfigError as error:
                problems.extend(problem for problem in error.problems if problem not in problems)
        if problems:
            raise DAFConfigError(problems)
        return tuple(configs)

    def asks_for_sweep(self) -> bool:
        """Whether there is `-m`, or a config file of the user's that means the same (`hydra.mode: MULTIRUN`)."""
        if self.multirun or (self.config_dir, self.config_name, self.extra_config_dir) == (CONF_DIR, "config", None):
            return self.multirun
        from daf.config.compose import is_multirun  # with the schemas, which `--cfg` does without

        return is_multirun(self.overrides, self.config_dir, self.config_name, self.extra_config_dir)

    def sweep(self) -> "DictConfig":
        """What Hydra composes for the sweep.

        Raises:
            DAFConfigError: naming every problem at once.
        """
        from daf.config.compose import compose_sweep  # with the schemas, which `--cfg` does without

        return compose_sweep(self.overrides, self.config_dir, self.config_name, self.extra_config_dir)

    def _combinations(self) -> Iterator[list[str]]:
        """Overrides without sweeps: the first value of each, then every other value beside the others' first."""
        values = [list(_values(text)) for text in self.overrides]
        first = [of_key[0] for of_key in values]
        yield first
        for index, of_key in enumerate(values):
            for value in of_key[1:MOST_VALUES]:
                yield [*first[:index], value, *first[index + 1 :]]


def _values(text: str) -> Iterator[str]:
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException:
        yield text
        return
    if not override.is_sweep_override():
        yield text
    elif override.is_discrete_sweep():
        yield from (f"{_key(override)}={value}" for value in override.sweep_string_iterator())
    else:
        interval = override.value()
        yield from (f"{_key(override)}={value}" for value in (interval.start, interval.end))


def _key(override: Override) -> str:
    return override.input_line.partition("=")[0] if override.input_line else override.key_or_group


def read_command_line(arguments: Sequence[str]) -> CommandLine:
    """Reads Hydra's flags and overrides. Ends the process with exit code 2 on an unknown flag.

    Raises:
        DAFConfigError: a flag that needs another one, or a folder that is not there.
    """
    parsed = get_args_parser().parse_args(list(arguments))
    if parsed.resolve and not parsed.cfg:
        raise DAFConfigError([Problem("--resolve", "is only for --cfg.")])
    if parsed.package and not parsed.cfg:
        raise DAFConfigError([Problem("--package", "is only for --cfg.")])
    shows = (parsed.help, parsed.hydra_help, parsed.cfg, parsed.info, parsed.shell_completion)
    if sum(map(bool, (*shows, parsed.run, parsed.multirun))) > 1:
        what = "only one of --cfg, --info, --hydra-help, --shell-completion, --run and --multirun at a time."
        raise DAFConfigError([Problem("command line", what)])
    for flag, folder in (("--config-dir", parsed.config_dir), ("--config-path", parsed.config_path)):
        if folder is not None and not (folder and is_folder(Path(folder))):
            raise DAFConfigError([Problem(flag, f"there is no folder {shortened(folder)!r}.")])
    if parsed.config_name == "":
        raise DAFConfigError([Problem("--config-name", "names no config.", "Leave it out, or give a name.")])
    if (rerun := parsed.experimental_rerun) is not None and not is_file(Path(rerun)):
        raise DAFConfigError([Problem("--experimental-rerun", f"there is no file {shortened(rerun)!r}.")])
    extra = Path(parsed.config_dir) if parsed.config_dir else None
    return CommandLine(
        overrides=tuple(parsed.overrides),
        # Hydra's other way to ask for it.
        multirun=parsed.multirun or any(map(_MULTIRUN.fullmatch, parsed.overrides)),
        only_hydra=any(shows) or parsed.experimental_rerun is not None,
        config_dir=Path(parsed.config_path) if parsed.config_path else CONF_DIR,
        config_name=parsed.config_name or "config",
        extra_config_dir=extra,
    )
