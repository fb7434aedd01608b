"""What a comparison found, as tables, pictures, the report and MLflow take it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daf.visualization.text import Direction

if TYPE_CHECKING:
    from daf.statistics import Comparison, PairedScores, PerformanceProfiles, SequentialComparison


@dataclass(frozen=True, kw_only=True)
class ComparisonFindings:
    """A comparison with the scores behind it and the sentences about it.

    Attributes:
        profiles: performance profiles of the same scores.
        sequential: the state in which the rounds stopped, or None for a fixed number of episodes.
        direction: what is better.
        notes: sentences, the verdict first.
    """

    comparison: "Comparison"
    scores: "PairedScores"
    profiles: "PerformanceProfiles"
    sequential: "SequentialComparison | None" = None
    direction: Direction = None
    notes: Sequence[str] = ()
