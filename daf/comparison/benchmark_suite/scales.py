"""What 0 and 1 mean on a mission: noop and the best scripted policy, where the two differ by more than chance.

Two sets of seeds keep luck out of the scale. On the first, the best scripted policy of each mission is chosen, and all
gaps to noop are tested together. On the second, where the algorithms play as well, the gap of the chosen policy is
measured and has to be there again. Chosen and measured on the same seeds, the best of five equal policies looks better
than it is, and an algorithm that is equal to them scores 0.78.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from daf.visualization.text import number_text, p_text

if TYPE_CHECKING:
    from daf.statistics import Effect

Array = NDArray[np.float64]

# A gap that is a smaller share of how far the rewards lie apart would turn ordinary rewards into scores of hundreds.
LEAST_SHARE = 0.01


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What 0 and 1 mean on a mission, in reward per agent.

    Attributes:
        noop: mean reward of doing nothing; the score 0.
        best: mean reward of the best scripted policy; the score 1.
        best_policy: its name.
        why_not: why the mission has no scale; empty where it has one.
    """

    mission: str
    noop: float
    best: float
    best_policy: str
    why_not: str = ""

    @property
    def usable(self) -> bool:
        """Whether rewards on the mission have a score."""
        return not self.why_not


def measure_scales(
    selection: Mapping[str, Array],
    references: Mapping[str, Array],
    missions: Sequence[str],
    others: Sequence[Array] = (),
    *,
    level: float,
) -> tuple[Scale, ...]:
    """The scale of every mission; that one without a gap gets one has at most a chance of 1 - `level`.

    Args:
        selection: noop, then the scripted policies, to rewards on the seeds on which the best is chosen, (M, E).
        references: the same policies on the seeds on which the scale is measured, (M, E).
        others: rewards of everybody else who is to be scored, (M, E) each.
    """
    noop, *scripted = references
    chosen = [max(scripted, key=lambda name: selection[name][index].mean()) for index in range(len(missions))]
    beaten = _chosen_gaps(selection, chosen, level)
    gaps = [references[best][index] - references[noop][index] for index, best in enumerate(chosen)]
    again = [_effects(gap[None], level)[0] for gap in gaps]
    played = np.array([rewards.mean(axis=1) for rewards in (*references.values(), *others)])
    scales = []
    for index, (mission, best) in enumerate(zip(missions, chosen, strict=True)):
        why = (
            _doubt(beaten[index], best, 1 - level)
            # One-sided, each mission by itself: a stricter test would keep the lucky gaps alone.
            or _doubt(again[index], best, 2 * (1 - level), "on fresh seeds, ")
            or _too_small(float(gaps[index].mean()), float(np.ptp(played[:, index])), best)
        )
        zero, one = (float(references[name][index].mean()) for name in (noop, best))
        scales.append(Scale(mission=mission, noop=zero, best=one, best_policy=best, why_not=why))
    return tuple(scales)


def _chosen_gaps(selection: Mapping[str, Array], chosen: Sequence[str], level: float) -> "list[Effect]":
    """The gap of each mission's best, tested together with those of all scripted policies among which it was chosen."""
    noop, *scripted = selection
    gaps = [selection[name] - selection[noop] for name in scripted]
    effects = _effects(np.concatenate(gaps), level)
    missions = len(chosen)
    return [effects[scripted.index(best) * missions + index] for index, best in enumerate(chosen)]


def _effects(gaps: Array, level: float) -> "list[Effect]":
    """Whether each row of (K, E) paired differences is 0 on average."""
    from daf.statistics import paired_effects

    names = [str(number) for number in range(len(gaps))]
    return paired_effects(gaps[:, None, :], names, level=level, rng=np.random.default_rng(0))


def _doubt(effect: "Effect", best: str, alpha: float, where: str = "") -> str:
    """Why a gap may be chance; empty where it is not, at this two-sided level."""
    from daf.statistics.significance import CONSTANT

    gap, p_value = effect.value.value, effect.p_value
    # A gap that never varied has no test, and is as good a scale as there can be.
    constant = p_value is None and effect.note == CONSTANT
    if gap > 0 and (constant or (p_value is not None and p_value <= alpha)):
        return ""
    found = f"{best} - noop is {number_text(gap, '+')}"
    if gap > 0:
        found += f", {effect.note}" if p_value is None else f", p {p_text(p_value)}"
    return f"{where}no scripted policy beats noop beyond chance ({found})"


def _too_small(gap: float, apart: float, best: str) -> str:
    if gap >= LEAST_SHARE * apart:
        return ""
    return (
        f"{best} beats noop by {number_text(gap)}, less than {LEAST_SHARE:.0%} of how far the mean rewards lie apart"
        f" ({number_text(apart)})"
    )
