"""What the statistics return: frozen records with plain numbers, ready for a table, a plot or JSON."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A two-sided interval, in the unit of the estimate; `level` is its nominal coverage, for example 0.95."""

    low: float
    high: float
    level: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Estimate:
    """A point estimate; `interval` is None where the data cannot support one."""

    value: float
    interval: Interval | None = None


@dataclass(frozen=True)
class Summary:
    """One policy in one mission, or over all missions with equal weights (`mission` is None).

    `mean`, `iqm` and `std` are in the unit of the metric. Over all missions, `iqm` is that of all their episodes
    together, as rliable pools tasks (Agarwal et al. 2021), and `std` is the root of the mean variance within a mission.
    `episodes` counts the episodes behind the numbers.
    """

    policy: str
    mission: str | None
    episodes: int
    mean: Estimate
    iqm: Estimate
    std: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class TestResult:
    """One test of one pair: two-sided p, then the same p corrected by Holm and by Benjamini-Hochberg.

    The numbers are None where the test does not apply; `note` then says why.
    """

    __test__ = False  # its name is the field's; pytest must not collect it

    statistic: float | None = None
    p_value: float | None = None
    p_holm: float | None = None
    p_bh: float | None = None
    note: str = ""


@dataclass(frozen=True)
class PairResult:
    """Two policies in one mission, or over all missions with equal weights (`mission` is None).

    `difference` is mean(first) - mean(second) in the unit of the metric; its interval is for this pair alone. `tests`
    maps a test's name to its result. `p_value` is the one that decides: corrected for every pair of its family (see
    `compare`); `significant` is `p_value <= 1 - level`, and `decision` says it in words.
    """

    first: str
    second: str
    mission: str | None
    episodes: int
    difference: Estimate
    cohens_d: Estimate
    hedges_g: Estimate
    cliffs_delta: Estimate
    probability_of_improvement: Estimate
    tests: dict[str, TestResult]
    p_value: float | None
    significant: bool
    decision: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Everything a report needs. The overall results come first, then mission by mission."""

    policies: tuple[str, ...]
    missions: tuple[str, ...]
    episodes_per_mission: int
    level: float
    paired: bool
    summaries: tuple[Summary, ...]
    pairs: tuple[PairResult, ...]
    warnings: tuple[str, ...]

    def summary(self, policy: str, mission: str | None = None) -> Summary:
        """The summary of a policy, overall or in one mission. KeyError if there is none."""
        for summary in self.summaries:
            if (summary.policy, summary.mission) == (policy, mission):
                return summary
        raise KeyError(f"no summary of {policy!r} in mission {mission!r}")

    def pair(self, first: str, second: str, mission: str | None = None) -> PairResult:
        """The result for two policies in the order in which they were given to `compare`. KeyError if there is none."""
        for pair in self.pairs:
            if (pair.first, pair.second, pair.mission) == (first, second, mission):
                return pair
        raise KeyError(f"no pair {first!r}, {second!r} in mission {mission!r}")


@dataclass(frozen=True)
class PerformanceProfiles:
    """For each policy the share of episodes with a score above each threshold, missions weighted equally.

    `thresholds` has shape (T,); `fractions`, `low` and `high` have shape (policies, T), each as nested tuples.
    """

    policies: tuple[str, ...]
    thresholds: tuple[float, ...]
    fractions: tuple[tuple[float, ...], ...]
    low: tuple[tuple[float, ...], ...]
    high: tuple[tuple[float, ...], ...]
    level: float


@dataclass(frozen=True)
class SequentialPair:
    """Where a pair stands after the episodes played so far.

    `decision` is "first higher", "second higher", "equivalent", "identical" or "undecided". Both p-values may be looked
    at after every episode, and both are corrected for all pairs (Holm). `difference` carries a confidence sequence: all
    pairs' intervals at all times hold together at the asked level (Bonferroni), so a decision may come a little before
    its interval shows it.
    """

    first: str
    second: str
    difference: Estimate
    p_difference: float
    p_equivalence: float
    decision: str


@dataclass(frozen=True)
class SequentialComparison:
    """The state of a comparison played in rounds; `finished` is true when no pair is undecided."""

    pairs: tuple[SequentialPair, ...]
    episodes_per_mission: int
    margin: float
    level: float
    finished: bool
    note: str
