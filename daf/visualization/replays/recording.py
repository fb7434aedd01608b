"""Recorded episodes of an evaluation as pictures: a GIF each, one page for all, logged."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

from daf.config.schemas import DAFConfig
from daf.episodes.recording import Recording, record_again
from daf.records import EpisodeRecord, MissionSpec, PolicySpec
from daf.tracking.tracker import Tracker
from daf.visualization.drawing import attempt
from daf.visualization.replays.gif import daf_export_replay_gif
from daf.visualization.replays.scene import daf_read_replay
from daf.visualization.replays.viewer import Shown, daf_export_replay_html
from daf.visualization.text import number_text


@dataclass(frozen=True, kw_only=True)
class RecordedEpisode(Recording):
    """One recorded episode and its files.

    Attributes:
        gif: the whole episode as moving picture.
        viewer: the page that plays it, beside the others of the same policy and mission.
    """

    gif: Path
    viewer: Path


def daf_record_replays(
    config: DAFConfig,
    records: Sequence[EpisodeRecord],
    policies: Sequence[PolicySpec],
    missions: Sequence[MissionSpec],
    tracker: Tracker,
) -> tuple[RecordedEpisode, ...]:
    """Plays the best, the median and the worst episode of every policy on every mission again, and draws them.

    Files lie in ``<output_dir>/replays`` and are logged to MLflow. What cannot be recorded or drawn is a warning.

    Args:
        records: played episodes, of one policy each.
    """
    recorded: list[RecordedEpisode] = []
    for number, (policy, mission) in enumerate(product(policies, missions), start=1):
        played = [r for r in records if r.policies == (policy.name,) and r.mission_name == mission.name]
        if not played:
            continue
        # Names may be equal once they are fit for a folder; the number is not.
        folder = tracker.output_dir / "replays" / f"{number}-{_slug(policy.name)}-{_slug(mission.name)}"
        record = partial(_record, config, played, policy, mission, folder, tracker)
        recorded += attempt(tracker, f"The replays of {policy.name} on {mission.name}", record) or []
    return tuple(recorded)


def _record(
    config: DAFConfig,
    played: Sequence[EpisodeRecord],
    policy: PolicySpec,
    mission: MissionSpec,
    folder: Path,
    tracker: Tracker,
) -> list[RecordedEpisode]:
    recordings = record_again(config, played, policy, mission, folder, tracker)
    if not recordings:
        return []
    drawn = _draw(recordings, folder, f"{policy.name} on {mission.name}")
    tracker.log_file(folder, f"replays/{folder.name}")
    return drawn


def _draw(recordings: Sequence[Recording], folder: Path, title: str) -> list[RecordedEpisode]:
    """Renders a GIF of every recording, and one page with all of them."""
    viewer = folder / "viewer.html"
    shown, drawn = [], []
    for recording in recordings:
        label, record = recording.label, recording.record
        replay = daf_read_replay(recording.replay)
        about = f"seed {record.seed}, reward {number_text(record.reward())} per agent"
        names = tuple(record.policies[index] for index in record.assignments)
        shown.append(Shown(label=label, about=f"{label.capitalize()} episode: {about}", replay=replay, policies=names))
        gif = daf_export_replay_gif(replay, folder / f"{label}.gif", title=f"{title}: {label}, {about}")
        drawn.append(RecordedEpisode(label=label, record=record, replay=recording.replay, gif=gif, viewer=viewer))
    daf_export_replay_html(shown, viewer, title=title)
    return drawn


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)[:60]
