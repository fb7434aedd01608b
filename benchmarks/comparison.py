"""Everything after the last episode of a comparison: statistics, plots, report, and their delivery to MLflow."""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import load_average, report
from daf.comparison.compare import Played, conclude
from daf.comparison.paired import paired_scores
from daf.config import daf_load_config
from daf.records import EpisodeRecord
from daf.tracking.store import open_store
from daf.tracking.tracker import Tracker

#: About as many stats as CoGames reports of an arena episode.
GAME_STATS, AGENT_STATS, AGENTS = 100, 60, 8


def main() -> None:
    """Prints the seconds of each round; the first pays for the imports."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark comparison", description=__doc__)
    parser.add_argument("--policies", type=int, default=5)
    parser.add_argument("--missions", type=int, default=3)
    parser.add_argument("--episodes", type=int, default=30, help="per policy and mission")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    policies = [f"policy {number}" for number in range(arguments.policies)]
    missions = [f"mission {number}" for number in range(arguments.missions)]
    records = _records(policies, missions, arguments.episodes)
    with tempfile.TemporaryDirectory() as name:
        store = f"sqlite:///{Path(name) / 'mlflow.db'}"
        seconds = [
            _round(records, policies, missions, store, Path(name) / str(number)) for number in range(arguments.rounds)
        ]
    rows: list[tuple[str, ...]] = [("first, with imports", f"{seconds[0]:.2f}")]
    if seconds[1:]:
        rows.append(("later, median", f"{float(np.median(seconds[1:])):.2f}"))
    size = f"{arguments.policies} policies, {arguments.missions} missions, {arguments.episodes} episodes"
    report("comparison", rows, (size, "s after the last episode"), {"seconds": seconds})


def _round(records: list[EpisodeRecord], policies: list[str], missions: list[str], store: str, folder: Path) -> float:
    client, experiment = open_store(store, "benchmark")
    folder.mkdir()
    started = time.perf_counter()
    with Tracker(client, experiment, "benchmark", folder) as tracker:
        scores = paired_scores(records, [], policies, missions, "reward")
        conclude(daf_load_config().comparison, Played(records, [], scores, None), tracker)
    seconds = time.perf_counter() - started
    print(f"{seconds:.2f} s (load {load_average()})", flush=True)
    return seconds


def _records(policies: list[str], missions: list[str], episodes: int) -> list[EpisodeRecord]:
    """Made-up records of the size of real ones."""
    generator = np.random.default_rng(0)
    return [
        EpisodeRecord(
            mission=mission,
            mission_name=mission,
            mission_digest="0" * 64,
            policies=(policy,),
            policy_digests=("0" * 64,),
            seed=1_000_000 + seed,
            assignments=(0,) * AGENTS,
            rewards=tuple(generator.gamma(2, 0.1 + 0.02 * number, AGENTS).tolist()),
            action_timeouts=(0,) * AGENTS,
            stats={
                "game": {f"game stat {i}": float(value) for i, value in enumerate(generator.normal(size=GAME_STATS))},
                "agent": [
                    {f"agent stat {i}": float(value) for i, value in enumerate(generator.normal(size=AGENT_STATS))}
                    for _ in range(AGENTS)
                ],
            },
            time_averaged_game_stats={},
            steps=200,
            max_steps=200,
            wall_time_s=0.1,
            backend="batched",
        )
        for number, policy in enumerate(policies)
        for mission in missions
        for seed in range(episodes)
    ]


if __name__ == "__main__":
    main()
