"""The value over replacement of a candidate on several missions, from their episodes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from daf.records import EpisodeRecord
from daf.scoring_analysis import (
    Array,
    Vor,
    by_candidate_agents,
    daf_compute_vor,
    estimate_over_seeds,
    overall_samples,
    vor_samples,
)

if TYPE_CHECKING:
    from daf.statistics import Estimate


@dataclass(frozen=True, kw_only=True)
class VorFindings:
    """What the episodes say.

    Attributes:
        missions: the result on each mission.
        overall: the missions' mean, missions weighing equally.
        samples: mission to, for each number of agents of the candidate, the value on every seed, (E,).
    """

    missions: tuple[Vor, ...]
    overall: "Estimate"
    samples: Mapping[str, Mapping[int, Array]]


def vor_findings(records: Sequence[EpisodeRecord], *, level: float) -> VorFindings:
    """The value of policy 0 on every mission of the records and over all of them.

    Args:
        records: on every mission, seed and number of agents of policy 0 one episode.
    """
    by_mission: dict[str, list[EpisodeRecord]] = {}
    for record in records:
        by_mission.setdefault(record.mission_name, []).append(record)
    missions = tuple(daf_compute_vor(group, level=level) for group in by_mission.values())
    samples = {mission: vor_samples(by_candidate_agents(group)) for mission, group in by_mission.items()}
    # Missions weigh equally and are resampled each on its own.
    per_seed = np.stack([overall_samples(of_mission) for of_mission in samples.values()])
    mean = fmean(vor.overall.value for vor in missions)
    return VorFindings(missions=missions, overall=estimate_over_seeds(per_seed, mean, level=level), samples=samples)
