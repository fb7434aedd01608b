"""A study as what its pictures and its page show."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from daf.config.schemas import DAFConfig
from daf.redaction import redactor
from daf.results import ResultTable
from daf.sweeps.identity import default_storage
from daf.sweeps.space import Parameter, Space, trial_name
from daf.sweeps.status import read_status
from daf.sweeps.study import StudyTrial, StudyView
from daf.tracking.provenance import package_versions
from daf.visualization.sweep_findings import (
    ParameterAxis,
    ShownTrial,
    SweepFindings,
    TrialState,
    spread_over_magnitudes,
)

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

STATES: Mapping[str, TrialState] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
#: Packages whose versions decide what a sweep finds.
VERSIONS = ("daf", "cogames", "mettagrid", "torch", "optuna")


def sweep_findings(study: StudyView, config: DAFConfig) -> SweepFindings:
    """Everything that is known about a study at this moment.

    Args:
        config: of the sweep.
    """
    trials = study.ran()
    axes = axes_of(trials)
    by_episode = config.sweep.pruner == "wilcoxon"
    best, facts = study.best_trials(1), study.facts
    several = len(study.directions) > 1
    return SweepFindings(
        name=study.name,
        metrics=tuple(config.objective.metric),
        directions=study.directions,
        trials=tuple(_shown(trial, axes, config, by_episode=by_episode) for trial in trials),
        axes=tuple(axes.values()),
        steps="episodes" if by_episode else "agent steps",
        facts=_facts(study, config),
        tables=tuple(_tables(study, config)),
        notes=(*([facts.verdict] if facts.verdict else []), f"{read_status(study)}."),
        best=best[0].number if best and not several else None,
        front=tuple(trial.number for trial in study.pareto_front()) if best and several else (),
        command=facts.command,
    )


def axes_of(trials: Sequence[StudyTrial]) -> dict[str, ParameterAxis]:
    """Name of a parameter in the study to its axis, for those that vary."""
    values: dict[str, list[Any]] = {}
    kinds: dict[str, BaseDistribution] = {}
    for trial in trials:
        kinds |= trial.distributions
        for name, value in trial.params.items():
            values.setdefault(name, []).append(value)
    varied = sorted(name for name, its in values.items() if len({repr(value) for value in its}) > 1)
    short = _short_names(varied)
    return {name: _axis(short[name], kinds[name], values[name]) for name in varied}


def _axis(name: str, kind: "BaseDistribution", values: Sequence[Any]) -> ParameterAxis:
    """Choices that are all numbers have an order, and lie on an axis of numbers."""
    choices = getattr(kind, "choices", None)
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if choices is None:
        return ParameterAxis(name=name, log=bool(getattr(kind, "log", False)))
    if len(numbers) == len(values):
        return ParameterAxis(name=name, log=spread_over_magnitudes(numbers))
    return ParameterAxis(name=name, choices=tuple(map(str, choices)))


def _short_names(names: Sequence[str]) -> dict[str, str]:
    """``training.gamma (x of 1 - x)`` is ``gamma (x of 1 - x)``, where no other key ends alike."""
    parts = {name: name.partition(" (") for name in names}
    last = {name: f"{path.rpartition('.')[2]}{bracket}{rest}" for name, (path, bracket, rest) in parts.items()}
    found = list(last.values())
    return {name: short if found.count(short) == 1 else name for name, short in last.items()}


def _shown(trial: StudyTrial, axes: Mapping[str, ParameterAxis], config: DAFConfig, *, by_episode: bool) -> ShownTrial:
    facts = trial.facts
    state = STATES.get(trial.state, "running")
    reports = sorted(trial.intermediate_values.items())
    return ShownTrial(
        number=trial.number,
        state=state,
        values=trial.values,
        last=reports[-1][1] if reports and state == "pruned" else None,
        places={axis.name: axis.place(trial.params[name]) for name, axis in axes.items() if name in trial.params},
        varied=_varied(facts.assignments) or {name: str(value) for name, value in trial.params.items()},
        lines=_lines(reports, _per_training(facts.config, config, by_episode=by_episode), by_episode=by_episode),
        seconds=facts.seconds,
        baseline=facts.baseline,
        run_id=facts.run_id,
        about=(facts.failure or "") if state == "failed" else "",
    )


def _varied(assignments: Mapping[str, Any]) -> dict[str, str]:
    """Short key to value, as a person would write it."""
    keys = _short_names([key.lstrip("+") for key in assignments])
    return {keys[key.lstrip("+")]: trial_name({key: value}).partition("=")[2] for key, value in assignments.items()}


def _per_training(own: Mapping[str, Any] | None, config: DAFConfig, *, by_episode: bool) -> int:
    """How many steps each training of a trial has in the numbers of its reports."""
    section, key = ("evaluation", "episodes") if by_episode else ("training", "num_steps")
    return int((own or {}).get(section, {}).get(key) or getattr(getattr(config, section), key))


def _lines(
    reports: Sequence[tuple[int, float]], length: int, *, by_episode: bool
) -> tuple[tuple[tuple[int, float], ...], ...]:
    """Reports one training at a time: the trainings of a trial count their steps one behind the other.

    A training ends with a whole epoch and so a little beyond `length`: what comes sooner after it than the first report
    of all came after the start is still its own.
    """
    first = 1 if by_episode else 0
    earliest = 0 if by_episode or not reports else reports[0][0] // 2
    lines: dict[int, list[tuple[int, float]]] = {}
    for step, value in reports:
        index, within = divmod(step + first - 1, length)
        if index and within + 1 < earliest:
            index, within = index - 1, within + length
        lines.setdefault(index, []).append((within + 1, value))
    return tuple(tuple(line) for _, line in sorted(lines.items()))


def _facts(study: StudyView, config: DAFConfig) -> dict[str, str]:
    sweep, mission = config.sweep, config.mission
    storage = sweep.storage or default_storage(config)
    started = [trial.started for trial in study.trials() if trial.started]
    versions = {name: version for name, version in package_versions().items() if name in VERSIONS}
    pairs = zip(config.objective.metric, study.directions, strict=True)
    return {
        "begun": f"{min(started):%Y-%m-%d %H:%M}" if started else "",
        "as of": f"{datetime.now():%Y-%m-%d %H:%M}",
        "task": config.task.name,
        "mission": " ".join(_mission(config)),
        "episode length": f"{mission.max_steps:,} steps" if mission.max_steps else "the mission's",
        "objective": ", ".join(f"{metric} ({direction})" for metric, direction in pairs),
        "policy": config.policy.spec().name,
        "training seeds": f"{sweep.seeds_per_trial} a trial, from {config.seed}",
        "evaluation": f"{config.evaluation.episodes} episodes a training",
        "chosen by": sweep.sampler or "grid or TPE",
        "ended early by": sweep.pruner or "nothing",
        "study": redactor().text(f"{study.name} in {storage}"),
        "MLflow run": study.facts.parent_run_id or "",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }


def _mission(config: DAFConfig) -> Iterator[str]:
    mission, variants = config.mission, config.variant.names
    yield ", ".join(config.evaluation.missions) or mission.name
    if variants:
        yield f"({', '.join(variants)})"
    if mission.cogs:
        yield f"with {mission.cogs} cogs"


def _tables(study: StudyView, config: DAFConfig) -> Iterator[ResultTable]:
    """The confirmation, where there is one, and what was searched."""
    if confirmation := study.facts.confirmation:
        columns, *rows = (tuple(map(str, row)) for row in confirmation)
        yield ResultTable("Confirmed on fresh seeds", columns, tuple(rows))
    if parameters := Space.from_config(config.sweep.space).parameters:
        rows = [(parameter.path, _range(parameter), _condition(parameter)) for parameter in parameters]
        yield ResultTable("Space", ("key", "values", "applies"), tuple(rows))


def _range(parameter: Parameter) -> str:
    config = parameter.config
    if config.choices is not None:
        return ", ".join(map(str, config.choices))
    scale, step = (" (logarithmic)" if config.log else ""), (f" by {config.step:g}" if config.step else "")
    transform = f", x of {config.transform}" if config.transform else ""
    return f"{config.low:g} to {config.high:g}{step}{scale}{transform}"


def _condition(parameter: Parameter) -> str:
    when = parameter.config.when
    return " and ".join(f"{key} is {' or '.join(map(str, allowed))}" for key, allowed in when.items()) or "always"
