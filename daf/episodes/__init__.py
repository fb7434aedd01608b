"""Episodes: planned, cached, played, kept."""

from daf.episodes.cache import EpisodeCache, default_cache_dir
from daf.episodes.outcomes import EpisodeFailure, OnEpisode, Outcome
from daf.episodes.play import Backend, CacheMode, EpisodeWorkers, daf_play_episodes

__all__ = [
    "Backend",
    "CacheMode",
    "EpisodeCache",
    "EpisodeFailure",
    "EpisodeWorkers",
    "OnEpisode",
    "Outcome",
    "daf_play_episodes",
    "default_cache_dir",
]
