"""What a comparison that stopped early may claim: the sequential decisions, and no fixed-sample p-value."""

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daf.statistics import Comparison, PairResult, SequentialComparison, SequentialPair

STOPPED_EARLY = "stopped by the data: only differences, p-values and verdicts over all missions allow for that"
NOT_JUDGED = "not judged: the rounds stop by the result over all missions"


def with_sequential_decisions(comparison: "Comparison", state: "SequentialComparison") -> "Comparison":
    """The comparison with decisions, p-values and difference intervals that hold whenever play stopped.

    Tests for a number of episodes fixed in advance are not valid here and are taken out.
    """
    decided = {(pair.first, pair.second): pair for pair in state.pairs}
    pairs = tuple(
        _overall(pair, decided[pair.first, pair.second], state) if pair.mission is None else _in_mission(pair)
        for pair in comparison.pairs
    )
    return replace(comparison, pairs=pairs, warnings=(*comparison.warnings, STOPPED_EARLY))


def _overall(pair: "PairResult", decided: "SequentialPair", state: "SequentialComparison") -> "PairResult":
    words = {
        "first higher": f"{pair.first} is higher than {pair.second}",
        "second higher": f"{pair.second} is higher than {pair.first}",
        "equivalent": f"equivalent within {state.margin:g}",
        "identical": "the same score in every episode",
        "undecided": f"undecided after {state.episodes_per_mission} episodes per mission",
    }
    return replace(
        pair,
        difference=decided.difference,
        p_value=decided.p_difference,
        significant=decided.decision in ("first higher", "second higher"),
        decision=words[decided.decision],
        tests={},
        warnings=(*pair.warnings, STOPPED_EARLY),
    )


def _in_mission(pair: "PairResult") -> "PairResult":
    return replace(pair, p_value=None, significant=False, decision=NOT_JUDGED, tests={})
