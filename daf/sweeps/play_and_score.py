"""What a trial's policy is worth: its held-out episodes, played and scored by every `objective.metric`."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from daf.config.missions import mission_specs
from daf.config.schemas import DAFConfig
from daf.config.suggestions import nearest
from daf.episodes.kept import KeptRecords
from daf.episodes.limits import Limits
from daf.episodes.outcomes import EpisodeFailure
from daf.episodes.plans import plan_episodes
from daf.episodes.play import daf_play_episodes
from daf.episodes.played import Played, log_episodes
from daf.errors import DAFError
from daf.records import EpisodePlan, EpisodeRecord
from daf.scoring_analysis import pickup_plans, vor_by_seed
from daf.sweeps.jobs import Scores
from daf.tracking.tracker import Tracker

OnRecord = Callable[[EpisodeRecord], None]


def play_and_score(
    config: DAFConfig,
    tracker: Tracker,
    training: Mapping[str, float],
    *,
    on_solo: OnRecord,
    on_mixed: OnRecord,
) -> Scores:
    """Plays in this process what the metrics need, keeps the records with the run and scores them.

    Args:
        config: with the policy as it was trained.
        training: what training took and earned (``train/...``); it counts for every episode.
        on_solo: called with every episode that the policy plays alone; an exception from it ends the evaluation.
        on_mixed: the same for the mixed teams of ``vor``.

    Raises:
        DAFError: an episode failed, or a metric of training is asked for where there was none.
    """
    metrics = config.objective.metric
    of_metric: dict[str, dict[tuple[str, int], float]] = {}
    if metrics != ("vor",):
        records = _play(config, _solo_plans(config), tracker, "evaluation", on_solo)
        tracker.log_metrics({"evaluation/reward": fmean(record.reward() for record in records)})
        _warn_about_absent(metrics, records, tracker)
        for metric in metrics:
            if metric != "vor":
                of_metric[metric] = {(r.mission_name, r.seed): _score(r, metric, training) for r in records}
    if "vor" in metrics:
        of_metric["vor"] = vor_by_seed(_play(config, pickup_plans(config), tracker, "vor", on_mixed))
    episodes = of_metric[metrics[0]]
    return {episode: tuple(of_metric[metric][episode] for metric in metrics) for episode in episodes}


def _solo_plans(config: DAFConfig) -> list[EpisodePlan]:
    spec = config.policy.spec()
    return [plan for mission in mission_specs(config) for plan in plan_episodes(config, mission, spec)]


def _play(
    config: DAFConfig, plans: Sequence[EpisodePlan], tracker: Tracker, folder: str, on_record: OnRecord
) -> list[EpisodeRecord]:
    kept = KeptRecords(tracker.output_dir / folder)

    def on_episode(outcome: EpisodeRecord | EpisodeFailure, cached: bool) -> None:
        if isinstance(outcome, EpisodeRecord):
            kept.add(outcome)
            on_record(outcome)

    evaluation = config.evaluation
    outcomes = daf_play_episodes(
        plans,
        backend=evaluation.backend,
        cache=evaluation.cache,
        limits=Limits(evaluation.time_limit_s, evaluation.start_limit_s),
        on_episode=on_episode,
    )
    played = Played.of(outcomes)
    log_episodes(tracker, folder, played.records, played.failures)
    if failed := played.failures:
        # A mean over other seeds than the other trials' would not be comparable.
        raise DAFError(f"{len(failed)} evaluation episodes failed, the first with:\n{failed[0].traceback}")
    return list(played.records)


def _score(record: EpisodeRecord, metric: str, training: Mapping[str, float]) -> float:
    if not metric.startswith("train/"):
        return record.value(metric)
    if metric not in training:
        raise DAFError(f"objective.metric={metric} needs a trial that trains")
    return training[metric]


def _warn_about_absent(metrics: Sequence[str], records: Sequence[EpisodeRecord], tracker: Tracker) -> None:
    """A stat that no episode has may be misspelt."""
    for metric in metrics:
        kind, _, name = metric.partition("/")
        if kind not in ("game", "agent"):
            continue
        known = {stat for record in records for stat in record.stat_names(kind)}
        if name not in known:
            tracker.warn(f"no episode has the stat {metric!r}, so it counts as 0. {nearest(name, sorted(known))}")
