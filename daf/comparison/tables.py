"""The tables of a comparison: two for people, the same and more with every digit for programs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from daf.comparison.scores import PairedScores
from daf.results import ResultTable
from daf.visualization.text import ALL_MISSIONS, interval_text, level_text, number_text, p_text, verdict_text

if TYPE_CHECKING:
    from daf.statistics import Comparison, Estimate, PairResult, PerformanceProfiles


def summary_table(comparison: "Comparison", metric: str) -> ResultTable:
    """Every policy's mean, IQM and spread, over all missions and on each."""
    interval = f"{level_text(comparison.level)} interval"
    columns = ("policy", *_mission_column(comparison), "episodes", f"mean {metric}", interval)
    rows = []
    for summary in comparison.summaries:
        if not _shown(comparison, summary.mission):
            continue
        where = (_scope(summary.mission),) if len(comparison.missions) > 1 else ()
        cells = (number_text(summary.mean.value), interval_text(summary.mean), number_text(summary.iqm.value))
        rows.append(
            (
                summary.policy,
                *where,
                str(summary.episodes),
                *cells,
                interval_text(summary.iqm),
                number_text(summary.std),
            )
        )
    return ResultTable("Summary", (*columns, "IQM", "IQM interval", "sd"), tuple(rows))


def pairs_table(comparison: "Comparison") -> ResultTable:
    """Every pair's difference, its corrected p-value and the decision, over all missions and on each."""
    rows = []
    for pair in comparison.pairs:
        if not _shown(comparison, pair.mission):
            continue
        where = (_scope(pair.mission),) if len(comparison.missions) > 1 else ()
        improvement = pair.probability_of_improvement.value
        cells = (number_text(pair.difference.value, "+"), interval_text(pair.difference, "+"), p_text(pair.p_value))
        rows.append(
            (f"{pair.first} - {pair.second}", *where, *cells, f"{improvement:.2f}", verdict_text(pair)),
        )
    heads = ("difference", f"{level_text(comparison.level)} interval", "p (corrected)", "P(first higher)", "decision")
    return ResultTable("Pairs", ("pair", *_mission_column(comparison), *heads), tuple(rows))


def full_tables(
    comparison: "Comparison", scores: PairedScores, profiles: "PerformanceProfiles"
) -> dict[str, ResultTable]:
    """File name to table, numbers in full: summaries, pairs, tests, performance profiles and scores."""
    return {
        "summaries": _full_summaries(comparison),
        "pairs": _full_pairs(comparison),
        "tests": tests_table(comparison),
        "profiles": _full_profiles(profiles),
        "scores": _full_scores(scores),
    }


def tests_table(comparison: "Comparison") -> ResultTable:
    """Every test of every pair with its corrections."""
    rows = [
        (
            *(pair.first, pair.second, _scope(pair.mission), name),
            *map(_number, (test.statistic, test.p_value, test.p_holm, test.p_bh)),
            test.note,
        )
        for pair in comparison.pairs
        for name, test in pair.tests.items()
    ]
    return ResultTable(
        "Tests", ("first", "second", "mission", "test", "statistic", "p", "p_holm", "p_bh", "note"), tuple(rows)
    )


def _mission_column(comparison: "Comparison") -> tuple[str, ...]:
    return ("mission",) if len(comparison.missions) > 1 else ()


def _shown(comparison: "Comparison", mission: str | None) -> bool:
    """With one mission the results over all missions are its own."""
    return mission is None or len(comparison.missions) > 1


def _scope(mission: str | None) -> str:
    return mission or ALL_MISSIONS


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


def _full(estimate: "Estimate") -> tuple[str, str, str]:
    interval = estimate.interval
    bounds = (interval.low, interval.high) if interval else (None, None)
    return (repr(estimate.value), _number(bounds[0]), _number(bounds[1]))


def _with_bounds(*names: str) -> Iterator[str]:
    for name in names:
        yield from (name, f"{name}_low", f"{name}_high")


def _full_summaries(comparison: "Comparison") -> ResultTable:
    rows = [
        (
            s.policy,
            _scope(s.mission),
            str(s.episodes),
            *_full(s.mean),
            *_full(s.iqm),
            repr(s.std),
            "; ".join(s.warnings),
        )
        for s in comparison.summaries
    ]
    columns = ("policy", "mission", "episodes", *_with_bounds("mean", "iqm"), "std", "warnings")
    return ResultTable("Summaries", columns, tuple(rows))


def _full_pairs(comparison: "Comparison") -> ResultTable:
    columns = (
        *("first", "second", "mission", "episodes"),
        *_with_bounds("difference", "cohens_d", "hedges_g", "cliffs_delta", "probability_of_improvement"),
        *("p_corrected", "significant", "decision", "warnings"),
    )
    return ResultTable("All pairs", columns, tuple(_full_pair(pair) for pair in comparison.pairs))


def _full_pair(pair: "PairResult") -> tuple[str, ...]:
    effects = (pair.difference, pair.cohens_d, pair.hedges_g, pair.cliffs_delta, pair.probability_of_improvement)
    return (
        *(pair.first, pair.second, _scope(pair.mission), str(pair.episodes)),
        *(cell for effect in effects for cell in _full(effect)),
        *(_number(pair.p_value), str(pair.significant).lower(), pair.decision, "; ".join(pair.warnings)),
    )


def _full_profiles(profiles: "PerformanceProfiles") -> ResultTable:
    rows = [
        (policy, *map(repr, point))
        for policy, *curves in zip(profiles.policies, profiles.fractions, profiles.low, profiles.high, strict=True)
        for point in zip(profiles.thresholds, *curves, strict=True)
    ]
    return ResultTable("Profiles", ("policy", "threshold", *_with_bounds("fraction")), tuple(rows))


def _full_scores(scores: PairedScores) -> ResultTable:
    rows = [
        (policy, mission, str(seed), repr(value))
        for policy, missions in zip(scores.policies, scores.values.tolist(), strict=True)
        for mission, values in zip(scores.missions, missions, strict=True)
        for seed, value in zip(scores.seeds, values, strict=True)
    ]
    return ResultTable("Scores", ("policy", "mission", "seed", scores.metric), tuple(rows))
