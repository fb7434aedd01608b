"""Who wins: candidates of a sweep, scored on the same fresh seeds, compared by a test."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from daf.results import ResultTable
from daf.visualization.text import NO_DIFFERENCE, count_text, estimate_cells, estimate_text, interval_heading, p_text

if TYPE_CHECKING:
    from daf.statistics import Comparison, Estimate, PairResult

#: Characters of what a trial varied that a sentence can hold.
LONGEST_NAME = 60
#: What is said where a winner could not be measured once more.
NOT_AGAIN = "Its mean could not be measured once more; the one that made it the winner is too good."


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A trial that is confirmed.

    Attributes:
        number: of the trial.
        name: what it varied.
        samples: its confirmed scores in an order shared by all candidates: strata (training seeds and missions of a
            re-evaluation, one for a retraining), each with a score for every episode (or every training).
        weights_only: whether the scores say something about its weights and nothing about its config.
    """

    number: int
    name: str
    samples: tuple[tuple[float, ...], ...]
    weights_only: bool = False

    @property
    def label(self) -> str:
        """How sentences call it; where much varied, the table says what."""
        what = f"{'the weights of ' if self.weights_only else ''}trial {self.number}"
        return f"{what} ({self.name})" if len(self.name) <= LONGEST_NAME else what


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """What fresh seeds say.

    Attributes:
        best: number of the trial with the best confirmed mean.
        measured: number of the trial that `mean` is about: the winner, else the one that the sweep had put first.
        winner: the same number if it is significantly better than the baseline (or, without one, than the runner-up),
            else None.
        verdict: the finding, in sentences.
        table: every candidate with mean, interval and its tests against the best.
        mean: its mean on seeds that had no part in choosing it. The highest of several means is too high.
        interval: its interval, or None where there are too few scores.
        weights: the policies that won, where weights were tested and not configs; else empty.
    """

    best: int
    measured: int
    winner: int | None
    verdict: str
    table: ResultTable
    mean: float
    interval: tuple[float, float] | None
    weights: tuple[str, ...] = ()


def judge(
    found: Sequence[Candidate], baseline: int | None, *, named_before: int, maximize: bool, level: float
) -> Confirmation:
    """Decides between candidates with a paired test on the same fresh seeds, corrected for all pairs.

    Args:
        baseline: number of the trial to beat, or None.
        named_before: number of the trial that was first before anybody looked at these scores.
        maximize: whether more is better.
        level: confidence of intervals and tests.
    """
    from daf.statistics import compare

    sign = 1.0 if maximize else -1.0
    ordered = sorted(found, key=lambda candidate: -sign * fmean(fmean(stratum) for stratum in candidate.samples))
    scores = np.array([candidate.samples for candidate in ordered], dtype=float)
    strata = [f"stratum {index}" for index in range(scores.shape[1])]
    comparison = compare(
        scores, [candidate.label for candidate in ordered], strata, level=level, rng=np.random.default_rng(0)
    )
    best, *others = ordered
    pairs = {other.number: comparison.pair(best.label, other.label) for other in others}
    runner_up = next((other for other in others if other.number != baseline), None)
    rival = next((other for other in others if other.number == baseline), None) if baseline is not None else runner_up
    won = rival is not None and pairs[rival.number].significant
    # Without a winner nothing was chosen by these scores, and what was first before has a mean without bias.
    measured = best if won else next((each for each in found if each.number == named_before), best)
    estimate = comparison.summary(measured.label).mean
    return Confirmation(
        best=best.number,
        measured=measured.number,
        winner=best.number if won else None,
        verdict=_verdict(best, runner_up, baseline, pairs, won) + _first_before(measured, estimate, pairs, won),
        table=_table(ordered, comparison, pairs, baseline, level),
        mean=estimate.value,
        interval=_bounds(estimate),
    )


def _first_before(measured: Candidate, estimate: "Estimate", others: Mapping[int, object], won: bool) -> str:
    """What the objective is, where there is no winner."""
    if won or not others:
        return ""
    return f" First in the sweep was {measured.label}: {estimate_text(estimate.value, _bounds(estimate) or ())}."


def measured_again(confirmation: Confirmation, again: Candidate | None, level: float) -> Confirmation:
    """The finding with the winner's mean from scores that had no part in choosing it.

    Args:
        again: the winner with these scores; None where they could not be had.
    """
    if again is None:
        return replace(confirmation, verdict=f"{confirmation.verdict} {NOT_AGAIN}")
    from daf.statistics import mean_with_interval

    estimate = mean_with_interval(again.samples, level=level)
    text = f"On seeds that had no part in choosing it: {estimate_text(estimate.value, _bounds(estimate) or ())}."
    return replace(
        confirmation,
        mean=estimate.value,
        interval=_bounds(estimate),
        verdict=f"{confirmation.verdict} {text}",
    )


def _bounds(estimate: "Estimate") -> tuple[float, float] | None:
    return (estimate.interval.low, estimate.interval.high) if estimate.interval else None


def _verdict(
    best: Candidate, runner_up: Candidate | None, baseline: int | None, pairs: "Mapping[int, PairResult]", won: bool
) -> str:
    if not pairs:
        return f"Only {best.label} was confirmed, so there is nothing to compare it with."
    parts = [f"The winner is {best.label}." if won else f"No winner: {NO_DIFFERENCE} in favour of {best.label}."]
    if baseline == best.number:
        parts = [f"No winner: nothing beats the baseline, {best.label}."]
    elif baseline is not None and baseline in pairs:
        parts.append(f"Against the baseline: {pairs[baseline].decision}.")
    if runner_up is not None:
        parts.append(f"Against the runner-up: {pairs[runner_up.number].decision}.")
    return " ".join(parts)


def _table(
    ordered: Sequence[Candidate],
    comparison: "Comparison",
    pairs: "Mapping[int, PairResult]",
    baseline: int | None,
    level: float,
) -> ResultTable:
    columns = ("trial", "what varied", "confirmed mean", interval_heading(level), "n", "p, against the best")
    rows = []
    for candidate in ordered:
        summary = comparison.summary(candidate.label)
        pair = pairs.get(candidate.number)
        rows.append(
            (
                f"{candidate.number}{' (baseline)' if candidate.number == baseline else ''}",
                candidate.name,
                *estimate_cells(summary.mean),
                count_text(summary.episodes),
                p_text(pair.p_value if pair else None),
            )
        )
    return ResultTable("Confirmed on fresh seeds (p corrected for all pairs)", columns, tuple(rows))


def confirmation_json(confirmation: Confirmation) -> str:
    """The finding as JSON, for a file beside the plots."""
    content = {
        "best": confirmation.best,
        "winner": confirmation.winner,
        "weights": confirmation.weights,
        "measured": confirmation.measured,
        "verdict": confirmation.verdict,
        "mean": confirmation.mean,
        "interval": confirmation.interval,
    }
    return json.dumps(content, indent=2) + "\n"
