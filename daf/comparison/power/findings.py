"""What a pilot says about the size of the sample, as sentences and as curves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from daf.visualization.power_tables import Names, bounds_text, size_text
from daf.visualization.text import error_rate_text, ratio_text, share_text

if TYPE_CHECKING:
    from daf.statistics import EpisodesNeeded, PowerCurve, TrainingsNeeded

#: Points of a curve.
POINTS = 80


@dataclass(frozen=True, kw_only=True)
class Needed:
    """What a pilot's pairs need.

    Attributes:
        names: difference to how people call it.
        episodes: of policies that do not train, pair by pair and difference by difference.
        trainings: the same of algorithms.
        counts: evaluation episodes for which the trainings are computed, those of the pilot first.
        pairs: all that share the error rate.
        unit: what "sd" in a name stands for; empty where there is none.
    """

    names: Names
    episodes: "tuple[EpisodesNeeded, ...]"
    trainings: "tuple[TrainingsNeeded, ...]"
    counts: tuple[int, ...]
    pairs: int
    unit: str
    metric: str
    power: float
    level: float


def needed_notes(found: Needed) -> Iterator[str]:
    """What to ask for, what pairing is worth, and what the numbers rest on."""
    rate = (
        f"{error_rate_text(found.level)} over all pairs together" if found.pairs > 1 else error_rate_text(found.level)
    )
    for difference, name in found.names.items():
        yield (
            f"A difference of {name} in {found.metric} is found in {share_text(found.power)} of the cases, at an error"
            f" rate of {rate}, with {'; '.join(_asked(found, difference)) or 'a number that this pilot cannot tell'}."
        )
    if found.unit:
        yield found.unit
    known = [each.correlation for each in found.episodes if each.correlation is not None]
    if known:
        ends = " to ".join(dict.fromkeys(ratio_text(end) for end in (min(known), max(known))))
        yield (
            f"On the same seeds the scores of two policies correlate by {ends}."
            " What seeds do to both cancels out of the difference; the last column says what that saves."
        )
    for pair in _flat_pairs(found):
        yield f"{pair}: the same difference in every episode of the pilot, which says nothing about how many it takes."
    yield (
        "By Student's t with the pilot's spread, which is known no better than the bounds say; where most scores are 0,"
        " play a larger pilot. The pilot's own difference has no part in this."
    )


def _asked(found: Needed, difference: float) -> Iterator[str]:
    """The keys to set for the pair that needs most."""
    from daf.statistics.power import MOST_EPISODES, MOST_TRAININGS

    if worst := worst_episodes(found, difference):
        bounds = bounds_text(worst.paired, MOST_EPISODES)
        yield f"evaluation.episodes={size_text(worst.paired, MOST_EPISODES)} (between any two policies; {bounds})"
    if (worst_pair := worst_trainings(found, difference)) is None:
        return
    pair, count = worst_pair
    if pair.needs[count].value is None:
        yield f"more evaluation episodes than {count}, whatever the number of trainings"
        return
    size, bounds = size_text(pair.needs[count], MOST_TRAININGS), bounds_text(pair.needs[count], MOST_TRAININGS)
    yield (
        f"comparison.trainings={size} and evaluation.episodes={count} (between any two algorithms; trainings: {bounds})"
    )


def worst_episodes(found: Needed, difference: float) -> "EpisodesNeeded | None":
    """The pair of policies that needs most for a difference; None where there is none with a spread."""
    known = [each for each in found.episodes if each.difference == difference and each.paired_spread]
    return max(known, key=lambda each: each.paired_spread.variance if each.paired_spread else 0.0, default=None)


def worst_trainings(found: Needed, difference: float) -> "tuple[TrainingsNeeded, int] | None":
    """The pair of algorithms that needs most trainings for a difference, and on how many evaluation episodes.

    That is the smallest number with which trainings are enough for every pair, or else the largest. None where no pair
    has a spread.
    """
    known = [each for each in found.trainings if each.difference == difference and each.spread]
    if not known:
        return None

    def size(each: "TrainingsNeeded", count: int) -> float:
        value = each.needs[count].value
        return np.inf if value is None else value

    worst = [(max(known, key=lambda each, count=count: size(each, count)), count) for count in found.counts]  # type: ignore[misc]
    return next((pair for pair in worst if size(*pair) < np.inf), worst[-1])


def _flat_pairs(found: Needed) -> list[str]:
    flat = [f"{each.first} - {each.second}" for each in found.episodes if each.paired_spread is None]
    flat += [f"{each.first} - {each.second}" for each in found.trainings if each.spread is None]
    return list(dict.fromkeys(flat))


def episode_curves(found: Needed) -> "tuple[str, dict[str, PowerCurve]]":
    """The pair of policies that needs most, and its curves: paired for each difference, and unpaired for the last."""
    from daf.statistics import power_curve
    from daf.statistics.power import MOST_EPISODES

    worst = [each for each in (worst_episodes(found, difference) for difference in found.names) if each]
    curves = {}
    sizes = _sizes([each.paired.high for each in worst if each.paired], MOST_EPISODES)
    for each in worst:
        spreads = {"": each.paired_spread}
        if each is worst[-1]:
            spreads[", unpaired"] = each.unpaired_spread
        for design, spread in spreads.items():
            if spread:
                label = f"{found.names[each.difference]}{design}"
                curves[label] = power_curve(spread, each.difference, sizes, alpha=each.alpha, level=found.level)
    return (f"{worst[0].first} - {worst[0].second}" if worst else ""), curves


def training_curves(found: Needed) -> "tuple[str, dict[str, PowerCurve]]":
    """The pair of algorithms that needs most, and its curves for the largest difference, one a number of episodes."""
    from daf.statistics import power_curve
    from daf.statistics.power import MOST_TRAININGS

    worst = worst_trainings(found, max(found.names, default=0.0))
    if worst is None or (each := worst[0]).spread is None:
        return "", {}
    sizes = _sizes([need.high for need in each.needs.values()], MOST_TRAININGS)
    curves = {
        f"{found.names[each.difference]}, {count} episodes": power_curve(
            replace(each.spread, episodes=count), each.difference, sizes, alpha=each.alpha, level=found.level
        )
        for count in found.counts
    }
    return f"{each.first} - {each.second}", curves


def _sizes(largest: Sequence[int | None], most: int) -> np.ndarray:
    """Sizes of the sample, evenly on a logarithmic axis, to the largest that may be needed."""
    ends = [most if end is None else end for end in largest] or [most]
    return np.unique(np.geomspace(2, max(*ends, 20), POINTS).round())
