"""Who leads and who has won, for programs: the words of `TaskResult.facts`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from daf.config.commands import OF_DEPLOYMENT, command_for, playing
from daf.config.schemas import DAFConfig, DAFPolicyConfig
from daf.visualization.text import Direction, best_first

if TYPE_CHECKING:
    from daf.statistics import AlgorithmPair, PairResult


def standing_facts(
    means: Mapping[str, float], pairs: "Sequence[PairResult] | Sequence[AlgorithmPair]", direction: Direction
) -> dict[str, str]:
    """``leader``: who has the best mean; and ``winner``: who is significantly better than every other, if anybody is.

    Args:
        means: name to mean; at least one.
        pairs: all pairs, over all missions.
        direction: what is better; where nobody knows (None), the highest leads and nobody wins.
    """
    sign = best_first(direction)
    leader = min(means, key=lambda name: sign * means[name])
    beaten = sum(pair.significant for pair in pairs if leader in (pair.first, pair.second))
    won = direction is not None and 0 < beaten == len(means) - 1
    return {"leader": leader, **({"winner": leader} if won else {})}


def packing_command(config: DAFConfig, policy: DAFPolicyConfig | None) -> str | None:
    """How a policy is packed; None where there is none, or it is no training's weights."""
    if policy is None or policy.weights is None:
        return None
    return command_for(playing(config, policy), "package", OF_DEPLOYMENT)
