"""Effects that are contrasts of paired episodes, such as what a part contributes or how two parts interact."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from daf.statistics import significance
from daf.statistics.comparison import checked_level, checked_scores
from daf.statistics.estimates import estimate
from daf.statistics.resampling import moments
from daf.statistics.results import Estimate


@dataclass(frozen=True)
class Effect:
    """The mean of one contrast.

    `p_value` is two-sided and corrected for all contrasts of the family; None where there are not enough episodes, as
    `note` then says. `significant` is `p_value <= 1 - level`.
    """

    name: str
    value: Estimate
    p_value: float | None
    significant: bool
    note: str = ""


def paired_effects(
    contrasts: ArrayLike, names: Sequence[str], *, level: float = 0.95, rng: np.random.Generator
) -> list[Effect]:
    """Test whether each contrast is 0 on average.

    `contrasts`: (contrasts, missions, episodes), each computed within an episode's seed; values that are rounding noise
    must be 0. Missions weigh equally. The chance that any contrast without an effect is called significant is
    1 - `level`, and all intervals hold together at `level` (`means`). Errors as `compare`.
    """
    array = np.asarray(contrasts, dtype=np.float64)
    array = checked_scores(array, names, [str(mission) for mission in range(array.shape[1])])
    alpha = 1 - checked_level(level)
    family = significance.paired_family(array.transpose(1, 2, 0), alpha, rng, pool_missions=True)
    return [
        Effect(
            name=name,
            value=estimate(float(moments(sample)[0].mean()), family.bounds[:, number], level),
            p_value=p_value,
            significant=p_value is not None and p_value <= alpha,
            note=next(iter(tests.values())).note,
        )
        for number, (name, sample, tests, p_value) in enumerate(
            zip(names, array, family.tests, family.p_values, strict=True)
        )
    ]
