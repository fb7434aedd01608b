"""Overrides that Hydra would misread, let pass or end in a traceback for, found before it sees them."""

from collections.abc import Iterator, Sequence

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from daf.config.suggestions import nearest
from daf.errors import Problem, first_line

LONGEST = 200
#: Where else config groups are looked for.
SEARCH_PATH = "hydra.searchpath"
#: What a group takes beside its options.
ALSO = {"policy": " Or the output folder, the checkpoint folder or the MLflow run id of a training."}


def shortened(text: object) -> str:
    """A text that may be anything, for a message of one line."""
    line = " ".join(str(text).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."


def is_sweep(text: str) -> bool:
    """Whether an override that can be read gives its key several values."""
    return bool(OverridesParser.create().parse_override(text).is_sweep_override())


def refused_overrides(
    loader: ConfigLoaderImpl, config_name: str, overrides: Sequence[str], *, sweeps: bool
) -> dict[str, Problem]:
    """The overrides that cannot be meant as they stand, with what is wrong with each.

    Args:
        sweeps: whether a key may have several values.
    """
    paths = [override for override in overrides if override.lstrip("+").startswith(SEARCH_PATH)]
    refused: dict[str, Problem] = {}
    for text in overrides:
        try:
            override = OverridesParser.create(config_loader=loader).parse_override(text)
        except Exception as error:  # Hydra's, and what its parser did not expect
            what = f"cannot be read: {shortened(first_line(error))}."
            refused[text] = Problem(shortened(text), what, "Use key=value; quote values with commas.")
            continue
        problem = next(_problems(loader, config_name, paths, override, sweeps), None)
        if problem:
            refused[text] = problem
    return refused


def _problems(
    loader: ConfigLoaderImpl, config_name: str, paths: list[str], override: Override, sweeps: bool
) -> Iterator[Problem]:
    key = override.key_or_group
    if not key:
        yield Problem(shortened(override.input_line), "names no key.", "Use key=value.")
        return
    if override.is_sweep_override():
        if not sweeps:
            hint = f"Add -m for a run with each of them; write {key}=[...] for a list, or quote a text with commas."
            yield Problem(key, "several values make a sweep.", hint)
        yield from _sweep_problems(key, override)
        return
    if override.is_delete() or key.startswith("hydra"):
        return
    options = _options(loader, config_name, paths, key)
    if options:
        yield from _option_problems(key, override, options)


def _options(loader: ConfigLoaderImpl, config_name: str, paths: list[str], group: str) -> list[str]:
    try:
        return list(loader.get_group_options(group, config_name=config_name, overrides=paths))
    except Exception:  # the primary config is what cannot be read: composing says so
        return []


def _option_problems(key: str, override: Override, options: Sequence[str]) -> Iterator[Problem]:
    value = override.value()
    if isinstance(value, dict):  # the section itself, whole
        return
    for choice in value if isinstance(value, list) else [value]:
        if isinstance(choice, str) and (choice in options or "/" in choice or "${" in choice):
            continue
        hint = nearest(str(choice), options) + ALSO.get(key, "")
        if override.is_force_add() or override.is_add():
            hint = f"Without a plus sign: {key}={options[0]}. {hint}"
        yield Problem(key, f"there is no option {shortened('null' if choice is None else repr(choice))}.", hint)


def _sweep_problems(key: str, override: Override) -> Iterator[Problem]:
    sweep = override.value()
    if isinstance(sweep, IntervalSweep):
        start, end = sweep.start, sweep.end
        if start is None or end is None or not start <= end:
            yield Problem(key, f"{start} to {end} is no range.", "Write the smaller number first: interval(1, 5).")
    elif isinstance(sweep, RangeSweep):
        start, stop, step = sweep.start, sweep.stop, sweep.step
        if start is None or stop is None or step == 0 or (stop - start) * step <= 0:
            hint = "Write range(start, stop, step), with a step that leads from start to stop."
            yield Problem(key, f"range({start}, {stop}, {step}) holds no value.", hint)
    elif _is_empty(override):
        yield Problem(key, "nothing is swept.", "Write key=1,2 or choice(1, 2).")


def _is_empty(override: Override) -> bool:
    try:
        return next(iter(override.sweep_iterator()), None) is None
    except HydraException:
        return True
