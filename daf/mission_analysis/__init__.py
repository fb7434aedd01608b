"""Missions and variants: which there are, what is wrong with them, and how policies behave on them."""

from daf.mission_analysis.behaviour import episode_behaviour
from daf.mission_analysis.behaviour_tables import daf_analyze_mission
from daf.mission_analysis.correlations import Correlation, daf_metric_correlations
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
