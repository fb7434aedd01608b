"""What a comparison found, as tables, pictures, the report and MLflow take it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from daf.results import ResultTable
from daf.visualization.text import Direction

if TYPE_CHECKING:
    from daf.statistics import Comparison, PairedScores, PerformanceProfiles, SequentialComparison


@dataclass(frozen=True, kw_only=True)
class ReplayLink:
    """A page that plays recorded episodes.

    Attributes:
        about: whose episodes they are.
        href: its path, relative to the report.
    """

    about: str
    href: str


@dataclass(frozen=True, kw_only=True)
class ReportSetup:
    """What somebody needs to know of a comparison who was not there.

    Attributes:
        facts: heading to text: date, run, missions, seeds, versions.
        command: what was typed, without secrets; None where it was begun from Python.
        policies: a row each: what it is, where its weights come from and how they were trained.
        replays: of the best, the median and the worst episodes, where they were recorded.
    """

    facts: Mapping[str, str] = field(default_factory=dict)
    command: str | None = None
    policies: ResultTable | None = None
    replays: Sequence[ReplayLink] = ()


@dataclass(frozen=True, kw_only=True)
class ComparisonFindings:
    """A comparison with the scores behind it and the sentences about it.

    Attributes:
        profiles: performance profiles of the same scores.
        sequential: the state in which the rounds stopped, or None for a fixed number of episodes.
        direction: what is better.
        notes: sentences, the verdict first.
        setup: what the report says about where all this comes from.
    """

    comparison: "Comparison"
    scores: "PairedScores"
    profiles: "PerformanceProfiles"
    sequential: "SequentialComparison | None" = None
    direction: Direction = None
    notes: Sequence[str] = ()
    setup: ReportSetup = field(default_factory=ReportSetup)
