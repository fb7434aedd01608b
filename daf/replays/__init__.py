"""Replays of played episodes: recorded, read, and shown as a GIF or in a page that plays them."""

from daf.replays.gif import daf_export_replay_gif
from daf.replays.recording import RecordedEpisode, daf_record_replays
from daf.replays.scene import Replay, daf_read_replay
from daf.replays.viewer import Shown, daf_export_replay_html

__all__ = [
    "RecordedEpisode",
    "Replay",
    "Shown",
    "daf_export_replay_gif",
    "daf_export_replay_html",
    "daf_read_replay",
    "daf_record_replays",
]
