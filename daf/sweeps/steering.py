"""Steering a sweep from outside: stop a trial, stop the sweep after its running trials, try a point next.

Requests are notes in the study's storage, which the sweep looks at every second; so they reach one on another machine,
and one that is interrupted finds them when it goes on. Every function says in a sentence what becomes of the request.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from daf.config.override_syntax import plain
from daf.config.schemas import DAFConfig
from daf.errors import DAFConfigError, DAFError, Problem, first_line
from daf.sweeps.space import Space, parse_ranges, trial_name
from daf.sweeps.study import StudyTrial, StudyView, load_stored


def find_study(config: DAFConfig, name: str, *, read_only: bool = False) -> StudyView:
    """The study of a name, in the storage that a config leads to.

    Raises:
        DAFConfigError: there is none.
    """
    named = config.model_copy(update={"sweep": config.sweep.model_copy(update={"name": name})})
    try:
        return load_stored(named, read_only=read_only)
    except DAFConfigError:
        raise
    except DAFError as error:
        hint = "Its name stands in the sweep's first lines; tracking.uri=... or sweep.storage=... say where it is kept."
        raise DAFConfigError([Problem("sweep", f"{error}.", hint)]) from error


def stop_trial(study: StudyView, number: int) -> str:
    """Asks a running trial to end: it counts as stopped by the user, is not tried again, and its MLflow run is KILLED.

    Raises:
        DAFConfigError: there is no such trial, or it has ended.
    """
    trials = study.trials()
    if not 0 <= number < len(trials):
        last = f"its trials are 0 to {len(trials) - 1}" if trials else "it has none yet"
        raise DAFConfigError([Problem("trial", f"study {study.name} has no trial {number}: {last}.")])
    trial = trials[number]
    try:
        if not trial.is_finished:
            study.ask_to_stop(number)
    except Exception as error:  # it may have ended in this very moment, which every storage says in its own way
        trial = study.trials()[number]
        if not trial.is_finished:
            raise DAFError(f"trial {number} of {study.name} could not be stopped: {first_line(error)}") from error
    if trial.is_finished:
        raise DAFConfigError([Problem("trial", f"trial {number} of {study.name} has ended: {trial.state.lower()}.")])
    return _of_stop(study, trial)


def _of_stop(study: StudyView, trial: StudyTrial) -> str:
    what = f"trial {trial.number} of {study.name}"
    if trial.state == "WAITING":
        return f"{what} has not begun; it ends as stopped instead."
    if study.is_dead(trial.facts.owner):
        return f"{what} was left behind by a process that is gone; it ends as stopped when the sweep goes on."
    return f"{what} stops after its current epoch or episode."


def stop_sweep(study: StudyView) -> str:
    """Asks that no more trials begin. What runs is finished, confirmed and concluded; the same command goes on later.

    Raises:
        DAFConfigError: nobody runs the sweep.
    """
    if not is_at_work(study):
        what = f"nobody runs {study.name} at the moment."
        raise DAFConfigError([Problem("sweep", what, "A request would not hold for who goes on with it later.")])
    study.record(stops=study.facts.stops + 1)
    running = [trial for trial in study.trials() if trial.state == "RUNNING"]
    return (
        f"{study.name} begins no more trials. {len(running)} still running are finished, then the best are confirmed;"
        " the same command goes on with the rest."
    )


def is_at_work(study: StudyView) -> bool:
    """Whether a living process works on a study, as far as can be told from here."""
    return any(not study.is_dead(owner) for owner in study.facts.heartbeats)


def space_of(study: StudyView) -> Space:
    """What a study ranges over.

    Raises:
        DAFConfigError: it does not say.
    """
    ranges = ((study.facts.identity or {}).get("sweep") or {}).get("space")
    if not ranges:
        raise DAFConfigError([Problem("sweep", f"study {study.name} does not say what it ranges over.")])
    return Space.from_config(parse_ranges(ranges))


def read_point(texts: Sequence[str]) -> dict[str, Any]:
    """``key=value`` texts as a point, read as the command line reads them.

    Raises:
        DAFConfigError: one of them assigns nothing, or several values.
    """
    point: dict[str, Any] = {}
    problems: list[Problem] = []
    for text in texts:
        try:
            override = OverridesParser.create().parse_override(text)
        except HydraException as error:
            problems.append(Problem(text, f"cannot be read: {first_line(error)}."))
            continue
        if override.is_sweep_override() or override.is_delete():
            problems.append(Problem(text, "a point has one value for each key."))
        else:
            point[override.key_or_group] = plain(override.value())
    if problems:
        raise DAFConfigError(problems)
    return point


def enqueue(study: StudyView, point: Mapping[str, Any]) -> str:
    """Has a sweep try a point as soon as a worker is free; keys that it leaves out are sampled.

    Args:
        point: swept key to value, as in `sweep.enqueue`; for a key with a transform the x of it.

    Raises:
        DAFConfigError: a key is not swept, a value is not in its range, or a trial has the point already.
    """
    sampled = _sampled(study, space_of(study), point)
    twin = next((trial for trial in study.trials() if _tries(trial, sampled)), None)
    if twin is not None:
        raise DAFConfigError([Problem("point", f"trial {twin.number} of {study.name} has it already.")])
    number = study.enqueue(sampled)
    when = "as soon as a worker is free" if is_at_work(study) else "when the sweep goes on; nobody runs it now"
    return f"{trial_name(point)} is trial {number} of {study.name}, and begins {when}."


def _sampled(study: StudyView, space: Space, point: Mapping[str, Any]) -> dict[str, Any]:
    swept = {parameter.path: parameter for parameter in space.parameters}
    known = ", ".join(f"{path} ({parameter.range_text()})" for path, parameter in swept.items())
    problems: list[Problem] = []
    sampled: dict[str, Any] = {}
    if not point:
        problems.append(Problem("point", "names no key.", f"Swept: {known}."))
    for key, value in point.items():
        parameter = swept.get(key.lstrip("+"))
        if parameter is None:
            problems.append(Problem(key, f"is not swept in {study.name}.", f"Swept: {known}."))
            continue
        try:
            sampled[parameter.name] = parameter.fitting(value)
        except ValueError as error:
            problems.append(Problem(key, f"{error}."))
    if problems:
        raise DAFConfigError(problems)
    return sampled


def _tries(trial: StudyTrial, sampled: Mapping[str, Any]) -> bool:
    """Whether a trial has exactly a point, or waits to be given it."""
    return dict(trial.asked) == dict(sampled) if trial.state == "WAITING" else trial.params == dict(sampled)
