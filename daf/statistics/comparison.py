"""The comparison of policies on shared missions, from an array of scores to everything a report needs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from daf.statistics import estimates, means, significance
from daf.statistics.estimates import MIN_EPISODES, Indices, not_enough, reliability
from daf.statistics.resampling import Array, moments
from daf.statistics.results import Comparison, Estimate, PairResult, Summary, TestResult
from daf.statistics.significance import FamilyTests, Range

CANNOT_TELL = "cannot tell"
UNSEEN = "a difference never varied: what is said of it assumes that nothing lies further away than what was seen"
CONSTANT_SCORE = "the same score in every episode"
NO_IQM_INTERVAL = "no interval for the IQM: its resamples do not vary"

_ROUNDING = 1e-12  # paired scores that differ by less, relative to their size, differ by rounding alone


def checked_scores(scores: ArrayLike, policies: Sequence[str], missions: Sequence[str]) -> Array:
    """The scores as (P, M, E) floats. ValueError if they are not, do not match the names, or are not all finite."""
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"scores must have shape (policies, missions, episodes), not {array.shape}")
    for what, names, count in (("policy", policies, array.shape[0]), ("mission", missions, array.shape[1])):
        if len(names) != count:
            raise ValueError(f"{len(names)} {what} names for {count} rows of scores")
        if len(set(names)) != len(names):
            raise ValueError(f"{what} names must differ: {', '.join(names)}")
    if not np.isfinite(array).all():
        policy, mission, episode = np.argwhere(~np.isfinite(array))[0]
        where = f"policy {policies[policy]!r}, mission {missions[mission]!r}, episode {episode}"
        raise ValueError(f"scores must be finite numbers: {array[policy, mission, episode]} at {where}")
    return array


def checked_range(scores: Array, score_range: Range) -> Array:
    """The scores themselves. ValueError if the range is none, or a score lies outside it."""
    if score_range is None:
        return scores
    low, high = score_range
    if not -np.inf < low < high < np.inf:
        raise ValueError(f"a range of scores goes from a lower to a higher number, not {low} to {high}")
    outside = scores[(scores < low) | (scores > high)]
    if outside.size:
        raise ValueError(f"a score of {outside[0]:g} lies outside the declared range of {low:g} to {high:g}")
    return scores


def checked_level(level: float) -> float:
    """The level itself. ValueError unless it lies between 0.5 and 1."""
    if not 0.5 < level < 1:
        raise ValueError(f"level must lie between 0.5 and 1, not {level}")
    return level


def all_pairs(policies: int) -> Indices:
    """The policy numbers of all pairs, (2, K), in the order (0, 1), (0, 2), ..., (1, 2), ..."""
    return np.stack(np.triu_indices(policies, 1))


def paired_differences(scores: Array, pairs: Indices) -> Array:
    """Differences of all pairs, episode by episode: (P, M, E) gives (M, E, K).

    They are put on a grid of 1e-12 of the largest score, so that what differs by rounding alone counts as equal.
    """
    first, second = scores[pairs[0]], scores[pairs[1]]
    grid = _ROUNDING * np.maximum(np.abs(first), np.abs(second)).max(axis=-1, keepdims=True)
    steps = np.divide(first - second, grid, out=np.zeros_like(first), where=grid > 0)
    return (np.round(steps) * grid).transpose(1, 2, 0)


def compare(
    scores: ArrayLike,
    policy_names: Sequence[str],
    mission_names: Sequence[str],
    *,
    level: float = 0.95,
    rng: np.random.Generator,
    paired: bool = True,
    score_range: Range = None,
) -> Comparison:
    """Compare policies on any metric.

    `scores`: (policies, missions, episodes), in the unit of the metric. `paired`: episode e of a mission has the same
    seed for every policy. `score_range`: the lowest and the highest score that there can be, if that is known; paired
    scores that do not vary then have an interval all the same. Missions are strata of equal weight; nothing is
    resampled or ranked across them.

    There are two families: all pairs over all missions, and all pairs on all missions. In each, the chance that any
    pair with no difference is called significant is 1 - `level`, and the intervals of all differences hold together at
    `level`. A pair is significant exactly where its interval excludes 0. Intervals of everything else are for one
    number each. The methods stand in `means`, `betting` and `estimates`.

    With fewer than 5 episodes per mission there are no intervals and no p-values, only "not enough episodes (n of m)".
    Intervals from fewer than 20 episodes carry a warning.

    ValueError for wrong shapes, names that do not match, scores that are not finite or a level outside 0.5 to 1.
    """
    array = checked_range(checked_scores(scores, policy_names, mission_names), score_range)
    scope = Scope(tuple(policy_names), all_pairs(len(array)), checked_level(level), paired, rng, score_range)
    summaries, pairs = scope.results(array, None, scope.family(array, pool_missions=True))
    if len(mission_names) == 1:
        summaries += [replace(summary, mission=mission_names[0]) for summary in summaries]
        pairs += [replace(pair, mission=mission_names[0]) for pair in pairs]
    else:
        for of_mission in scope.mission_results(array, mission_names):
            summaries += of_mission[0]
            pairs += of_mission[1]
    warnings = [text for summary in summaries for text in summary.warnings]
    warnings += [text for pair in pairs for text in pair.warnings]
    return Comparison(
        policies=tuple(policy_names),
        missions=tuple(mission_names),
        episodes_per_mission=array.shape[2],
        level=level,
        paired=paired,
        summaries=tuple(summaries),
        pairs=tuple(pairs),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def compare_two(
    first: ArrayLike,
    second: ArrayLike,
    *,
    names: tuple[str, str] = ("first", "second"),
    level: float = 0.95,
    rng: np.random.Generator,
) -> PairResult:
    """Compare two policies on one mission: two samples of equal length, (E,), paired by seed. The rest as `compare`."""
    samples = [np.asarray(sample, dtype=np.float64) for sample in (first, second)]
    if samples[0].ndim != 1 or samples[0].shape != samples[1].shape:
        raise ValueError(f"two samples of equal length are needed, not {samples[0].shape} and {samples[1].shape}")
    scores = np.stack(samples)[:, None, :]
    return compare(scores, names, ("mission",), level=level, rng=rng).pair(*names)


def mean_with_interval(sample: ArrayLike, *, level: float = 0.95) -> Estimate:
    """Mean of a sample of episodes, (E,), or of missions of equal weight, (M, E), with its interval from 5 episodes on.

    No interval where nothing varies. The method stands in `means`. Errors as `compare`.
    """
    array = np.asarray(sample, dtype=np.float64)
    missions = array if array.ndim > 1 else array[None, ...]
    scores = checked_scores(missions[None, ...], ("sample",), [str(number) for number in range(len(missions))])
    bounds = _mean_bounds(scores, 1 - checked_level(level), None)
    return estimates.estimate(float(moments(scores)[0].mean()), bounds[:, 0], level)


def _mean_bounds(scores: Array, alpha: float, score_range: Range) -> Array:
    """An interval of each policy's mean for itself: (P, M, E) gives (2, P), nan for none."""
    if scores.shape[-1] < MIN_EPISODES:
        return np.full((2, len(scores)), np.nan)
    tested = means.tested(means.estimated_means(scores), None, alpha)
    return (significance.with_bets(tested, scores, score_range, alpha, family=1) if score_range else tested).bounds


@dataclass(frozen=True)
class Scope:
    """What is the same for the overall results and for each mission.

    `pairs`: the policy numbers of all pairs, (2, K). The rest as in `compare`.
    """

    policies: tuple[str, ...]
    pairs: Indices
    level: float
    paired: bool
    rng: np.random.Generator
    score_range: Range

    def family(self, scores: Array, *, pool_missions: bool) -> FamilyTests:
        """The tests of all pairs over all missions, or of all pairs in each mission, mission by mission."""
        if not self.pairs.size:
            return FamilyTests([], [], np.empty((2, 0)))
        alpha = 1 - self.level
        if not self.paired:
            return significance.unpaired_family(scores, self.pairs, alpha, self.rng, pool_missions=pool_missions)
        differences = paired_differences(scores, self.pairs)
        widest = self.score_range[1] - self.score_range[0] if self.score_range else None
        return significance.paired_family(differences, alpha, self.rng, pool_missions=pool_missions, widest=widest)

    def results(
        self, scores: Array, mission: str | None, family: FamilyTests
    ) -> tuple[list[Summary], list[PairResult]]:
        """Summaries and pairs of (P, M, E) scores: all missions, or the one named."""
        count, (_, missions, episodes) = len(self.policies), scores.shape
        bca = np.full((2, count + self.pairs.shape[1]), np.nan)
        if episodes >= MIN_EPISODES:
            bca = estimates.bca_intervals(scores, self.pairs, paired=self.paired, level=self.level, rng=self.rng)
        few = episodes < MIN_EPISODES
        warnings = (not_enough(episodes, MIN_EPISODES),) if few else reliability(missions * episodes)
        return (
            self._summaries(scores, mission, bca[:, :count], warnings),
            self._pairs(scores, mission, bca[:, count:], warnings, family),
        )

    def mission_results(
        self, scores: Array, missions: Sequence[str]
    ) -> Iterator[tuple[list[Summary], list[PairResult]]]:
        """Summaries and pairs of (P, M, E) scores mission by mission; the tests of all missions are one family."""
        family, count = self.family(scores, pool_missions=False), self.pairs.shape[1]
        for number, mission in enumerate(missions):
            rows = slice(number * count, (number + 1) * count)
            yield self.results(scores[:, [number]], mission, family.part(rows))

    def _summaries(self, scores: Array, mission: str | None, iqms: Array, warnings: tuple[str, ...]) -> list[Summary]:
        value, spread = moments(scores)
        bounds = _mean_bounds(scores, 1 - self.level, self.score_range)
        middle = estimates.iqm(scores.reshape(len(scores), -1))
        return [
            Summary(
                policy=policy,
                mission=mission,
                episodes=scores[number].size,
                mean=estimates.estimate(value[number].mean(), bounds[:, number], self.level),
                iqm=estimates.estimate(middle[number], iqms[:, number], self.level),
                std=float(np.sqrt(spread[number].mean())),
                warnings=(*warnings, *_doubts(spread[number], iqms[:, number], scores.shape[-1])),
            )
            for number, policy in enumerate(self.policies)
        ]

    def _pairs(
        self,
        scores: Array,
        mission: str | None,
        effects: Array,
        warnings: tuple[str, ...],
        family: FamilyTests,
    ) -> list[PairResult]:
        _, missions, episodes = scores.shape
        value = moments(scores)[0].mean(axis=-1)
        cohens_d = estimates.cohens_d(scores, self.pairs)
        unbiased = estimates.hedges_correction(2 * missions * (episodes - 1))
        results = []
        for number, (i, j) in enumerate(self.pairs.T):
            delta = estimates.cliffs_delta(scores[i], scores[j], paired=self.paired, level=self.level)
            names, p_value = (self.policies[i], self.policies[j]), family.p_values[number]
            t_test = next(iter(family.tests[number].values()))
            significant = p_value is not None and p_value <= 1 - self.level
            results.append(
                PairResult(
                    first=names[0],
                    second=names[1],
                    mission=mission,
                    episodes=missions * episodes,
                    difference=estimates.estimate(value[i] - value[j], family.bounds[:, number], self.level),
                    cohens_d=estimates.estimate(cohens_d[number], effects[:, number], self.level),
                    hedges_g=estimates.estimate(unbiased * cohens_d[number], unbiased * effects[:, number], self.level),
                    cliffs_delta=delta,
                    probability_of_improvement=estimates.probability_of_improvement(delta),
                    tests=family.tests[number],
                    p_value=p_value,
                    significant=significant,
                    decision=_decision(names, value[i] - value[j], p_value, t_test, significant),
                    warnings=(*warnings, UNSEEN) if self._rests_on_unseen(t_test, p_value) else warnings,
                )
            )
        return results

    def _rests_on_unseen(self, t_test: TestResult, p_value: float | None) -> bool:
        return t_test.note == significance.CONSTANT and p_value is not None and self.score_range is None


def _doubts(variances: Array, iqm_bounds: Array, episodes: int) -> list[str]:
    if episodes < MIN_EPISODES:
        return []
    if not variances.any():
        return [CONSTANT_SCORE]
    return [] if np.isfinite(iqm_bounds).all() else [NO_IQM_INTERVAL]


def _decision(
    names: tuple[str, str], difference: float, p_value: float | None, test: TestResult, significant: bool
) -> str:
    """The result of a pair in words; `test` is the t-test, whose note says what is special about the data."""
    if p_value is None and test.note == significance.CONSTANT:
        return f"{CANNOT_TELL}: {test.note}"
    if p_value is None or test.note == significance.IDENTICAL:
        return test.note
    first, second = names
    corrected = f"p {'<' if p_value < 0.001 else '='} {max(p_value, 0.001):.3f} after correction"
    if not significant:
        return f"no significant difference between {first} and {second} ({corrected})"
    higher, lower = (first, second) if difference > 0 else (second, first)
    return f"{higher} is higher than {lower} by {abs(difference):.4g} ({corrected})"
