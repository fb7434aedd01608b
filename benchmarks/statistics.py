"""What the statistics promise, measured: wrong claims, coverage, agreement of verdict and interval, and power."""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks import report
from daf.statistics import resampling, sequential_comparison
from daf.statistics.comparison import all_pairs, paired_differences
from daf.statistics.resampling import Array
from daf.statistics.significance import decisive_tests

LEVEL = 0.95
EPISODES, POLICIES = (5, 8, 16, 40), (2, 3, 4, 6)
MOST_EPISODES = 200
DRAWS = 999
COLUMNS = ("scores", "policies", "episodes", "wrong claims", "all intervals cover", "no interval", "disagreements")

Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]


@dataclass(frozen=True)
class Case:
    """Policies with the same mean: `draw` gives their scores less that mean.

    `constant`: the first policy always scores the mean. `bounds`: the lowest and the highest score.
    """

    name: str
    draw: Draw
    constant: bool
    bounds: tuple[float, float] | None = None


def _rare(chance: float) -> Draw:
    return lambda rng, shape: (rng.random(shape) < chance).astype(np.float64) - chance


CASES = (
    Case("normal", lambda rng, shape: rng.normal(size=shape), constant=False),
    Case("ties (-1, 0, 1)", lambda rng, shape: rng.integers(-1, 2, shape).astype(float), constant=False),
    Case("exponential", lambda rng, shape: rng.exponential(size=shape) - 1, constant=False),
    Case("lognormal", lambda rng, shape: rng.lognormal(size=shape) - np.exp(0.5), constant=False),
    Case("Bernoulli .1", _rare(0.1), constant=False, bounds=(-0.1, 0.9)),
    Case("normal against a constant", lambda rng, shape: rng.normal(size=shape), constant=True),
    Case("exponential against a constant", lambda rng, shape: rng.exponential(size=shape) - 1, constant=True),
    Case("lognormal against a constant", lambda rng, shape: rng.lognormal(size=shape) - np.exp(0.5), constant=True),
    Case("Bernoulli .1 against a constant", _rare(0.1), constant=True, bounds=(-0.1, 0.9)),
    Case("Bernoulli .03 against a constant", _rare(0.03), constant=True, bounds=(-0.03, 0.97)),
)


def main() -> None:
    """Prints and writes the table."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark statistics", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000, help="data sets of each row")
    arguments = parser.parse_args()
    resampling.RESAMPLES = DRAWS
    rows = [*_fixed(arguments.rounds), *_sequential(arguments.rounds), *_power(arguments.rounds)]
    report("statistics", rows, COLUMNS, {"rounds": arguments.rounds, "level": LEVEL, "draws": DRAWS})


def _scores(case: Case, shape: tuple[int, int, int], rng: np.random.Generator) -> Array:
    scores = case.draw(rng, shape)
    if case.constant:
        scores[0] = 0
    return scores


def _shown(row: tuple[str, ...]) -> tuple[str, ...]:
    """The row itself, once it was printed: a long measurement is watched."""
    print("; ".join(row), flush=True)
    return row


def _fixed(rounds: int) -> Iterator[tuple[str, ...]]:
    for case in CASES:
        for policies in POLICIES:
            for episodes in EPISODES:
                yield _shown((case.name, str(policies), str(episodes), *_fixed_row(case, policies, episodes, rounds)))


def _fixed_row(case: Case, policies: int, episodes: int, rounds: int) -> tuple[str, ...]:
    rng, pairs = np.random.default_rng(policies * 1000 + episodes), all_pairs(policies)
    wrong = covered = disagree = missing = 0.0
    for _ in range(rounds):
        differences = paired_differences(_scores(case, (policies, 1, episodes), rng), pairs)
        found = decisive_tests(differences, 1 - LEVEL, rng, pool_missions=True)
        low, high = found.bounds
        claimed, excluded = found.p_values <= 1 - LEVEL, (low > 0) | (high < 0)
        wrong += claimed.any()
        covered += not excluded.any()
        disagree += (claimed != excluded).sum()
        missing += np.isnan(low).mean()
    return _percent(wrong / rounds), _percent(covered / rounds), _percent(missing / rounds), str(int(disagree))


def _sequential(rounds: int) -> Iterator[tuple[str, ...]]:
    """Looked at after every episode: running p-values make the last look as good as all of them."""
    for case in CASES:
        for bounds in (None, case.bounds) if case.bounds else (None,):
            for policies in (2, 4):
                name = f"{case.name}, in rounds" + (", with its range" if bounds else "")
                row = _sequential_row(case, bounds, policies, rounds)
                yield _shown((name, str(policies), f"to {MOST_EPISODES}", *row))


def _sequential_row(
    case: Case, bounds: tuple[float, float] | None, policies: int, rounds: int
) -> tuple[str, str, str, str]:
    rng, names = np.random.default_rng(policies), [str(number) for number in range(policies)]
    wrong = covered = disagree = missing = 0.0
    for _ in range(rounds):
        scores = _scores(case, (policies, 1, MOST_EPISODES), rng)
        found = sequential_comparison(scores, names, margin=1e-9, level=LEVEL, score_range=bounds).pairs
        claimed = ["higher" in pair.decision for pair in found]
        excluded = [pair.difference.interval is not None and 0 not in pair.difference.interval for pair in found]
        wrong += any(claimed)
        covered += not any(excluded)
        disagree += sum(one != other for one, other in zip(claimed, excluded, strict=True))
        missing += float(np.mean([pair.difference.interval is None for pair in found]))
    return _percent(wrong / rounds), _percent(covered / rounds), _percent(missing / rounds), str(int(disagree))


def _power(rounds: int) -> Iterator[tuple[str, ...]]:
    """How often a normal difference is found that Student's t, corrected by the same draws, finds in 80 %."""
    for policies in POLICIES:
        for episodes in EPISODES:
            found = _percent(_power_of(policies, episodes, rounds))
            name = "normal, one pair apart: power, 80 % by t"
            yield _shown((name, str(policies), str(episodes), found, "", "", ""))


def _power_of(policies: int, episodes: int, rounds: int) -> float:
    rng, pairs = np.random.default_rng(1), all_pairs(policies)
    sampled = rng.standard_normal((20_000, policies, episodes))
    differences = sampled[:, pairs[0]] - sampled[:, pairs[1]]
    largest = np.abs(differences.mean(axis=-1) / differences.std(axis=-1, ddof=1)).max(axis=-1) * np.sqrt(episodes)
    critical, sizes = np.quantile(largest, LEVEL), np.linspace(0.05, 10, 4000)
    power = stats.nct.sf(critical, episodes - 1, sizes * np.sqrt(episodes))
    lead = np.sqrt(2) * float(np.interp(0.8, power, sizes))
    hits = 0
    for _ in range(rounds):
        scores = rng.normal(size=(policies, 1, episodes))
        scores[0] += lead
        found = decisive_tests(paired_differences(scores, pairs), 1 - LEVEL, rng, pool_missions=True)
        hits += found.bounds[0, 0] > 0
    return hits / rounds


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
