"""`task=monitor`: a deployed version plays seeds that it has not met, and is held against its recorded score."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from daf.bridge.missions import mission_digest
from daf.comparison import paired_scores, score_range
from daf.config.commands import deploying
from daf.config.missions import mission_specs
from daf.config.schemas import DAFConfig
from daf.deployment.choice import open_target
from daf.deployment.deploy import target_problems
from daf.deployment.metadata import BundleMetadata, BundleMetric, read_metadata
from daf.deployment.package import packed_policy
from daf.deployment.results import DeploymentResult, bundle_facts
from daf.deployment.rollback import deployed_name, fetched_policy
from daf.deployment.series import Series, claim_seeds, log_scores, read_series
from daf.deployment.targets import file_sha256
from daf.deployment.watching import ENOUGH_ALIKE, Ends, has_dropped, is_constant, is_rounding, watched_difference
from daf.episodes.kept import RECORDS
from daf.episodes.plans import plan_episodes
from daf.episodes.played import Played, failure_notes, log_episodes, play_matches, timeout_notes
from daf.errors import DAFConfigError, DAFError, Problem
from daf.records import MissionSpec, PolicySpec, digest
from daf.results import ResultTable
from daf.tasks import Task
from daf.tracking.tracker import Tracker
from daf.visualization.text import estimate_cells, interval_heading, interval_text, number_text

if TYPE_CHECKING:
    from daf.statistics import Estimate


@dataclass(frozen=True)
class Recorded:
    """The score that a bundle was packed with: the mean over missions of equal weight.

    Attributes:
        error: standard error of `mean`.
        freedom: degrees of freedom of `error`.
    """

    mean: float
    error: float
    freedom: int

    def at_least(self, alpha: float) -> float:
        """Lower confidence bound of the true mean, with an error rate of `alpha`."""
        from scipy import stats

        return self.mean - float(stats.t.isf(alpha, self.freedom)) * self.error


@dataclass(frozen=True)
class Look:
    """What the series says by now.

    Attributes:
        dropped: whether the mean is lower than it was when the bundle was packed.
        mean: over the series, with an interval that holds at every look.
        floor: lower bound of the recorded mean, which the series is held against.
    """

    dropped: bool
    mean: "Estimate"
    floor: float


@dataclass(frozen=True, kw_only=True)
class MonitoringResult(DeploymentResult):
    """A look at a deployed version.

    Attributes:
        look: what the series says.
        seeds: that were played this time.
        episodes: seeds of the whole series.
    """

    look: Look
    seeds: tuple[int, ...]
    episodes: int


def daf_monitor_deployment(config: DAFConfig, tracker: Tracker) -> MonitoringResult:
    """Plays `evaluation.episodes` seeds that no look has played with the version that is in use, and judges the series.

    The version is `deployment.monitored`, or what `deployment.alias` stands for. Its series is kept in the tracking
    store, and is that of a bundle's digest, a metric (`comparison.metric`) and missions. It has dropped if the series'
    mean is lower than the lower bound of the recorded one. Chance calls a drop in a series of any length at most with
    1 - `comparison.level`: half of that is the recorded score's, half the sequential test's.

    Raises:
        DAFConfigError: the missions are not those of the recorded score.
        DAFError: nothing is deployed, its bundle records no score, or no episode could be played.
    """
    target = open_target(config, deployed_name(config), tracker)
    version = config.deployment.monitored or target.use().version
    if version is None:
        raise DAFError(f"nothing is deployed as {target.name} with the alias {target.alias}")
    bundle = target.fetch(version, tracker.output_dir / "monitored")
    what = f"{target.name} {version}"
    recorded = recorded_score(config, read_metadata(bundle), mission_specs(config))
    looked = _look(config, tracker, fetched_policy(config, bundle, what))
    look, bundle_digest = _judged(config, tracker, looked, recorded), file_sha256(bundle)
    return MonitoringResult(
        tables=(_table(config, what, look, recorded, looked),),
        notes=(*failure_notes(looked.played.failures, "monitor"), *timeout_notes(looked.played.records)),
        failed=len(looked.played.failures),
        refused=_alarm(config, what, look, recorded, looked) if look.dropped else None,
        metrics={**_figures(look), "monitor/episodes": len(looked.scores)},
        facts=bundle_facts(target.name, version, bundle_digest, verdict=_verdict(look)),
        files={"bundle": bundle, "records": tracker.output_dir / "monitor" / RECORDS},
        next=deploying(config, "rollback") if look.dropped else None,
        name=target.name,
        version=version,
        digest=bundle_digest,
        bundle=bundle,
        target=target.kind,
        location=target.location(version),
        look=look,
        seeds=looked.seeds,
        episodes=len(looked.scores),
    )


@dataclass(frozen=True)
class _Looked:
    """What was played this time, and the scores of the whole series."""

    played: Played
    seeds: tuple[int, ...]
    scores: list[float]
    looks: int


def _look(config: DAFConfig, tracker: Tracker, policy: PolicySpec) -> _Looked:
    """Plays the next seeds of the series and adds their scores to it."""
    bundle, metric, missions = Path(str(policy.weights)), config.comparison.metric, mission_specs(config)
    series = digest([file_sha256(bundle), metric, [mission_digest(mission) for mission in missions]])
    before = read_series(tracker, series)
    first = _first_seed(config, read_metadata(bundle), before)
    claim_seeds(tracker, series, first, config.evaluation.episodes)
    part = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"seed": first})})
    plans = [plan for mission in missions for plan in plan_episodes(part, mission, policy)]
    played = play_matches(part, plans, "monitor")
    log_episodes(tracker, "monitor", played.records, played.failures)
    names = [mission.name for mission in missions]
    found = paired_scores(played.records, played.failures, [policy.name], names, metric)
    new = dict(zip(found.seeds, map(float, found.values[0].mean(axis=0)), strict=True))
    log_scores(tracker, new.items())
    # What another look played at the same moment comes once.
    scores = {**new, **before.scores}
    return _Looked(played, found.seeds, [scores[seed] for seed in sorted(scores)], before.looks + 1)


def _judged(config: DAFConfig, tracker: Tracker, looked: _Looked, recorded: Recorded) -> Look:
    """What the series says; it is logged."""
    options, series = config.comparison, np.asarray(looked.scores)
    ends = score_range(options.metric, options.range, series, looked.played.records)
    look = judge(looked.scores, recorded, options.level, ends)
    tracker.log_metrics(_figures(look), step=len(looked.scores))
    return look


def judge(scores: Sequence[float], recorded: Recorded, level: float, ends: Ends = None) -> Look:
    """Whether a series has dropped below the recorded score, asked after every look.

    `scores`: one a seed, the mean over missions, in the order played. Where neither the recorded scores nor those of
    `ENOUGH_ALIKE` seeds have varied, a lower one is a drop.
    """
    alpha = (1 - level) / 2
    floor = recorded.at_least(alpha)
    # Nothing is below what cannot be: a bound outside of the range says no more than its end.
    within = floor if ends is None else min(max(floor, ends[0]), ends[1])
    above = watched_difference([scores], [[within] * len(scores)], level=1 - alpha, ends=ends)
    interval = above.interval
    if interval:
        interval = replace(interval, low=interval.low + within, high=interval.high + within)
    mean = replace(above, value=above.value + within, interval=interval)
    if is_rounding(recorded.error, floor) and len(scores) >= ENOUGH_ALIKE and is_constant([scores]):
        return Look(mean.value < floor and not is_rounding(floor - mean.value, floor), mean, floor)
    # Not by the interval: that of a series which has changed contradicts itself, and is none.
    return Look(has_dropped(scores, within, alpha=alpha, ends=ends), mean, floor)


def recorded_score(config: DAFConfig, metadata: BundleMetadata, missions: Sequence[MissionSpec]) -> Recorded:
    """What the bundle says of its score on these missions.

    Raises:
        DAFConfigError: it was measured on others, or otherwise than the config plays them.
        DAFError: it says nothing of the metric, or nothing with an interval.
    """
    metric = config.comparison.metric
    found = {each.mission_digest: each for each in metadata.metrics if each.name == metric}
    what = f"{metadata.name} {metadata.version}"
    if not found:
        known = ", ".join(dict.fromkeys(each.name for each in metadata.metrics)) or "no metric"
        raise DAFError(
            f"the bundle of {what} records no {metric} (it records {known}), so that nothing can be called a drop."
            " Pack a policy from a run that was evaluated, or name another comparison.metric"
        )
    keys = {mission_digest(mission): mission.name for mission in missions}
    if missing := [name for key, name in keys.items() if key not in found]:
        measured = ", ".join(each.mission for each in found.values())
        problem = f"{what} has no score on {', '.join(missing)} as it is configured here, but on {measured}."
        hint = "Give the mission, its max_steps, cogs and variants as they were when it was measured."
        raise DAFConfigError([Problem("mission", problem, hint)])
    parts = [found[key] for key in keys]
    return Recorded(
        mean=fmean(part.mean for part in parts),
        error=sqrt(sum(_standard_error(part, what) ** 2 for part in parts)) / len(parts),
        freedom=min(len(part.seeds) for part in parts) - 1,
    )


def _standard_error(metric: BundleMetric, what: str) -> float:
    from scipy import stats

    if len(metric.seeds) > 1 and metric.low is None:  # the same in every episode
        return 0.0
    if metric.low is None:
        raise DAFError(f"the bundle of {what} records {metric.name} of a single episode: that tells of no drop")
    quantile = float(stats.t.isf((1 - metric.level) / 2, len(metric.seeds) - 1))
    return (metric.mean - metric.low) / quantile


def _first_seed(config: DAFConfig, metadata: BundleMetadata, before: Series) -> int:
    """Behind all that were played: by the looks, for the recorded score, and wherever evaluation begins."""
    recorded = [seed + 1 for metric in metadata.metrics for seed in metric.seeds]
    return max([config.evaluation.seed, *recorded, *([] if before.next_seed is None else [before.next_seed])])


def _figures(look: Look) -> dict[str, float]:
    metrics = {"monitor/mean": look.mean.value, "monitor/floor": look.floor, "monitor/dropped": float(look.dropped)}
    if look.mean.interval:
        metrics |= {"monitor/low": look.mean.interval.low, "monitor/high": look.mean.interval.high}
    return metrics


def _verdict(look: Look) -> str:
    return "dropped" if look.dropped else "no drop shown"


def _table(config: DAFConfig, what: str, look: Look, recorded: Recorded, looked: _Looked) -> ResultTable:
    level = interval_heading(config.comparison.level)
    columns = ("metric", "recorded", "mean now", level, "episodes", "looks", "verdict")
    counts = f"{len(looked.scores):,}", str(looked.looks)
    row = (config.comparison.metric, number_text(recorded.mean), *estimate_cells(look.mean), *counts, _verdict(look))
    return ResultTable(what, columns, (row,))


def _alarm(config: DAFConfig, what: str, look: Look, recorded: Recorded, looked: _Looked) -> str:
    return (
        f"{what} has dropped: its {config.comparison.metric} is {number_text(look.mean.value)} now (interval "
        f"{interval_text(look.mean)}, {len(looked.scores):,} episodes), and was {number_text(recorded.mean)} when it "
        f"was packed (at least {number_text(look.floor)}). task=rollback restores the version before"
    )


MONITOR = Task(
    name="monitor",
    run=daf_monitor_deployment,
    policies=lambda _: (),
    named_after=lambda config: [packed_policy(config)[1]],
    problems=target_problems,
    gives=frozenset({"bundle", "records"}),
)
