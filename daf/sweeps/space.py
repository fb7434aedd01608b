"""Search spaces: what a sweep varies, in Optuna's terms and in the config's."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from daf.config.explain import explain_validation
from daf.config.expressions import evaluate_expression
from daf.config.override_syntax import override_text
from daf.config.schemas import DAFConfig, DAFParameterConfig
from daf.config.sections import VALUE_KEYS
from daf.config.whole_numbers import takes_whole_numbers
from daf.errors import DAFConfigError, Problem

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

#: Points of a grid that are still written out.
MOST_POINTS = 10_000
#: Digits of a number in a name that nobody rounded.
LONGEST_NUMBER = 10

#: What a trial sets: key as on the command line (with its ``+``) to the config's value.
Assignments = dict[str, Any]
#: Turns assignments into a validated config; raises DAFConfigError where there is none.
Compose = Callable[[Mapping[str, Any]], DAFConfig]


def is_group(key: str) -> bool:
    """Whether a key of the command line names a config group."""
    return "." not in key and key.lstrip("+") not in VALUE_KEYS


@dataclass(frozen=True)
class Parameter:
    """One swept key.

    Attributes:
        key: as on the command line: a dotted path, with a leading ``+`` where it is new, or a config group.
    """

    key: str
    config: DAFParameterConfig

    @classmethod
    def of(cls, key: str, config: DAFParameterConfig) -> "Parameter":
        """A key with what it ranges over: whole numbers where the key takes no others and the ends are whole."""
        ends = (config.low, config.high, config.step)
        whole = config.choices is None and not config.transform and not any((end or 0) % 1 for end in ends)
        if whole and takes_whole_numbers(key.lstrip("+")):
            return cls(key, config.model_copy(update={"type": "int"}))
        return cls(key, config)

    @property
    def path(self) -> str:
        """The key without its plus signs."""
        return self.key.lstrip("+")

    @property
    def is_group(self) -> bool:
        """Whether the values are options of a config group."""
        return is_group(self.key)

    @property
    def name(self) -> str:
        """The name in the study; it tells where the study holds another number than the config."""
        transform = self.config.transform
        return f"{self.path} (x of {transform})" if transform else self.path

    def finite_values(self) -> list[Any] | None:
        """Every sampled value in order, or None where there are infinitely (or too) many."""
        config = self.config
        if config.choices is not None:
            return list(self._choices)
        low, high, step = self._bounds()
        if config.log or step is None or (high - low) / step >= MOST_POINTS:
            return None
        values = (low + index * step for index in range(math.floor((high - low) / step + 1e-9) + 1))
        return [int(value) if config.type == "int" else float(f"{value:.12g}") for value in values]

    def probes(self) -> list[Any]:
        """Sampled values that show whether the key takes what it may be given: all choices, or ends and between."""
        if self.config.choices is not None:
            return list(self._choices)
        low, high, step = self._bounds()
        between = low + 0.382 * (high - low)
        if step:
            between = low + (between - low) // step * step
        return list(dict.fromkeys(map(self._cast, (low, between, high))))

    def contains(self, sampled: Any) -> bool:
        """Whether the study may sample a value."""
        if self.config.choices is not None:
            return self.sampled(sampled) in self._choices
        low, high, _ = self._bounds()
        return isinstance(sampled, int | float) and low <= sampled <= high

    def fitting(self, value: Any) -> Any:
        """The sampled value for one that a user wrote down, in the type that the study keeps.

        Raises:
            ValueError: the key does not range over it; the message says over what it does.
        """
        sampled = self.sampled(value)
        number = isinstance(sampled, int | float) and not isinstance(sampled, bool)
        if not self.contains(sampled) or not (number or self.config.choices is not None):
            raise ValueError(f"{value!r} is not among what it ranges over: {self.range_text()}")
        if self.config.choices is not None:
            return next(choice for choice in self._choices if choice == sampled)
        low, _, step = self._bounds()
        steps = (sampled - low) / step if step else 0.0
        if abs(steps - round(steps)) > 1e-9 * max(1.0, abs(steps)):
            raise ValueError(f"{value!r} is between two of its steps: {self.range_text()}")
        return int(sampled) if self.config.type == "int" else float(sampled)

    def range_text(self) -> str:
        """What it ranges over, in words."""
        if self.config.choices is not None:
            return f"one of {', '.join(map(str, self._choices))}"
        low, high, step = self._bounds()
        whole = "whole numbers from " if self.config.type == "int" else ""
        steps = f" in steps of {step:g}" if self.config.step is not None else ""
        return f"{whole}{low:g} to {high:g}{steps}{f' (x of {self.config.transform})' if self.config.transform else ''}"

    def distribution(self) -> "BaseDistribution":
        """What the study samples it from."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        config = self.config
        if config.choices is not None:
            return CategoricalDistribution(list(self._choices))
        low, high, step = self._bounds()
        if config.type == "int":
            return IntDistribution(int(low), int(high), step=int(step or 1), log=config.log)
        return FloatDistribution(low, high, step=step, log=config.log)

    def suggest(self, trial: "optuna.Trial") -> Any:
        """Has the study sample a value."""
        from optuna.distributions import CategoricalDistribution, IntDistribution

        drawn: Any = self.distribution()
        if isinstance(drawn, CategoricalDistribution):
            return trial.suggest_categorical(self.name, drawn.choices)
        if isinstance(drawn, IntDistribution):
            return trial.suggest_int(self.name, drawn.low, drawn.high, step=drawn.step, log=drawn.log)
        return trial.suggest_float(self.name, drawn.low, drawn.high, step=drawn.step, log=drawn.log)

    def value(self, sampled: Any) -> Any:
        """The config's value for a sampled one.

        Raises:
            ValueError: the transform has no value there.
        """
        chosen = self._choices[sampled] if self.config.choices is not None else sampled
        return evaluate_expression(self.config.transform, chosen) if self.config.transform else chosen

    def sampled(self, value: Any) -> Any:
        """How the study names a value that a user wrote down: a choice that is a list or a mapping becomes text."""
        return _label(value)

    @cached_property
    def _choices(self) -> dict[Any, Any]:
        # Optuna stores scalars only.
        return {_label(choice): choice for choice in self.config.choices or ()}

    def _bounds(self) -> tuple[float, float, float | None]:
        assert self.config.low is not None and self.config.high is not None, "the schema wants both or choices"
        step = 1.0 if self.config.type == "int" and self.config.step is None else self.config.step
        return self.config.low, self.config.high, step

    def _cast(self, value: float) -> float:
        return int(value) if self.config.type == "int" else value


def _label(choice: Any) -> Any:
    scalar = choice is None or isinstance(choice, bool | int | float | str)
    return choice if scalar else override_text("", choice)[1:]


def parse_ranges(space: Mapping[str, Any]) -> dict[str, DAFParameterConfig]:
    """What every key ranges over.

    Args:
        space: key to values in any form that `sweep.space` takes.

    Raises:
        DAFConfigError: a value is no range and no list of choices.
    """
    try:
        return {key: DAFParameterConfig.model_validate(value) for key, value in space.items()}
    except ValidationError as error:
        raise DAFConfigError(explain_validation(error)) from error


@dataclass(frozen=True)
class Space:
    """All swept keys: groups first, conditional keys after those that they depend on."""

    parameters: tuple[Parameter, ...]

    @classmethod
    def from_config(cls, space: Mapping[str, DAFParameterConfig]) -> "Space":
        """The space of `sweep.space`.

        Raises:
            DAFConfigError: conditions that depend on each other.
        """
        parameters = [Parameter.of(key, config) for key, config in space.items()]
        waiting = sorted(parameters, key=lambda parameter: (not parameter.is_group, bool(parameter.config.when)))
        ordered: list[Parameter] = []
        while waiting:
            open_paths = {parameter.path for parameter in waiting}
            ready = next((parameter for parameter in waiting if not open_paths & set(parameter.config.when)), None)
            if ready is None:
                what = f"{', '.join(sorted(open_paths))} depend on each other, or on themselves."
                raise DAFConfigError([Problem("sweep.space", what)])
            waiting.remove(ready)
            ordered.append(ready)
        return cls(tuple(ordered))

    @property
    def is_finite(self) -> bool:
        """Whether a grid can hold every point."""
        return all(parameter.finite_values() is not None for parameter in self.parameters)

    def suggest(self, trial: "optuna.Trial", compose: Compose) -> Assignments:
        """Has the study sample every key that applies.

        Raises:
            ValueError: a transform has no value for what was sampled.
            DAFConfigError: the sampled groups do not go together.
        """
        assignments: Assignments = {}
        for parameter in self.parameters:
            if self.applies(parameter, assignments, compose):
                assignments[parameter.key] = parameter.value(parameter.suggest(trial))
        return assignments

    def points(self, compose: Compose) -> list[dict[str, Any]] | None:
        """As `grid`; None where there is no end, or one that is too far."""
        try:
            return self.grid(compose) if self.is_finite else None
        except (ValueError, DAFConfigError):
            return None

    def grid(self, compose: Compose) -> list[dict[str, Any]]:
        """Every point of the grid once, as sampled values under the study's names.

        Raises:
            ValueError: it has no end, or more than `MOST_POINTS` points.
        """
        values = [parameter.finite_values() for parameter in self.parameters]
        endless = [parameter.path for parameter, its in zip(self.parameters, values, strict=True) if its is None]
        if endless:
            raise ValueError(f"a grid needs finitely many values: {', '.join(endless)} has a continuous range")
        if math.prod(len(each or ()) for each in values) > MOST_POINTS:
            raise ValueError(f"the grid has more than {MOST_POINTS:,} points; name a sampler instead")
        points: dict[str, dict[str, Any]] = {}
        for combination in itertools.product(*(each or () for each in values)):
            point = dict(self._point(combination, compose))
            points.setdefault(repr(point), point)
        return list(points.values())

    def _point(self, combination: tuple[Any, ...], compose: Compose) -> Iterator[tuple[str, Any]]:
        assignments: Assignments = {}
        for parameter, sampled in zip(self.parameters, combination, strict=True):
            if self.applies(parameter, assignments, compose):
                assignments[parameter.key] = parameter.value(sampled)
                yield parameter.name, sampled

    def applies(self, parameter: Parameter, assignments: Assignments, compose: Compose) -> bool:
        """Whether a key's condition holds, given what was sampled before it and the config for the rest."""
        return all(_lookup(key, assignments, compose) in allowed for key, allowed in parameter.config.when.items())


def _lookup(key: str, assignments: Assignments, compose: Compose) -> Any:
    for assigned, value in assignments.items():
        if assigned.lstrip("+") == key:
            return value
    groups = {assigned: value for assigned, value in assignments.items() if is_group(assigned)}
    return config_value(compose(groups), key)


def has_value(config: DAFConfig, path: str) -> bool:
    """Whether a dotted path leads to a value, and not nowhere or to a whole section."""
    parent, _, last = path.rpartition(".")
    section = config_value(config, parent) if parent else config.model_dump(mode="json")
    return isinstance(section, dict) and last in section and not isinstance(section[last], dict)


def config_value(config: DAFConfig, path: str) -> Any:
    """The value at a dotted path, or None where there is nothing."""
    node: Any = config.model_dump(mode="json")
    for part in path.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def trial_name(assignments: Mapping[str, Any]) -> str:
    """What varied, as short as it stays clear: ``lr=0.0003 ent_coef=0.01``."""
    paths = [key.lstrip("+") for key in assignments]
    last = [path.rpartition(".")[2] for path in paths]
    names = [name if last.count(name) == 1 else path for name, path in zip(last, paths, strict=True)]
    return " ".join(f"{name}={_short(value)}" for name, value in zip(names, assignments.values(), strict=True))


def _short(value: Any) -> str:
    if isinstance(value, float):
        # What somebody typed stands whole; a sampled number has more digits than anybody reads, and its zeros stay.
        texts = (f"{value:.{digits}g}" for digits in range(4, LONGEST_NUMBER + 1))
        return next((text for text in texts if float(text) == value), f"{value:#.4g}")
    return override_text("", value)[1:]
