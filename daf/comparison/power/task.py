"""`task=power`: plays a pilot as `task=compare` would, and says how many episodes or trainings a difference needs."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daf.comparison.algorithms import train_and_play
from daf.comparison.compare import (
    TOO_FEW_POLICIES,
    compared_policies,
    entrants,
    listed_policies,
    play_policies,
    trains_algorithms,
)
from daf.comparison.metric_advice import flat_metric
from daf.comparison.paired import incomplete_notes
from daf.comparison.power.findings import Needed, episode_curves, needed_notes, training_curves
from daf.config.commands import OF_COMPARISON, command_for
from daf.config.schemas import DAFConfig
from daf.episodes.kept import RECORDS
from daf.episodes.played import failure_notes, timeout_notes
from daf.errors import DAFConfigError, DAFError, Problem
from daf.records import EpisodeRecord
from daf.results import ResultTable, TaskResult, json_ready
from daf.tasks import Task
from daf.tracking.tracker import Tracker, metric_name
from daf.visualization.drawing import draw_files
from daf.visualization.power_plots import daf_plot_power
from daf.visualization.power_tables import episodes_table, trainings_table
from daf.visualization.text import number_text

if TYPE_CHECKING:
    from daf.statistics import EpisodesNeeded, TrainingsNeeded

Array = NDArray[np.float64]

FOLDER = "power"
#: Evaluation episodes for which trainings are computed, in those of the pilot.
MULTIPLES = (1, 2, 4, 8)


@dataclass(frozen=True, kw_only=True)
class PowerResult(TaskResult):
    """What a difference needs, and the pilot behind it.

    Attributes:
        episodes: for policies that do not train, pair by pair and difference by difference.
        trainings: the same for algorithms.
        records: the pilot's finished episodes.
    """

    episodes: "tuple[EpisodesNeeded, ...]"
    trainings: "tuple[TrainingsNeeded, ...]"
    records: tuple[EpisodeRecord, ...]


@dataclass(frozen=True, kw_only=True)
class _Pilot:
    """The scores of policies or algorithms, (trainings, missions, seeds), the episodes, and what is to be said."""

    scores: Mapping[str, Array]
    records: Sequence[EpisodeRecord]
    notes: Sequence[str]
    failed: int


def daf_required_episodes(config: DAFConfig, tracker: Tracker) -> PowerResult:
    """Plays a pilot and says how many episodes, and for algorithms trainings, `power.difference` needs.

    The pilot is what `daf_compare_policies` would play for the same config, with a fixed number of episodes. What is
    needed is what that comparison needs at `comparison.level`, all pairs together.

    Raises:
        DAFConfigError: there is nothing to compare, or the pilot would have no spread.
        DAFError: too few seeds were finished by all.
    """
    if problems := _problems(config):
        raise DAFConfigError(problems)
    options = config.comparison.model_copy(update={"stopping": "fixed"})
    pilot = _play(config.model_copy(update={"comparison": options}), tracker)
    found = _needed(pilot.scores, config)
    _log(found, tracker)
    draw_files(tracker, f"{FOLDER}/plots", _plots(found))
    return PowerResult(
        objective=None,
        tables=_tables(found),
        notes=(*needed_notes(found), *pilot.notes, *timeout_notes(pilot.records)),
        failed=pilot.failed,
        files={"data": tracker.output_dir / FOLDER / "power.json", "records": tracker.output_dir / FOLDER / RECORDS},
        next=_next(config, found),
        episodes=found.episodes,
        trainings=found.trainings,
        records=tuple(pilot.records),
    )


def _play(config: DAFConfig, tracker: Tracker) -> _Pilot:
    if config.comparison.trainings:
        trained, by_algorithm = train_and_play(config, tracker, FOLDER)
        notes = trained.notes(FOLDER)
        pilot = _Pilot(scores=by_algorithm, records=trained.records, notes=notes, failed=len(trained.failures))
    else:
        played = play_policies(config, tracker, FOLDER)
        scores, failures = played.scores, played.failures
        flat = flat_metric(scores, played.records)
        notes = [*([flat] if flat else []), *incomplete_notes(scores), *failure_notes(failures, FOLDER)]
        by_policy = dict(zip(scores.policies, scores.values[:, None], strict=True))
        pilot = _Pilot(scores=by_policy, records=played.records, notes=notes, failed=len(failures))
    _check_size(pilot.scores)
    return pilot


def _check_size(scores: Mapping[str, Array]) -> None:
    from daf.statistics.estimates import MIN_EPISODES, not_enough

    episodes = next(iter(scores.values())).shape[-1]
    if episodes < MIN_EPISODES:
        raise DAFError(
            f"the pilot says nothing about the spread: {not_enough(episodes, MIN_EPISODES)} that all finished;"
            f" {FOLDER}/failures.txt tells why"
        )


def _needed(scores: Mapping[str, Array], config: DAFConfig) -> Needed:
    """Pairs of which one trains need trainings, all others episodes; all share the error rate."""
    from daf.statistics import episodes_needed, trainings_needed

    power, level = config.power.power, config.comparison.level
    differences, unit = _differences(scores, config)
    names, single = list(scores), np.array([values[0] for values in scores.values()])
    pairs = episodes_needed(single, names, list(differences), power=power, level=level)
    trained = {name for name, values in scores.items() if len(values) > 1}
    counts = tuple(single.shape[-1] * multiple for multiple in MULTIPLES)
    return Needed(
        names=differences,
        episodes=tuple(pair for pair in pairs if not trained & {pair.first, pair.second}),
        trainings=trainings_needed(scores, list(differences), counts, power=power, level=level),
        counts=counts,
        pairs=len(names) * (len(names) - 1) // 2,
        unit=unit,
        metric=config.comparison.metric,
        power=power,
        level=level,
    )


def _differences(scores: Mapping[str, Array], config: DAFConfig) -> tuple[dict[float, str], str]:
    """The difference that is asked for, or Cohen's three in the pilot's standard deviations, each with its name.

    Returns:
        The differences, and a sentence about the standard deviation where there is one.
    """
    from daf.statistics import score_sd, training_sd
    from daf.statistics.power import EFFECTS

    if config.power.difference is not None:
        return {config.power.difference: number_text(config.power.difference)}, ""
    sd, what = training_sd(scores), "of a training's mean, over the algorithms that train"
    if not sd:
        sd, what = score_sd(np.array([values[0] for values in scores.values()])), "of an episode, over all policies"
    names = {effect * sd: f"{number_text(effect * sd)} ({effect:g} sd)" for effect in EFFECTS if sd}
    return names, f"sd: the pilot's standard deviation {what}, {number_text(sd)}." if sd else ""


def _tables(found: Needed) -> tuple[ResultTable, ...]:
    tables = []
    if found.trainings:
        tables.append(trainings_table(found.trainings, found.names, found.counts))
    if found.episodes:
        tables.append(episodes_table(found.episodes, found.names, found.level))
    return tuple(tables)


def _plots(found: Needed) -> dict[str, Callable[[Path], Path]]:
    drawn = {
        "trainings.png": (*training_curves(found), "trainings of each algorithm"),
        "episodes.png": (*episode_curves(found), "episodes per policy and mission"),
    }
    plot = partial(daf_plot_power, power=found.power, level=found.level)
    return {
        name: partial(plot, curves, unit=unit, title=f"{pair}, {found.metric}")
        for name, (pair, curves, unit) in drawn.items()
        if curves
    }


def _log(found: Needed, tracker: Tracker) -> None:
    metrics: dict[str, float] = {}
    for each in found.episodes:
        if each.paired and each.paired.value:
            metrics[_metric("episodes", each)] = each.paired.value
    for trained in found.trainings:
        for count, need in trained.needs.items():
            if need.value:
                metrics[f"{_metric('trainings', trained)}/{count} episodes"] = need.value
    tracker.log_metrics(metrics)
    tracker.log_text(json.dumps(json_ready(asdict(found)), indent=1) + "\n", f"{FOLDER}/power.json")


def _next(config: DAFConfig, found: Needed) -> str | None:
    """The comparison that finds the difference that was asked for, where policies are compared that do not train."""
    needs = [each.paired.value for each in found.episodes if each.paired]
    if config.power.difference is None or found.trainings or not all(needs) or not needs:
        return None
    evaluation = config.evaluation.model_copy(update={"episodes": max(filter(None, needs))})
    return command_for(config.model_copy(update={"evaluation": evaluation}), "compare", OF_COMPARISON)


def _metric(what: str, each: "EpisodesNeeded | TrainingsNeeded") -> str:
    return metric_name(f"{FOLDER}/{what}", f"{each.first} - {each.second}", number_text(each.difference))


def _problems(config: DAFConfig) -> list[Problem]:
    """Of a pilot from which nothing could be learnt."""
    from daf.statistics.estimates import MIN_EPISODES

    problems = [] if entrants(config) > 1 else [TOO_FEW_POLICIES]
    if config.evaluation.episodes < MIN_EPISODES:
        hint = f"At least {MIN_EPISODES}; 20 tell the number that is needed up to a factor of two."
        problems.append(
            Problem("evaluation.episodes", "is too small for a pilot, whose spread nobody would know.", hint)
        )
    if config.comparison.trainings == 1:
        hint = "At least 2; 5 are better."
        problems.append(Problem("comparison.trainings", "is too small for a pilot: one training has no spread.", hint))
    return problems


POWER = Task(
    name="power",
    run=daf_required_episodes,
    policies=compared_policies,
    named_after=listed_policies,
    problems=_problems,
    trains=trains_algorithms,
    gives=frozenset({"data", "records"}),
)
