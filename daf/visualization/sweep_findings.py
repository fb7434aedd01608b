"""What a sweep found, as its pictures and its page take it: plain data that knows no storage."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from daf.results import ResultTable

#: So many complete trials are needed before anything is said about what mattered.
FEWEST_FOR_IMPORTANCE = 10
#: How a trial stands, in the order in which legends name them.
TrialState = Literal["complete", "pruned", "failed", "running"]
STATES: tuple[TrialState, ...] = ("complete", "pruned", "failed", "running")


@dataclass(frozen=True, kw_only=True)
class ParameterAxis:
    """One swept key as an axis.

    Attributes:
        name: short, unique among the axes.
        log: whether it is spread over magnitudes.
        choices: texts in their order, where values are not numbers; else empty.
    """

    name: str
    log: bool = False
    choices: tuple[str, ...] = ()

    def place(self, value: Any) -> float:
        """Where a value stands on the axis: the number, or the position of the choice."""
        return float(self.choices.index(str(value))) if self.choices else float(value)


@dataclass(frozen=True, kw_only=True)
class ShownTrial:
    """One trial.

    Attributes:
        values: one for each objective; empty unless complete.
        last: what a pruned trial last reported, else None.
        places: axis to where the trial stands on it; an axis that did not apply is absent.
        varied: what it varied, key to text, as a person would write it.
        lines: the reports of each training in it, step to value, a line each.
        about: how it failed, or whose repetition it is.
    """

    number: int
    state: TrialState
    values: tuple[float, ...] = ()
    last: float | None = None
    places: Mapping[str, float] = field(default_factory=dict)
    varied: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[tuple[tuple[int, float], ...], ...] = ()
    seconds: float | None = None
    baseline: bool = False
    run_id: str | None = None
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class SweepFindings:
    """A sweep, finished or not.

    Attributes:
        metrics, directions: the objectives, and what is better.
        axes: of the keys that vary among the trials.
        steps: what reports are counted in, such as agent steps.
        facts: what a reader needs to know beforehand, heading to text.
        tables: the space, and the confirmation where there is one.
        notes: sentences, the verdict first.
        best: number of the best trial; None with several objectives or without a complete trial.
        front: numbers of the trials on the Pareto front, where there are several objectives.
        command: what goes on with the sweep, where it is known.
    """

    name: str
    metrics: tuple[str, ...]
    directions: tuple[Literal["maximize", "minimize"], ...]
    trials: tuple[ShownTrial, ...]
    axes: tuple[ParameterAxis, ...] = ()
    steps: str = "agent steps"
    facts: Mapping[str, str] = field(default_factory=dict)
    tables: Sequence[ResultTable] = ()
    notes: Sequence[str] = ()
    best: int | None = None
    front: tuple[int, ...] = ()
    command: str | None = None

    def complete(self) -> list[ShownTrial]:
        """The trials with a value for each objective."""
        return [trial for trial in self.trials if trial.values]

    def placed(self, axes: Sequence[ParameterAxis]) -> Iterator[ShownTrial]:
        """The complete trials that stand on each of these axes."""
        return (trial for trial in self.complete() if all(axis.name in trial.places for axis in axes))

    def states(self) -> list[tuple[TrialState, list[ShownTrial]]]:
        """The trials by their state, without states that no trial is in."""
        by_state = ((state, [trial for trial in self.trials if trial.state == state]) for state in STATES)
        return [(state, trials) for state, trials in by_state if trials]


def spread_over_magnitudes(values: Sequence[float]) -> bool:
    """Whether positive numbers are told apart better on a logarithmic axis."""
    return min(values) > 0 and math.log10(max(values) / min(values)) > math.log10(20)
