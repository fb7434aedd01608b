"""Best, median and worst episode of an evaluation: played again with a recorder, rendered, logged."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from daf.config.schemas import DAFConfig
from daf.episodes.played import play_with_progress
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec
from daf.tracking.tracker import Tracker
from daf.visualization.replays.gif import daf_export_replay_gif
from daf.visualization.replays.scene import daf_read_replay
from daf.visualization.replays.viewer import Shown, daf_export_replay_html
from daf.visualization.text import number_text


@dataclass(frozen=True, kw_only=True)
class RecordedEpisode:
    """One recorded episode and its files.

    Attributes:
        label: ``best``, ``median``, ``worst``, or ``only`` where there was but one episode.
        record: the episode as it was played for the recorder.
        replay: CoGames' replay file.
        gif: the whole episode as moving picture.
        viewer: the page that plays it, beside the others of the same policy and mission.
    """

    label: str
    record: EpisodeRecord
    replay: Path
    gif: Path
    viewer: Path


def daf_record_replays(
    config: DAFConfig,
    records: Sequence[EpisodeRecord],
    policies: Sequence[PolicySpec],
    missions: Sequence[MissionSpec],
    tracker: Tracker,
) -> tuple[RecordedEpisode, ...]:
    """Plays the best, the median and the worst episode of every policy on every mission again and records them.

    An episode is decided by its seed, so the recorder sees what the evaluation saw; where it does not (actions that
    time out depend on the clock), the user is warned. Files lie in ``<output_dir>/replays`` and are logged to MLflow.

    Args:
        records: played episodes, of one policy each.
    """
    recorded: list[RecordedEpisode] = []
    for number, (policy, mission) in enumerate(product(policies, missions), start=1):
        played = [r for r in records if r.policies == (policy.name,) and r.mission_name == mission.name]
        if played:
            # Names may be equal once they are fit for a folder; the number is not.
            folder = tracker.output_dir / "replays" / f"{number}-{_slug(policy.name)}-{_slug(mission.name)}"
            recorded += _record(config, choose_episodes(played), policy, mission, folder, tracker)
    return tuple(recorded)


def choose_episodes(records: Sequence[EpisodeRecord]) -> dict[str, EpisodeRecord]:
    """Label to episode: the best, the (lower) median and the worst by reward, equal ones in the order of seeds."""
    ranked = sorted(records, key=lambda record: (-record.reward(), record.seed))
    if len(ranked) == 1:
        return {"only": ranked[0]}
    chosen = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]}
    return chosen if len(ranked) > 2 else {"best": ranked[0], "worst": ranked[1]}


def _record(
    config: DAFConfig,
    chosen: dict[str, EpisodeRecord],
    policy: PolicySpec,
    mission: MissionSpec,
    folder: Path,
    tracker: Tracker,
) -> list[RecordedEpisode]:
    played = dict(_play_again(config, chosen, policy, mission, folder, tracker))
    if not played:
        return []
    title = f"{policy.name} on {mission.name}"
    viewer = folder / "viewer.html"
    shown, recorded = [], []
    for label, record in played.items():
        path = Path(str(record.replay_path)).rename(folder / f"{label}.json.z")
        replay = daf_read_replay(path)
        about = f"seed {record.seed}, reward {number_text(record.reward())} per agent"
        names = tuple(record.policies[index] for index in record.assignments)
        shown.append(Shown(label=label, about=f"{label.capitalize()} episode: {about}", replay=replay, policies=names))
        gif = daf_export_replay_gif(replay, folder / f"{label}.gif", title=f"{title}: {label}, {about}")
        recorded.append(RecordedEpisode(label=label, record=record, replay=path, gif=gif, viewer=viewer))
    daf_export_replay_html(shown, viewer, title=title)
    tracker.log_file(folder, f"replays/{folder.name}")
    return recorded


def _play_again(
    config: DAFConfig,
    chosen: dict[str, EpisodeRecord],
    policy: PolicySpec,
    mission: MissionSpec,
    folder: Path,
    tracker: Tracker,
) -> Iterator[tuple[str, EpisodeRecord]]:
    from daf.bridge.devices import resolve_device

    # The cache knows these episodes, but without a recording.
    evaluation = config.evaluation.model_copy(update={"cache": "off"})
    plans = [
        EpisodePlan(
            mission=mission,
            policies=(policy,),
            assignments=record.assignments,
            seed=record.seed,
            max_action_time_ms=evaluation.max_action_time_ms,
            device=resolve_device(config.device),
            replay_dir=str(folder),
        )
        for record in chosen.values()
    ]
    outcomes = play_with_progress(config.model_copy(update={"evaluation": evaluation}), plans)
    for (label, before), outcome in zip(chosen.items(), outcomes, strict=True):
        if not isinstance(outcome, EpisodeRecord):
            tracker.warn(f"the {label} episode of {policy.name} (seed {before.seed}) failed while it was recorded.")
            continue
        if outcome.rewards != before.rewards:
            tracker.warn(
                f"the {label} episode of {policy.name} (seed {before.seed}) earned {number_text(before.reward())}"
                f" in the evaluation and {number_text(outcome.reward())} in the recording: it does not depend on its"
                " seed alone."
            )
        yield label, outcome


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)[:60]
