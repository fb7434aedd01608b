"""Evaluation against `cogames.evaluate.evaluate`: LSTM and starter, and the same again from the cache."""

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import alternate, median_ratio, report
from benchmarks.direct import evaluate_directly, new_weights, step_simulators
from daf.episodes.play import Backend, CacheMode, EpisodeWorkers, daf_play_episodes
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec

AGENTS = 8


def plans(policy: PolicySpec, steps: int, episodes: int) -> list[EpisodePlan]:
    """The same episodes as `cogames.evaluate.evaluate` plays."""
    mission = MissionSpec(name="cogsguard_arena.basic", max_steps=steps)
    return [
        EpisodePlan(mission=mission, policies=(policy,), assignments=(0,) * AGENTS, seed=seed)
        for seed in range(episodes)
    ]


def main() -> None:
    """Prints agent steps per second of every side, and the ratios, medians over rounds of paired runs."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark evaluation", description=__doc__)
    parser.add_argument("--steps", type=int, default=1000, help="steps of an episode")
    parser.add_argument("--episodes", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    work = AGENTS * options.steps * options.episodes
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        weights = Path(folder) / "lstm.pt"
        lstm = PolicySpec(name="lstm", class_path="lstm", weights=str(weights))
        new_weights(plans(lstm, options.steps, 1)[0].mission, weights)
        starter = PolicySpec(name="starter", class_path="starter")
        last: dict[str, list[EpisodeRecord]] = {}

        def daf(
            name: str, policy: PolicySpec, backend: Backend, workers: int | EpisodeWorkers, cache: CacheMode = "off"
        ) -> Callable[[], float]:
            def play() -> float:
                started = time.perf_counter()
                outcomes = daf_play_episodes(
                    plans(policy, options.steps, options.episodes),
                    backend=backend,
                    workers=workers,
                    cache=cache,
                    cache_dir=Path(folder) / "cache",
                )
                seconds = time.perf_counter() - started
                last[name] = [outcome for outcome in outcomes if isinstance(outcome, EpisodeRecord)]
                return work / seconds

            return play

        def cogames(name: str, policy: PolicySpec) -> Callable[[], float]:
            def play() -> float:
                started = time.perf_counter()
                evaluate_directly(plans(policy, options.steps, options.episodes))
                return work / (time.perf_counter() - started)

            return play

        warm = stack.enter_context(EpisodeWorkers(options.workers))
        daf("warm-up", starter, "auto", warm)()
        daf("warm-up", lstm, "auto", 1)()
        sides: dict[str, Callable[[], float]] = {
            "lstm, cogames.evaluate": cogames("lstm", lstm),
            "lstm, daf, 1 process": daf("lstm 1", lstm, "auto", 1),
            f"lstm, daf, {options.workers} workers": daf("lstm n", lstm, "auto", warm),
            f"bare simulators, {options.workers} processes": lambda: (
                work / step_simulators(plans(lstm, options.steps, options.episodes), options.workers)
            ),
            "starter, cogames.evaluate": cogames("starter", starter),
            f"lstm, daf, {options.workers} new workers": daf("lstm new", lstm, "auto", options.workers),
            "starter, daf, 1 process": daf("starter 1", starter, "auto", 1),
            f"starter, daf, {options.workers} workers": daf("starter n", starter, "auto", warm),
        }
        measured = alternate(sides, options.rounds)
        fill = daf("fill", lstm, "auto", warm, "on")()
        measured["lstm, daf, played and put into the cache"] = [fill] * options.rounds
        cached = daf("cached", lstm, "auto", warm, "on")
        measured["lstm, daf, from the cache"] = [cached() for _ in range(options.rounds)]
        assert [r.stats for r in last["cached"]] == [r.stats for r in last["lstm n"]]
    rows, ratios = _table(measured, options.workers)
    report("evaluation", rows, ("", "agent steps / s", "against"), {"rates": measured, "ratios": ratios})


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
        own = [
            f"{ratio:.2f} x {key.partition(' / ')[2]}" for key, ratio in ratios.items() if key.startswith(f"{name} / ")
        ]
        rows.append((name, f"{sorted(rates)[len(rates) // 2]:,.0f}", "; ".join(own)))
    return rows, ratios


if __name__ == "__main__":
    main()
