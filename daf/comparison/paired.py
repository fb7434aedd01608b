"""From episode records to the array that the statistics take."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from daf.episodes.outcomes import EpisodeFailure
from daf.errors import DAFError
from daf.records import EpisodeRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from daf.statistics import PairedScores


def paired_scores(
    records: Sequence[EpisodeRecord],
    failures: Sequence[EpisodeFailure],
    policies: Sequence[str],
    missions: Sequence[str],
    metric: str,
) -> "PairedScores":
    """The metric on the seeds that every policy finished on every mission; anything else would not be paired.

    Raises:
        DAFError: there is no such seed.
    """
    from daf.statistics import PairedScores

    cells = [(policy, mission) for policy in policies for mission in missions]
    found = {(record.policies[0], record.mission_name, record.seed): record.value(metric) for record in records}
    seeds = list(dict.fromkeys([r.seed for r in records] + [failure.plan.seed for failure in failures]))
    complete = [seed for seed in sorted(seeds) if all((*cell, seed) in found for cell in cells)]
    if not complete:
        raise DAFError(_why_no_seed(failures))
    values = np.array([[[found[p, m, seed] for seed in complete] for m in missions] for p in policies])
    return PairedScores(
        metric=metric,
        policies=tuple(policies),
        missions=tuple(missions),
        seeds=tuple(complete),
        values=values,
        incomplete=tuple(sorted(set(seeds) - set(complete))),
    )


def score_range(
    metric: str, declared: tuple[float, float] | None, values: "NDArray[np.float64]", records: Sequence[EpisodeRecord]
) -> tuple[float, float] | None:
    """The lowest and the highest score that there can be: as declared, or that of steps; None where nobody knows.

    Raises:
        DAFError: a score lies outside.
    """
    ends = declared
    if ends is None and metric == "steps":
        ends = (0.0, float(max(record.max_steps for record in records)))
    if ends is None or ends[0] <= values.min() <= values.max() <= ends[1]:
        return ends
    wrong = values.min() if values.min() < ends[0] else values.max()
    raise DAFError(
        f"a {metric} of {wrong:g} was played, which comparison.range=[{ends[0]:g},{ends[1]:g}] says there cannot be."
        " The episodes are kept; run again with a range that holds for every episode, or without one."
    )


def incomplete_notes(scores: "PairedScores") -> Iterator[str]:
    """A sentence about the seeds that are left out, if any are."""
    if scores.incomplete:
        yield (
            f"{len(scores.incomplete)} seeds are left out for every policy because an episode failed on them; if"
            " failing goes with playing badly, the policy that failed looks better than it is."
        )


def _why_no_seed(failures: Sequence[EpisodeFailure]) -> str:
    counts = Counter(failure.plan.policies[0].name for failure in failures)
    blamed = ", ".join(f"{name} failed in {count}" for name, count in counts.most_common())
    return (
        f"there is no seed that every policy finished, so nothing can be compared. Episodes: {blamed}."
        f" The first failed with:\n{failures[0].traceback}"
    )
