"""The tables of a comparison: some for people, the same and more with every digit for programs."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from daf.results import ResultTable
from daf.visualization.columns import (
    PairTest,
    Score,
    exact_table,
    pair_columns,
    pair_test_columns,
    pick,
    score_columns,
    summary_columns,
    table,
    with_bounds,
)
from daf.visualization.findings import ComparisonFindings
from daf.visualization.groups import policy_groups
from daf.visualization.text import Direction, scope_name

if TYPE_CHECKING:
    from daf.statistics import Comparison, PairedScores, PairResult, PerformanceProfiles, Summary

EFFECTS = ("difference", "cohens_d", "hedges_g", "cliffs_delta", "probability_of_improvement")


def summary_table(comparison: "Comparison", metric: str, direction: Direction = None) -> ResultTable:
    """Every policy's mean, IQM and spread, over all missions and on each; of many policies also their groups."""
    groups = policy_groups(comparison, direction)
    names = (*(("group",) if groups else ()), "episodes", "mean", "mean_interval", "iqm", "iqm_interval", "std")
    columns = summary_columns(metric, comparison.level, groups=groups)
    return table("Summary", pick(columns, ("policy", *_mission(comparison), *names)), shown_summaries(comparison))


def pairs_table(comparison: "Comparison") -> ResultTable:
    """Every pair's difference, its corrected p-value and the decision, over all missions and on each."""
    names = ("difference", "difference_interval", "p_corrected", "probability_of_improvement", "verdict")
    columns = pair_columns(comparison.level)
    return table("Pairs", pick(columns, ("pair", *_mission(comparison), *names)), shown_pairs(comparison))


def versus_table(comparison: "Comparison") -> ResultTable:
    """The first policy against every other over all missions; p-values are corrected for all pairs."""
    first, *others = comparison.policies
    columns = pair_columns(comparison.level)
    against = replace(columns["second"], heading="against")
    names = ("episodes", "difference", "difference_interval", "p_corrected", "first_verdict")
    pairs = [comparison.pair(first, other) for other in others]
    title = f"{first} on {scope_name(comparison.missions)}, paired by seed"
    return table(title, [against, *pick(columns, names)], pairs)


def exact_tables(findings: ComparisonFindings) -> dict[str, ResultTable]:
    """File name to table, numbers in full: summaries, pairs, tests, performance profiles and scores."""
    comparison, scores = findings.comparison, findings.scores
    summaries = summary_columns(scores.metric, comparison.level)
    pairs = pair_columns(comparison.level)
    summary_names = ("policy", "mission", "episodes", *with_bounds("mean", "iqm"), "std", "warnings")
    pair_names = ("first", "second", "mission", "episodes", *with_bounds(*EFFECTS))
    pair_names += ("p_corrected", "significant", "decision", "warnings")
    test_names = ("first", "second", "mission", "test", "statistic", "p", "p_holm", "p_bh", "note")
    return {
        "summaries": exact_table("Summaries", pick(summaries, summary_names), comparison.summaries),
        "pairs": exact_table("All pairs", pick(pairs, pair_names), comparison.pairs),
        "tests": exact_table("Tests", pick(pair_test_columns(), test_names), pair_tests(comparison.pairs)),
        "profiles": _profiles_table(findings.profiles),
        "scores": exact_table("Scores", score_columns(scores.metric), single_scores(scores)),
    }


class InMission(Protocol):
    """A result in one mission, or over all of them (`mission` is None)."""

    @property
    def mission(self) -> str | None: ...


def shown_summaries(comparison: "Comparison") -> "list[Summary]":
    """The summaries that people are shown."""
    return _shown(comparison, comparison.summaries)


def shown_pairs(comparison: "Comparison") -> "list[PairResult]":
    """The pairs that people are shown."""
    return _shown(comparison, comparison.pairs)


def pair_tests(pairs: Iterable["PairResult"]) -> list[PairTest]:
    """Every test of every pair with its corrections."""
    return [PairTest(pair, name, result) for pair in pairs for name, result in pair.tests.items()]


def single_scores(scores: "PairedScores") -> Iterator[Score]:
    """The score of every episode."""
    for policy, missions in zip(scores.policies, scores.values.tolist(), strict=True):
        for mission, values in zip(scores.missions, missions, strict=True):
            for seed, value in zip(scores.seeds, values, strict=True):
                yield policy, mission, seed, value


def _mission(comparison: "Comparison") -> tuple[str, ...]:
    return ("mission",) if len(comparison.missions) > 1 else ()


def _shown[Result: InMission](comparison: "Comparison", results: Iterable[Result]) -> list[Result]:
    """With one mission the results over all missions stand for it."""
    return [result for result in results if result.mission is None or len(comparison.missions) > 1]


def _profiles_table(profiles: "PerformanceProfiles") -> ResultTable:
    rows = [
        (policy, *map(repr, point))
        for policy, *curves in zip(profiles.policies, profiles.fractions, profiles.low, profiles.high, strict=True)
        for point in zip(profiles.thresholds, *curves, strict=True)
    ]
    return ResultTable("Profiles", ("policy", "threshold", *with_bounds("fraction")), tuple(rows))
