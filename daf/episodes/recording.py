"""Best, median and worst of played episodes, played again with a recorder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from daf.bridge.devices import resolve_device
from daf.config.schemas import DAFConfig
from daf.episodes.played import play_with_progress
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec
from daf.tracking.tracker import Tracker


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One episode that was played again.

    Attributes:
        label: ``best``, ``median``, ``worst``, or ``only`` where there was but one episode.
        record: the episode as it was played for the recorder.
        replay: CoGames' replay file.
    """

    label: str
    record: EpisodeRecord
    replay: Path


def choose_episodes(records: Sequence[EpisodeRecord]) -> dict[str, EpisodeRecord]:
    """Label to episode: the best, the (lower) median and the worst by reward, equal ones in the order of seeds."""
    ranked = sorted(records, key=lambda record: (-record.reward(), record.seed))
    if len(ranked) == 1:
        return {"only": ranked[0]}
    chosen = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]}
    return chosen if len(ranked) > 2 else {"best": ranked[0], "worst": ranked[1]}


def record_again(
    config: DAFConfig,
    records: Sequence[EpisodeRecord],
    policy: PolicySpec,
    mission: MissionSpec,
    folder: Path,
    tracker: Tracker,
) -> list[Recording]:
    """Plays the best, the median and the worst episode again and records them in `folder`.

    An episode is decided by its seed, so the recorder sees what was seen before; where it does not (actions that time
    out depend on the clock), the user is warned.

    Args:
        records: at least one played episode, all of `policy` alone on `mission`.

    Returns:
        The recordings in the order best, median, worst, without those that failed.
    """
    # The cache knows these episodes, but without a recording.
    uncached = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"cache": "off"})})
    chosen = choose_episodes(records)
    plans = [_plan(config, record, policy, mission, folder) for record in chosen.values()]
    by_seed = {record.seed: record for record in play_with_progress(uncached, plans).records}
    recordings = []
    for label, before in chosen.items():
        again = by_seed.get(before.seed)
        if problem := _problem(before, again):
            tracker.warn(f"the {label} episode of {policy.name} (seed {before.seed}) {problem}")
        if again:
            replay = Path(str(again.replay_path)).rename(folder / f"{label}.json.z")
            recordings.append(Recording(label=label, record=again, replay=replay))
    return recordings


def _plan(
    config: DAFConfig, record: EpisodeRecord, policy: PolicySpec, mission: MissionSpec, folder: Path
) -> EpisodePlan:
    return EpisodePlan(
        mission=mission,
        policies=(policy,),
        assignments=record.assignments,
        seed=record.seed,
        max_action_time_ms=config.evaluation.max_action_time_ms,
        device=resolve_device(config.device),
        replay_dir=str(folder),
    )


def _problem(before: EpisodeRecord, again: EpisodeRecord | None) -> str | None:
    if again is None:
        return "failed while it was recorded."
    if again.rewards == before.rewards:
        return None
    return (
        f"earned {before.reward():.4f} in the evaluation and {again.reward():.4f} in the recording: it does not depend"
        " on its seed alone."
    )
