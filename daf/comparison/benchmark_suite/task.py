"""`task=benchmark`: plays a suite of missions, scores the algorithms, and keeps what came out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from daf.comparison.benchmark_suite.normalised import (
    AlgorithmScore,
    SuiteScores,
    score_suite,
)
from daf.comparison.benchmark_suite.scales import Array, Scale
from daf.comparison.benchmark_suite.suite import (
    algorithm_policies,
    playable_missions,
    scripted_policies,
    suite_missions,
)
from daf.comparison.benchmark_suite.suite_tables import suite_notes, suite_tables
from daf.comparison.checkpoints import weights_notes
from daf.comparison.winners import standing_facts
from daf.config.schemas import DAFConfig
from daf.episodes.kept import RECORDS
from daf.episodes.plans import plan_episodes, warn_about_untrained
from daf.episodes.played import Played, log_episodes, play_matches, timeout_notes
from daf.errors import DAFError
from daf.records import EpisodeRecord, MissionSpec, PolicySpec
from daf.results import TaskResult, json_ready
from daf.tasks import KeyedPolicy, Task, keyed
from daf.tracking.tracker import Tracker, metric_name
from daf.visualization import daf_plot_policy_comparison
from daf.visualization.drawing import draw_files

if TYPE_CHECKING:
    from daf.statistics import AlgorithmPair


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult(TaskResult):
    """A played suite.

    Attributes:
        algorithms: in the order in which they were named.
        scripted: the policies that set the scale, noop first.
        scales: one for each mission that was played by all.
        pairs: all pairs of algorithms; empty where no mission has a scale.
        skipped: mission to the reason why it could not be built or finished.
        records: every finished episode.
    """

    algorithms: tuple[AlgorithmScore, ...]
    scripted: tuple[AlgorithmScore, ...]
    scales: tuple[Scale, ...]
    pairs: "tuple[AlgorithmPair, ...]"
    skipped: dict[str, str]
    records: tuple[EpisodeRecord, ...]


def daf_benchmark_suite(config: DAFConfig, tracker: Tracker) -> BenchmarkResult:
    """Plays a suite with `benchmark.algorithms`, noop and `benchmark.scripted`, and normalises the rewards.

    Every policy plays alone, on the same seeds; noop and the scripted policies also play as many seeds after these, on
    which the best of them is chosen. Missions that cannot be built here, or on which an episode failed, are left out
    and named; so are, in the scores, missions on which no scripted policy beats noop beyond chance.

    Raises:
        DAFError: not one mission could be played by all.
    """
    algorithms, suite, episodes = algorithm_policies(config), config.benchmark.suite, config.evaluation.episodes
    scripted = scripted_policies(config, algorithms)
    policies = [*scripted, *(policy for trained in algorithms.values() for policy in trained)]
    warn_about_untrained(policies, tracker)
    missions, unplayable = playable_missions(suite_missions(config))
    played = _play(missions, policies, scripted, config, tracker)
    skipped = unplayable | _unfinished(played)
    finished = _finished(missions, skipped)
    rewards = _rewards([r for r in played.records if r.seed not in _selection_seeds(config)], policies, finished)
    selection = _rewards([r for r in played.records if r.seed in _selection_seeds(config)], scripted, finished)
    trainings = {name: [rewards[policy.name] for policy in trained] for name, trained in algorithms.items()}
    scale = {policy.name: rewards[policy.name] for policy in scripted}
    scores = score_suite(trainings, scale, finished, selection=selection, level=config.benchmark.level)
    data = _log(scores, skipped, suite, tracker)
    if scores.scored:
        draw_files(tracker, "plots", {"benchmark.png": partial(_plot, scores, suite)})
    return BenchmarkResult(
        objective=scores.algorithms[0].score.value if scores.scored else None,
        tables=suite_tables(scores, suite, episodes),
        notes=(*_said(skipped, algorithms, played), *suite_notes(scores, episodes)),
        facts=_facts(scores),
        files={"data": data, "records": data.with_name(RECORDS)},
        algorithms=scores.algorithms,
        scripted=scores.scripted,
        scales=scores.scales,
        pairs=scores.pairs,
        skipped=skipped,
        records=played.records,
    )


def _said(skipped: dict[str, str], algorithms: Mapping[str, Sequence[PolicySpec]], played: Played) -> list[str]:
    """Sentences about what was played, beside those about the scores."""
    single = (policy for trained in algorithms.values() if len(trained) == 1 for policy in trained)
    return [*_skipped_notes(skipped), *timeout_notes(played.records), *weights_notes(single)]


def _facts(scores: SuiteScores) -> dict[str, str]:
    """Who leads, where there is a scale."""
    means = {each.name: each.score.value for each in scores.algorithms}
    return standing_facts(means, scores.pairs, "maximize") if scores.scored else {}


def _selection_seeds(config: DAFConfig) -> range:
    """The seeds behind those of the evaluation, as many."""
    evaluation = config.evaluation
    first = evaluation.seed + evaluation.episodes
    return range(first, first + evaluation.episodes)


def _play(
    missions: Sequence[MissionSpec],
    policies: Sequence[PolicySpec],
    scripted: Sequence[PolicySpec],
    config: DAFConfig,
    tracker: Tracker,
) -> Played:
    """All policies on the seeds of the evaluation, and the scripted ones on those on which the best is chosen."""
    evaluation = config.evaluation.model_copy(update={"seed": _selection_seeds(config)[0]})
    selecting = config.model_copy(update={"evaluation": evaluation})
    plans = [plan for mission in missions for policy in policies for plan in plan_episodes(config, mission, policy)]
    plans += [plan for mission in missions for policy in scripted for plan in plan_episodes(selecting, mission, policy)]
    played = play_matches(config, plans, "benchmark")
    log_episodes(tracker, "benchmark", played.records, played.failures)
    return played


def _unfinished(played: Played) -> dict[str, str]:
    """Mission to the first failure on it."""
    reasons: dict[str, str] = {}
    for failure in played.failures:
        why = f"{failure.plan.policies[0].name} failed: {failure.reason}"
        reasons.setdefault(failure.plan.mission.name, why)
    return reasons


def _finished(missions: Sequence[MissionSpec], skipped: dict[str, str]) -> list[str]:
    """The missions that all policies played to the end. DAFError if there is none."""
    finished = [mission.name for mission in missions if mission.name not in skipped]
    if not finished:
        reasons = "".join(f"\n  - {name}: {why}" for name, why in skipped.items())
        raise DAFError(f"no mission of the suite could be played by all:{reasons}")
    return finished


def _skipped_notes(skipped: dict[str, str]) -> list[str]:
    return [f"{name} was left out: {why}" for name, why in skipped.items()]


def _rewards(
    records: Sequence[EpisodeRecord], policies: Sequence[PolicySpec], missions: Sequence[str]
) -> dict[str, Array]:
    """Policy to its mean rewards per agent, (M, E)."""
    found: dict[tuple[str, str], list[float]] = {}
    for record in sorted(records, key=lambda record: record.seed):
        found.setdefault((record.policies[0], record.mission_name), []).append(record.reward())
    return {policy.name: np.array([found[policy.name, mission] for mission in missions]) for policy in policies}


def _log(scores: SuiteScores, skipped: dict[str, str], suite: str, tracker: Tracker) -> Path:
    """Keeps the scores with the run; returns the file that has them all."""
    scored = (*scores.algorithms, *scores.scripted)
    metrics = {metric_name("benchmark", each.name, "score"): each.score.value for each in scored}
    for each in scored:
        metrics |= {metric_name("benchmark", each.name, mission): score for mission, score in each.missions.items()}
    tracker.log_metrics(metrics)
    data = {
        "suite": suite,
        "algorithms": [asdict(each) for each in scores.algorithms],
        "scripted": [asdict(each) for each in scores.scripted],
        "scales": [asdict(scale) for scale in scores.scales],
        "pairs": [asdict(pair) for pair in scores.pairs],
        "skipped": skipped,
    }
    return tracker.log_text(json.dumps(json_ready(data), indent=1) + "\n", "benchmark/benchmark.json")


def _plot(scores: SuiteScores, suite: str, path: Path) -> Path:
    estimates = {each.name: each.score for each in scores.algorithms}
    return daf_plot_policy_comparison(
        {name: sample.tolist() for name, sample in scores.samples.items()},
        path,
        intervals={name: (e.interval.low, e.interval.high) for name, e in estimates.items() if e.interval},
        level=scores.level,
        metric="normalised score (noop 0, best scripted 1)",
        units="trainings" if any(each.trainings > 1 for each in scores.algorithms) else "seeds",
        title=f"Benchmark {suite}",
    )


def _policies(config: DAFConfig) -> list[KeyedPolicy]:
    named = config.benchmark.algorithms.items()
    listed = [entry for name, policies in named for entry in keyed(f"benchmark.algorithms.{name}", policies)]
    return [*(listed or [("policy", config.policy)]), *keyed("benchmark.scripted", config.benchmark.scripted)]


#: Missions of the suite that cannot be played are left out while it runs, so they are no problem beforehand.
BENCHMARK = Task(name="benchmark", run=daf_benchmark_suite, policies=_policies, gives=frozenset({"data", "records"}))
