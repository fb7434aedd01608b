"""The command line, read before Hydra acts on it: problems are told while nothing has been created yet."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from daf.config import CONF_DIR, DAFConfig, daf_load_config
from daf.config.compose import sweeper_class
from daf.errors import DAFConfigError, Problem

#: Values of one swept key that are validated in advance.
MOST_VALUES = 64


@dataclass(frozen=True)
class CommandLine:
    """What the user asked for.

    Attributes:
        overrides: everything that is not a flag.
        multirun: whether `-m` was given.
        help: whether `--help` was given.
        only_informs: whether Hydra is to show something and run nothing (`--cfg`, `--info`, shell completion).
        config_dir: folder of the primary config.
        config_name: the primary config.
        extra_config_dir: the folder given as `--config-dir`, or None.
    """

    overrides: tuple[str, ...]
    multirun: bool
    help: bool
    only_informs: bool
    config_dir: Path
    config_name: str
    extra_config_dir: str | None

    @functools.lru_cache(maxsize=1)  # noqa: B019  (one command line a process)
    def configs(self) -> tuple[DAFConfig, ...]:
        """The validated config; in a multirun one for every value of every swept key, the first combination first.

        Raises:
            DAFConfigError: naming every problem at once.
        """
        configs: list[DAFConfig] = []
        problems: list[Problem] = []
        for overrides in self._combinations():
            try:
                configs.append(
                    daf_load_config(overrides=overrides, config_dir=self.config_dir, config_name=self.config_name)
                )
            except DAFConfigError as error:
                problems.extend(problem for problem in error.problems if problem not in problems)
        if problems:
            raise DAFConfigError(problems)
        return tuple(configs)

    def sweeper(self) -> str:
        """Class path of the sweeper that `-m` uses."""
        own = [override for override in self.overrides if override.startswith("hydra")]
        return sweeper_class(own, config_dir=self.config_dir, config_name=self.config_name)

    def _combinations(self) -> Iterator[list[str]]:
        """Overrides without sweeps: the first value of each, then every other value beside the others' first."""
        extra = [f"hydra.searchpath=[file://{Path(self.extra_config_dir).absolute()}]"] if self.extra_config_dir else []
        values = [list(_values(text)) if self.multirun else [text] for text in self.overrides]
        first = [own[0] for own in values]
        yield [*extra, *first]
        for index, own in enumerate(values):
            for value in own[1:MOST_VALUES]:
                yield [*extra, *first[:index], value, *first[index + 1 :]]


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
    """Reads Hydra's flags and overrides. Ends the process with exit code 2 on an unknown flag."""
    parsed = get_args_parser().parse_args(list(arguments))
    informs = (parsed.hydra_help, parsed.cfg, parsed.info, parsed.shell_completion)
    return CommandLine(
        overrides=tuple(parsed.overrides),
        multirun=bool(parsed.multirun),
        help=bool(parsed.help),
        only_informs=any(informs),
        config_dir=Path(parsed.config_path) if parsed.config_path else CONF_DIR,
        config_name=parsed.config_name or "config",
        extra_config_dir=parsed.config_dir,
    )
