"""`task=benchmark`: algorithms on a fixed set of missions, scored between noop (0) and the best scripted policy (1).

The scale of a mission is measured on the same seeds and then taken as given, as human-normalised scores are. Where an
algorithm was trained several times, the unit of its interval is the training seed: the episodes of one training say
nothing about what the next training would give (Agarwal et al. 2021).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daf.bridge.catalogue import catalogue
from daf.config.schemas import DAFConfig
from daf.episodes.plans import plan_episodes, unique_names, warn_about_untrained
from daf.episodes.played import Played, log_episodes, play_matches, reliability, tell_timeouts
from daf.errors import DAFError
from daf.records import EpisodeRecord, MissionSpec, PolicySpec
from daf.results import ResultTable, TaskResult, json_ready
from daf.tasks import KeyedPolicy, Task, keyed
from daf.tracking.tracker import Tracker, metric_name
from daf.visualization import daf_plot_policy_comparison
from daf.visualization.text import estimate_cells, level_text

if TYPE_CHECKING:
    from daf.statistics import Comparison, Estimate

Array = NDArray[np.float64]

NOOP = PolicySpec(name="noop (0)", class_path="noop")
#: Missions on which a scripted policy beats noop within so few steps by the default reward, which is rare.
QUICK = tuple(f"cogsguard_evals.extractor_hub_{size}" for size in ("30x30", "50x50", "70x70"))
QUICK_STEPS = 200
# The diagnostics declare 8 agents and have room for 4.
DIAGNOSTIC, DIAGNOSTIC_AGENTS = "evals.diagnostic_", 4
# Rewards that differ by less, relative to their size, differ by rounding alone.
ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What 0 and 1 mean on a mission, in reward per agent.

    Attributes:
        noop: mean reward of doing nothing; the score 0.
        best: mean reward of the best scripted policy; the score 1.
        best_policy: its name.
    """

    mission: str
    noop: float
    best: float
    best_policy: str

    @property
    def usable(self) -> bool:
        """Whether the best scripted policy earns more than noop."""
        return self.best - self.noop > ROUNDING * max(abs(self.best), abs(self.noop))


@dataclass(frozen=True, kw_only=True)
class AlgorithmScore:
    """How one algorithm did.

    Attributes:
        trainings: number of training seeds; 1 for a policy that was not trained several times.
        unit: what the interval is over: ``episodes`` or ``training seeds``.
        score: normalised score, missions weighing equally.
        missions: mission to normalised score.
        rewards: mission to mean reward per agent, also of missions without a scale.
    """

    name: str
    trainings: int
    unit: str
    score: "Estimate"
    missions: dict[str, float]
    rewards: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult(TaskResult):
    """A played suite.

    Attributes:
        algorithms: in the order in which they were named.
        scripted: the policies that set the scale, noop first.
        scales: one for each mission that was played by all.
        comparison: all pairs of algorithms, or None where their units differ or there is but one.
        skipped: mission to the reason why it could not be built or finished.
        records: every finished episode.
    """

    algorithms: tuple[AlgorithmScore, ...]
    scripted: tuple[AlgorithmScore, ...]
    scales: tuple[Scale, ...]
    comparison: "Comparison | None"
    skipped: dict[str, str]
    records: tuple[EpisodeRecord, ...]


def suite_missions(config: DAFConfig) -> list[MissionSpec]:
    """The missions of `benchmark.suite`, with the configured variants and options."""
    suite = config.benchmark.suite
    sets = {"quick": QUICK, "all": catalogue().missions}
    names = sets[suite] if suite in sets else catalogue().mission_sets[f"{suite}_evals"]
    specs = [config.mission_spec(name) for name in names]
    if suite == "quick":
        return [replace(spec, max_steps=spec.max_steps or QUICK_STEPS) for spec in specs]
    crowded = (spec.cogs is None and spec.name.startswith(DIAGNOSTIC) for spec in specs)
    return [replace(spec, cogs=DIAGNOSTIC_AGENTS) if many else spec for spec, many in zip(specs, crowded, strict=True)]


def daf_benchmark_suite(config: DAFConfig, tracker: Tracker) -> BenchmarkResult:
    """Plays a suite with `benchmark.algorithms`, noop and `benchmark.scripted`, and normalises the rewards.

    Every policy plays alone, on the same seeds. Missions that cannot be built here, or on which an episode failed, are
    left out and named; so are, in the scores, missions on which no scripted policy beats noop.

    Raises:
        DAFError: not one mission could be played by all.
    """
    missions, skipped = _playable(suite_missions(config))
    algorithms = _algorithms(config)
    scripted = _scripted(config, algorithms)
    policies = [*scripted, *(policy for policies in algorithms.values() for policy in policies)]
    warn_about_untrained(policies, tracker)
    plans = [plan for mission in missions for policy in policies for plan in plan_episodes(config, mission, policy)]
    played = play_matches(config, plans)
    log_episodes(tracker, "benchmark", played.records, played.failures)
    skipped |= _unfinished(played)
    kept = [mission.name for mission in missions if mission.name not in skipped]
    if not kept:
        reasons = "".join(f"\n  - {name}: {why}" for name, why in skipped.items())
        raise DAFError(f"no mission of the suite could be played by all:{reasons}")
    rewards = _rewards(played.records, policies, kept)
    result = _score(rewards, algorithms, scripted, kept, config)
    notes = [f"{name} was left out: {why}" for name, why in skipped.items()]
    notes += tell_timeouts(played.records)
    result = replace(result, notes=(*notes, *result.notes), skipped=skipped, records=played.records)
    _log(result, rewards, algorithms, config, tracker)
    return result


def _playable(missions: Iterable[MissionSpec]) -> tuple[list[MissionSpec], dict[str, str]]:
    from daf.bridge.missions import why_unplayable

    reasons = {mission: why_unplayable(mission) for mission in missions}
    playable = [mission for mission, why in reasons.items() if why is None]
    return playable, {mission.name: why.splitlines()[0] for mission, why in reasons.items() if why}


def _algorithms(config: DAFConfig) -> dict[str, list[PolicySpec]]:
    """Algorithm to its policies, one for each training; their names are unique among all."""
    named = config.benchmark.algorithms or {config.policy.spec().name: (config.policy,)}
    return {
        name: [
            replace(policy.spec(), name=name if len(policies) == 1 else f"{name}, training {number}")
            for number, policy in enumerate(policies, start=1)
        ]
        for name, policies in named.items()
    }


def _scripted(config: DAFConfig, algorithms: Mapping[str, Sequence[PolicySpec]]) -> list[PolicySpec]:
    """Noop and the scripted policies, named apart from the algorithms."""
    taken = [policy for policies in algorithms.values() for policy in policies]
    listed = [policy.spec() for policy in config.benchmark.scripted]
    return unique_names([*taken, NOOP, *listed])[len(taken) :]


def _unfinished(played: Played) -> dict[str, str]:
    skipped: dict[str, str] = {}
    for failure in played.failures:
        why = failure.reason
        skipped.setdefault(failure.plan.mission.name, f"{failure.plan.policies[0].name} failed: {why}")
    return skipped


Rewards = dict[str, Array]


def _rewards(records: Sequence[EpisodeRecord], policies: Sequence[PolicySpec], missions: Sequence[str]) -> Rewards:
    """Policy to its mean rewards per agent, (M, E)."""
    found: dict[tuple[str, str], list[float]] = {}
    for record in sorted(records, key=lambda record: record.seed):
        found.setdefault((record.policies[0], record.mission_name), []).append(record.reward())
    return {policy.name: np.array([found[policy.name, mission] for mission in missions]) for policy in policies}


def _score(
    rewards: Rewards,
    algorithms: Mapping[str, Sequence[PolicySpec]],
    scripted: Sequence[PolicySpec],
    missions: Sequence[str],
    config: DAFConfig,
) -> BenchmarkResult:
    level = config.benchmark.level
    scales = measure_scales(rewards, [policy.name for policy in scripted], missions)
    rng = np.random.default_rng(0)

    def scored(name: str, policies: Sequence[PolicySpec]) -> AlgorithmScore:
        return score_algorithm(name, [rewards[policy.name] for policy in policies], scales, level=level, rng=rng)

    own = tuple(scored(name, policies) for name, policies in algorithms.items())
    references = tuple(scored(policy.name, [policy]) for policy in scripted)
    comparison = _compare({name: [rewards[p.name] for p in ps] for name, ps in algorithms.items()}, scales, level, rng)
    usable = any(scale.usable for scale in scales)
    tables = [_overview(config.benchmark.suite, (*own, *references), scales, config)] if usable else []
    tables.append(_by_mission(own, scales))
    if comparison:
        tables.append(_pairs(comparison))
    return BenchmarkResult(
        objective=own[0].score.value if usable else None,
        tables=tuple(tables),
        notes=tuple(_notes(own, scales, config)),
        algorithms=own,
        scripted=references,
        scales=scales,
        comparison=comparison,
        skipped={},
        records=(),
    )


def measure_scales(rewards: Rewards, references: Sequence[str], missions: Sequence[str]) -> tuple[Scale, ...]:
    """The scale of every mission.

    Args:
        rewards: policy to rewards, (M, E).
        references: noop, then the scripted policies; the first one wins ties.
    """
    noop, *scripted = references
    means = {name: rewards[name].mean(axis=1) for name in references}
    scales = []
    for index, mission in enumerate(missions):
        best = max(scripted, key=lambda name: means[name][index])
        scales.append(
            Scale(mission=mission, noop=float(means[noop][index]), best=float(means[best][index]), best_policy=best)
        )
    return tuple(scales)


def normalise(rewards: Array, scales: Sequence[Scale]) -> Array:
    """(M, E) rewards as normalised scores of the missions that have a scale, (M', E)."""
    usable = [(index, scale) for index, scale in enumerate(scales) if scale.usable]
    rows = [(rewards[index] - scale.noop) / (scale.best - scale.noop) for index, scale in usable]
    return np.array(rows).reshape(len(usable), rewards.shape[1])


def score_algorithm(
    name: str, trainings: Sequence[Array], scales: Sequence[Scale], *, level: float, rng: np.random.Generator
) -> AlgorithmScore:
    """Aggregates an algorithm's trainings.

    One training: the mean over missions, its interval over episodes within missions. Several: the mean over trainings
    of that mean, its interval over trainings, which need to be 5.

    Args:
        trainings: for each training the rewards, (M, E).
    """
    normalised = [normalise(rewards, scales) for rewards in trainings]
    usable = [scale.mission for scale in scales if scale.usable]
    per_mission = np.mean([scores.mean(axis=1) for scores in normalised], axis=0)
    per_reward = np.mean([rewards.mean(axis=1) for rewards in trainings], axis=0)
    return AlgorithmScore(
        name=name,
        trainings=len(trainings),
        unit="episodes" if len(trainings) == 1 else "training seeds",
        score=_aggregate(normalised, level, rng),
        missions=dict(zip(usable, per_mission.tolist(), strict=True)),
        rewards=dict(zip([scale.mission for scale in scales], per_reward.tolist(), strict=True)),
    )


def _aggregate(normalised: Sequence[Array], level: float, rng: np.random.Generator) -> "Estimate":
    from daf.statistics import Estimate, mean_with_interval

    if not normalised[0].size:
        return Estimate(float("nan"))
    sample = normalised[0] if len(normalised) == 1 else np.array([scores.mean() for scores in normalised])
    return mean_with_interval(sample, level=level, rng=rng)


def _compare(
    trainings: Mapping[str, Sequence[Array]], scales: Sequence[Scale], level: float, rng: np.random.Generator
) -> "Comparison | None":
    """All pairs of algorithms: by episodes, paired, or by training seeds, which are nobody's pairs."""
    from daf.statistics import compare

    counts = {len(own) for own in trainings.values()}
    usable = [scale.mission for scale in scales if scale.usable]
    if len(trainings) < 2 or len(counts) > 1 or not usable:
        return None
    normalised = [[normalise(rewards, scales) for rewards in own] for own in trainings.values()]
    names = list(trainings)
    if counts == {1}:
        return compare(np.array([own[0] for own in normalised]), names, usable, level=level, rng=rng)
    means = np.array([[[scores.mean() for scores in own]] for own in normalised])
    return compare(means, names, ["all missions"], level=level, rng=rng, paired=False)


def _overview(
    suite: str, algorithms: Sequence[AlgorithmScore], scales: Sequence[Scale], config: DAFConfig
) -> ResultTable:
    missions = sum(scale.usable for scale in scales)
    rows = [
        (
            algorithm.name,
            *estimate_cells(algorithm.score),
            str(missions),
            f"{config.evaluation.episodes if algorithm.unit == 'episodes' else algorithm.trainings} {algorithm.unit}",
        )
        for algorithm in sorted(algorithms, key=lambda algorithm: -algorithm.score.value)
    ]
    head = (
        "algorithm",
        "normalised score",
        f"{level_text(config.benchmark.level)} interval",
        "missions",
        "interval over",
    )
    return ResultTable(f"Benchmark {suite}", head, tuple(rows))


def _by_mission(algorithms: Sequence[AlgorithmScore], scales: Sequence[Scale]) -> ResultTable:
    rows = [
        (
            scale.mission,
            f"{scale.noop:.4f}",
            f"{scale.best:.4f} ({scale.best_policy})" if scale.usable else "no better than noop",
            *(_mission_cell(algorithm, scale.mission) for algorithm in algorithms),
        )
        for scale in scales
    ]
    head = ("mission", "noop", "best scripted", *(f"{algorithm.name}: reward (score)" for algorithm in algorithms))
    return ResultTable("Benchmark by mission", head, tuple(rows))


def _mission_cell(algorithm: AlgorithmScore, mission: str) -> str:
    score = f" ({algorithm.missions[mission]:.3f})" if mission in algorithm.missions else ""
    return f"{algorithm.rewards[mission]:.4f}{score}"


def _pairs(comparison: "Comparison") -> ResultTable:
    rows = [
        (f"{pair.first} - {pair.second}", *estimate_cells(pair.difference, "+"), pair.decision)
        for pair in comparison.pairs
        if pair.mission is None
    ]
    return ResultTable("Benchmark, algorithms in pairs", ("pair", "difference", "interval", "verdict"), tuple(rows))


def _notes(algorithms: Sequence[AlgorithmScore], scales: Sequence[Scale], config: DAFConfig) -> list[str]:
    notes = [
        note
        for algorithm in algorithms
        if algorithm.trainings > 1
        for note in reliability(algorithm.trainings, f"training seeds of {algorithm.name}")
    ]
    if any(algorithm.trainings == 1 for algorithm in algorithms):
        notes += reliability(config.evaluation.episodes, "episodes a mission")
    flat = [scale.mission for scale in scales if not scale.usable]
    if flat:
        notes.append(
            f"No scripted policy beats noop on {', '.join(flat)}, which therefore has no score. Another reward"
            " (variant=mining, for example) may tell them apart."
        )
    return notes


def _log(
    result: BenchmarkResult,
    rewards: Rewards,
    algorithms: Mapping[str, Sequence[PolicySpec]],
    config: DAFConfig,
    tracker: Tracker,
) -> None:
    scored = (*result.algorithms, *result.scripted)
    metrics = {metric_name("benchmark", each.name, "score"): each.score.value for each in scored}
    for each in scored:
        metrics |= {metric_name("benchmark", each.name, mission): score for mission, score in each.missions.items()}
    tracker.log_metrics(metrics)
    data = {
        "suite": config.benchmark.suite,
        "algorithms": [asdict(each) for each in result.algorithms],
        "scripted": [asdict(each) for each in result.scripted],
        "scales": [asdict(scale) for scale in result.scales],
        "skipped": result.skipped,
    }
    tracker.log_text(json.dumps(json_ready(data), indent=1) + "\n", "benchmark/benchmark.json")
    if any(scale.usable for scale in result.scales):
        tracker.log_file(_plot(result, rewards, algorithms, config, tracker), "plots")


def _plot(
    result: BenchmarkResult,
    rewards: Rewards,
    algorithms: Mapping[str, Sequence[PolicySpec]],
    config: DAFConfig,
    tracker: Tracker,
) -> Path:
    samples = {}
    for name, policies in algorithms.items():
        scores = [normalise(rewards[policy.name], result.scales) for policy in policies]
        samples[name] = (scores[0].mean(axis=0) if len(scores) == 1 else np.array([s.mean() for s in scores])).tolist()
    return daf_plot_policy_comparison(
        samples,
        tracker.output_dir / "plots" / "benchmark.png",
        intervals={
            a.name: (a.score.interval.low, a.score.interval.high) for a in result.algorithms if a.score.interval
        },
        level=config.benchmark.level,
        metric="normalised score (noop 0, best scripted 1)",
        units="trainings" if any(len(policies) > 1 for policies in algorithms.values()) else "seeds",
        title=f"Benchmark {config.benchmark.suite}",
    )


def _policies(config: DAFConfig) -> list[KeyedPolicy]:
    algorithms = config.benchmark.algorithms
    listed = [entry for name, own in algorithms.items() for entry in keyed(f"benchmark.algorithms.{name}", own)]
    return [*(listed or [("policy", config.policy)]), *keyed("benchmark.scripted", config.benchmark.scripted)]


#: Missions of the suite that cannot be played are left out while it runs, so they are no problem beforehand.
BENCHMARK = Task(name="benchmark", run=daf_benchmark_suite, policies=_policies)
