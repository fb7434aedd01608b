"""Missions and variants: which there are, what is wrong with them, and how policies behave on them."""

from daf.mission_analysis.behaviour import Correlation, daf_analyze_mission, daf_metric_correlations, episode_behaviour
from daf.mission_analysis.discovery import (
    Conflict,
    Mission,
    Variant,
    daf_find_variant_conflicts,
    daf_list_missions,
    daf_list_variants,
)
from daf.mission_analysis.task import daf_show_missions

__all__ = [
    "Conflict",
    "Correlation",
    "Mission",
    "Variant",
    "daf_analyze_mission",
    "daf_find_variant_conflicts",
    "daf_list_missions",
    "daf_list_variants",
    "daf_metric_correlations",
    "daf_show_missions",
    "episode_behaviour",
]
