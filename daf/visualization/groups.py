"""Letters for policies that cannot be told apart, where there are many."""

from typing import TYPE_CHECKING

from daf.visualization.text import Direction, best_first

if TYPE_CHECKING:
    from daf.statistics import Comparison

#: With fewer policies the list of pairs is short enough.
FEWEST_FOR_GROUPS = 4
SHARED_LETTERS = "Policies that share a letter cannot be told apart."

#: Mission (None: all of them) to the letters of each policy.
Groups = dict[str | None, dict[str, str]]


def policy_groups(comparison: "Comparison", direction: Direction) -> Groups:
    """The letters over all missions and on each, a for the best; empty where there are few policies."""
    from daf.statistics import letter_groups

    if len(comparison.policies) < FEWEST_FOR_GROUPS:
        return {}
    groups: Groups = {}
    for mission in (None, *comparison.missions):
        means = {policy: comparison.summary(policy, mission).mean.value for policy in comparison.policies}
        ranked = sorted(means, key=lambda policy: best_first(direction) * means[policy])
        pairs = [pair for pair in comparison.pairs if pair.mission == mission]
        if any(pair.p_value is not None for pair in pairs):
            told_apart = [(pair.first, pair.second) for pair in pairs if pair.significant]
            groups[mission] = letter_groups(ranked, told_apart)
    return groups
