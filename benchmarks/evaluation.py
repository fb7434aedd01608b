"""Evaluation against `cogames.evaluate.evaluate`: LSTM and starter, and the same again from the cache."""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import alternate, median_ratio, report
from benchmarks.direct import evaluate_directly, new_weights, step_simulators
from daf.episodes.play import CacheMode, EpisodeWorkers, daf_play_episodes
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec

AGENTS = 8


def plans(policy: PolicySpec, steps: int, episodes: int) -> list[EpisodePlan]:
    """The same episodes as `cogames.evaluate.evaluate` plays."""
    mission = MissionSpec(name="cogsguard_arena.basic", max_steps=steps)
    return [
        EpisodePlan(mission=mission, policies=(policy,), assignments=(0,) * AGENTS, seed=seed)
        for seed in range(episodes)
    ]


@dataclass(frozen=True)
class Measured:
    """What is measured: the work, and the two policies that do it.

    Attributes:
        folder: of the cache.
        warm: worker processes that were started before the clock runs.
        last: by name, the records of the last time that a side played.
    """

    steps: int
    episodes: int
    folder: Path
    lstm: PolicySpec
    starter: PolicySpec
    warm: EpisodeWorkers
    last: dict[str, list[EpisodeRecord]] = field(default_factory=dict)

    def plans(self, policy: PolicySpec) -> list[EpisodePlan]:
        """All episodes of one side."""
        return plans(policy, self.steps, self.episodes)

    def rate(self, play: Callable[[], object]) -> float:
        """Agent steps per second."""
        started = time.perf_counter()
        play()
        return AGENTS * self.steps * self.episodes / (time.perf_counter() - started)

    def daf(
        self, name: str, policy: PolicySpec, workers: int | EpisodeWorkers, cache: CacheMode = "off"
    ) -> Callable[[], float]:
        """DAF's side."""

        def play() -> None:
            outcomes = daf_play_episodes(
                self.plans(policy), workers=workers, cache=cache, cache_dir=self.folder / "cache"
            )
            self.last[name] = [outcome for outcome in outcomes if isinstance(outcome, EpisodeRecord)]

        return lambda: self.rate(play)

    def cogames(self, policy: PolicySpec) -> Callable[[], float]:
        """CoGames' side."""
        return lambda: self.rate(lambda: evaluate_directly(self.plans(policy)))

    def bare(self, processes: int) -> float:
        """What the simulators alone would take."""
        return AGENTS * self.steps * self.episodes / step_simulators(self.plans(self.lstm), processes)


def main() -> None:
    """Prints agent steps per second of every side, and the ratios, medians over rounds of paired runs."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark evaluation", description=__doc__)
    parser.add_argument("--steps", type=int, default=1000, help="steps of an episode")
    parser.add_argument("--episodes", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, EpisodeWorkers(options.workers) as warm:
        weights = Path(folder) / "lstm.pt"
        lstm = PolicySpec(name="lstm", class_path="lstm", weights=str(weights))
        new_weights(plans(lstm, options.steps, 1)[0].mission, weights)
        starter = PolicySpec(name="starter", class_path="starter")
        measured = _measure(
            Measured(options.steps, options.episodes, Path(folder), lstm, starter, warm), options.rounds
        )
    rows, ratios = _table(measured, options.workers)
    report("evaluation", rows, ("", "agent steps / s", "against"), {"rates": measured, "ratios": ratios})


def _measure(work: Measured, rounds: int) -> dict[str, list[float]]:
    """Rates of every side, in every round."""
    workers, lstm, starter = work.warm.count, work.lstm, work.starter
    work.daf("warm-up", starter, work.warm)()
    work.daf("warm-up", lstm, 1)()
    sides: dict[str, Callable[[], float]] = {
        "lstm, cogames.evaluate": work.cogames(lstm),
        "lstm, daf, 1 process": work.daf("lstm 1", lstm, 1),
        f"lstm, daf, {workers} workers": work.daf("lstm n", lstm, work.warm),
        f"bare simulators, {workers} processes": lambda: work.bare(workers),
        "starter, cogames.evaluate": work.cogames(starter),
        f"lstm, daf, {workers} new workers": work.daf("lstm new", lstm, workers),
        "starter, daf, 1 process": work.daf("starter 1", starter, 1),
        f"starter, daf, {workers} workers": work.daf("starter n", starter, work.warm),
    }
    measured = alternate(sides, rounds)
    fill = work.daf("fill", lstm, work.warm, "on")()
    measured["lstm, daf, played and put into the cache"] = [fill] * rounds
    cached = work.daf("cached", lstm, work.warm, "on")
    measured["lstm, daf, from the cache"] = [cached() for _ in range(rounds)]
    assert [r.stats for r in work.last["cached"]] == [r.stats for r in work.last["lstm n"]]
    return measured


def _table(measured: dict[str, list[float]], workers: int) -> tuple[list[tuple[str, ...]], dict[str, float]]:
    """Rates, and ratios to what each is compared with."""
    many, bare = f"{workers} workers", f"bare simulators, {workers} processes"
    compared = {
        "lstm, daf, 1 process": "lstm, cogames.evaluate",
        f"lstm, daf, {many}": "lstm, cogames.evaluate",
        f"lstm, daf, {workers} new workers": "lstm, cogames.evaluate",
        "starter, daf, 1 process": "starter, cogames.evaluate",
        f"starter, daf, {many}": "starter, cogames.evaluate",
        "lstm, daf, from the cache": f"lstm, daf, {many}",
    }
    ratios = {f"{name} / {base}": median_ratio(measured[name], measured[base]) for name, base in compared.items()}
    ratios[f"lstm, daf, {many} / {bare}"] = median_ratio(measured[f"lstm, daf, {many}"], measured[bare])
    rows: list[tuple[str, ...]] = []
    for name, rates in measured.items():
        against = [
            f"{ratio:.2f} x {key.partition(' / ')[2]}" for key, ratio in ratios.items() if key.startswith(f"{name} / ")
        ]
        rows.append((name, f"{sorted(rates)[len(rates) // 2]:,.0f}", "; ".join(against)))
    return rows, ratios


if __name__ == "__main__":
    main()
