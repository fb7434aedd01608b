"""Trains every algorithm several times, lets all trainings play the same episodes, and compares the algorithms."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daf.comparison.algorithms.contenders import contenders
from daf.comparison.checkpoints import weights_notes
from daf.comparison.trainings import trained_policies
from daf.comparison.winners import standing_facts
from daf.config.missions import mission_specs
from daf.config.schemas import DAFConfig
from daf.episodes.kept import RECORDS
from daf.episodes.plans import plan_episodes, unique_names
from daf.episodes.played import Played, log_episodes, play_matches, timeout_notes
from daf.errors import DAFError
from daf.records import EpisodeRecord, PolicySpec
from daf.results import TaskResult, json_ready
from daf.tracking.tracker import Tracker, metric_name
from daf.visualization.algorithm_tables import algorithm_pairs_table, algorithms_table
from daf.visualization.comparison_plots import daf_plot_performance_profiles, daf_plot_policy_comparison
from daf.visualization.drawing import draw_files
from daf.visualization.text import known_direction, metric_label, scope_name

if TYPE_CHECKING:
    from daf.statistics import AlgorithmComparison

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class AlgorithmComparisonResult(TaskResult):
    """A comparison of algorithms and the episodes behind it.

    Attributes:
        scores: algorithm to the metric, (trainings, missions, seeds).
        seeds: evaluation seeds that every training finished.
    """

    comparison: "AlgorithmComparison"
    scores: dict[str, Array]
    seeds: tuple[int, ...]
    records: tuple[EpisodeRecord, ...]


def compare_trained(config: DAFConfig, tracker: Tracker) -> AlgorithmComparisonResult:
    """Trains each algorithm `comparison.trainings` times on `mission` and compares them on the evaluation's missions.

    Run again in the same output folder, it trains only what is missing there.

    Raises:
        DAFConfigError: an algorithm that cannot be trained.
        DAFError: no seed was finished by every training on every mission.
    """
    from daf.statistics import compare_algorithms

    played, scores = train_and_play(config, tracker, "comparison")
    comparison = compare_algorithms(scores, level=config.comparison.level)
    _publish(comparison, scores, played.seeds, config, tracker)
    metric = config.comparison.metric
    direction = known_direction(metric, config.comparison.direction)
    means = {summary.name: summary.mean.value for summary in comparison.summaries}
    folder = tracker.output_dir / "comparison"
    return AlgorithmComparisonResult(
        objective=comparison.summaries[0].mean.value,
        tables=(
            algorithms_table(comparison, metric, direction),
            algorithm_pairs_table(comparison.pairs, comparison.level, "Algorithms in pairs"),
        ),
        notes=(*_notes(scores, config), *played.notes("comparison"), *timeout_notes(played.records)),
        facts=standing_facts(means, comparison.pairs, direction),
        files={"data": folder / "algorithms.json", "records": folder / RECORDS},
        comparison=comparison,
        scores=scores,
        seeds=tuple(played.seeds),
        records=played.records,
    )


def train_and_play(config: DAFConfig, tracker: Tracker, folder: str) -> tuple[Played, dict[str, Array]]:
    """Trains what is not trained yet, and lets all trainings play the same episodes, which `folder` keeps.

    Returns:
        The episodes, and algorithm to the metric, (trainings, missions, seeds).
    """
    missions, trainings = mission_specs(config), config.comparison.trainings
    entrants = {
        each.policy.name: trained_policies(each.config, each.policy, trainings, tracker)
        if each.trains
        else (each.policy,)
        for each in contenders(config)
    }
    policies = [policy for of_algorithm in entrants.values() for policy in of_algorithm]
    plans = [plan for mission in missions for policy in policies for plan in plan_episodes(config, mission, policy)]
    played = play_matches(config, plans, folder)
    log_episodes(tracker, folder, played.records, played.failures)
    if not played.seeds:
        raise DAFError(f"no seed was finished by every training; {folder}/failures.txt tells why")
    return played, _scores(played, entrants, [mission.name for mission in missions], config.comparison.metric)


def _scores(
    played: Played, entrants: Mapping[str, Sequence[PolicySpec]], missions: Sequence[str], metric: str
) -> dict[str, Array]:
    found = {(record.policies[0], record.mission_name, record.seed): record.value(metric) for record in played.records}
    return {
        name: np.array([[[found[p.name, m, seed] for seed in played.seeds] for m in missions] for p in policies])
        for name, policies in entrants.items()
    }


def _notes(scores: Mapping[str, Array], config: DAFConfig) -> list[str]:
    from daf.statistics import reliability

    counts = sorted({len(values) for values in scores.values()} - {1}) or [1]
    _, missions, episodes = next(iter(scores.values())).shape
    notes = [*reliability(counts[0], "trainings"), *reliability(episodes, "episodes")]
    notes.append(
        "What is said of an algorithm holds for other trainings and evaluation seeds than these. Each interval is for"
        " one number; p-values are corrected for all pairs. Algorithms that share a letter cannot be told apart."
    )
    notes += weights_notes(unique_names([policy.spec() for policy in config.comparison.policies]))
    if missions > 1:
        notes.append("Scores of missions are pooled as they are: the mission with the largest scale rules the means.")
    return notes


def _publish(
    comparison: "AlgorithmComparison",
    scores: Mapping[str, Array],
    seeds: Sequence[int],
    config: DAFConfig,
    tracker: Tracker,
) -> None:
    metrics: dict[str, float] = {}
    for summary in comparison.summaries:
        metrics[metric_name("comparison/mean", summary.name)] = summary.mean.value
        metrics[metric_name("comparison/iqm", summary.name)] = summary.iqm.value
    for pair in comparison.pairs:
        metrics[metric_name("comparison/difference", f"{pair.first} - {pair.second}")] = pair.difference.value
    tracker.log_metrics(metrics)
    data = {
        "metric": config.comparison.metric,
        "seeds": list(seeds),
        "scores": {name: values.tolist() for name, values in scores.items()},
        "comparison": asdict(comparison),
    }
    tracker.log_text(json.dumps(json_ready(data), indent=1) + "\n", "comparison/algorithms.json")
    draw_files(tracker, "comparison/plots", _plots(comparison, scores, config))


def _plots(
    comparison: "AlgorithmComparison", scores: Mapping[str, Array], config: DAFConfig
) -> dict[str, Callable[[Path], Path]]:
    metric = config.comparison.metric
    label = metric_label(metric, known_direction(metric, config.comparison.direction))
    title = scope_name([mission.name for mission in mission_specs(config)])
    means = {summary.name: summary.mean for summary in comparison.summaries}
    return {
        "algorithms.png": partial(
            daf_plot_policy_comparison,
            {name: values.mean(axis=(1, 2)).tolist() for name, values in scores.items()},
            intervals={name: (m.interval.low, m.interval.high) for name, m in means.items() if m.interval},
            level=comparison.level,
            metric=label,
            units="trainings",
            title=title,
        ),
        "profiles.png": partial(daf_plot_performance_profiles, comparison.profiles, metric=label, title=title),
    }
