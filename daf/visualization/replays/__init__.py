"""Replays of played episodes: read, and shown as a GIF or in a page that plays them."""

from daf.visualization.replays.gif import daf_export_replay_gif
from daf.visualization.replays.scene import Replay, daf_read_replay
from daf.visualization.replays.viewer import Shown, daf_export_replay_html

__all__ = ["Replay", "Shown", "daf_export_replay_gif", "daf_export_replay_html", "daf_read_replay"]
