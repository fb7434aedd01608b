"""Which episodes a validation plays, and playing them in jails."""

import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

from daf.bridge.bundles import SPEC_FILE
from daf.bridge.isolated import NOOP, IsolatedEpisode, IsolatedJob, IsolatedPolicy, PlayedEpisode, play_isolated
from daf.bridge.jail import GIB, WALLS, Jailed
from daf.bridge.mission_names import is_mission_file
from daf.bridge.missions import agent_count, max_steps
from daf.bridge.sources import policy_files
from daf.config.schemas import DAFConfig
from daf.episodes.limits import SECONDS_PER_ACTION, SECONDS_PER_EPISODE
from daf.episodes.plans import unique_names
from daf.records import MissionSpec, PolicySpec

#: Enough for every agent to move, and for a policy that keeps a state to use it.
SMOKE_STEPS = 20
#: Parts of a team of eight that the policy under test holds; the season plays the same.
SPLITS = (2, 4, 6)
TEAM = 8
SELF_PLAY, NOOPS = "self-play", "noop"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What was played.

    Attributes:
        mission: as it was played, with its length.
        steps: of a whole episode.
        tested: episodes in which the policy under test took part.
        noops: the same seeds, played by noop alone.
        pool: display name of the other policy of a split, by the episode's label.
        walls: what stood around all of it.
        peak_bytes: the most memory that one jail held.
    """

    mission: MissionSpec
    steps: int
    tested: tuple[PlayedEpisode, ...]
    noops: tuple[PlayedEpisode, ...]
    pool: dict[str, str]
    walls: frozenset[str]
    peak_bytes: int

    @property
    def self_play(self) -> tuple[PlayedEpisode, ...]:
        """The episodes in which every agent was of the policy under test."""
        return tuple(episode for episode in self.tested if episode.label.startswith(SELF_PLAY))


def play_trial(config: DAFConfig, folder: Path, *, trusted: bool) -> Trial:
    """Plays an unpacked bundle as `deployment.validation` says.

    Args:
        folder: of the bundle.
        trusted: whether its weights may be a pickle of anything.
    """
    smoke = config.deployment.validation == "smoke"
    mission = _short(config.mission_spec()) if smoke else config.mission_spec()
    steps, agents = max_steps(mission), agent_count(mission)
    limit_s = config.evaluation.time_limit_s or SECONDS_PER_EPISODE + SECONDS_PER_ACTION * steps * agents
    pool = [] if smoke else unique_names([policy.spec() for policy in config.deployment.pool])
    seeds = [config.evaluation.seed + i for i in range(1 if smoke else config.evaluation.episodes)]
    with _as_bundles(pool) as others:
        policies = (IsolatedPolicy(folder=folder), *others, IsolatedPolicy(class_path=NOOP))
        noop = len(policies) - 1
        episodes = [_alone(SELF_PLAY, seed, agents, 0, limit_s) for seed in seeds]
        splits = list(_splits(pool, agents, seeds, limit_s))
        noops = [replace(_alone(NOOPS, seed, agents, noop, limit_s), local=True) for seed in seeds]
        job = IsolatedJob(
            mission=mission,
            policies=policies,
            episodes=(*episodes, *(episode for episode, _ in splits), *noops),
            latency_ms=ceil(config.deployment.latency_ms),
            trusted=trusted,
        )
        played, walls, peak = _play(job, 1 if smoke else _workers(config), int(config.deployment.memory_gib * GIB))
    return Trial(
        mission=mission,
        steps=steps,
        tested=tuple(episode for episode in played if not episode.label.startswith(NOOPS)),
        noops=tuple(episode for episode in played if episode.label.startswith(NOOPS)),
        pool={episode.label: name for episode, name in splits},
        walls=walls,
        peak_bytes=peak,
    )


def _short(mission: MissionSpec) -> MissionSpec:
    """The mission for a few steps; a mission file says itself how long it is."""
    if is_mission_file(mission.name):
        return mission
    return replace(mission, max_steps=min(SMOKE_STEPS, max_steps(mission)))


def _workers(config: DAFConfig) -> int:
    return config.evaluation.workers or len(os.sched_getaffinity(0))


def _alone(label: str, seed: int, agents: int, policy: int, limit_s: float) -> IsolatedEpisode:
    return IsolatedEpisode(label=f"{label} {seed}", assignments=(policy,) * agents, seed=seed, limit_s=limit_s)


def split_sizes(agents: int) -> list[int]:
    """How many agents of a team the policy under test holds in the splits: 2, 4 and 6 of 8, or as near as can be."""
    scaled = (round(part * agents / TEAM) for part in SPLITS)
    return sorted({size for size in scaled if 0 < size < agents})


def _splits(
    pool: Sequence[PolicySpec], agents: int, seeds: Sequence[int], limit_s: float
) -> Iterator[tuple[IsolatedEpisode, str]]:
    """Every split with every policy of the pool, each once, and the other policy's name."""
    for number, other in enumerate(pool):
        for size in split_sizes(agents):
            assignments = (0,) * size + (number + 1,) * (agents - size)
            label = f"{size} of {agents} with {other.name}"
            yield IsolatedEpisode(label=label, assignments=assignments, seed=seeds[0], limit_s=limit_s), other.name


def _play(job: IsolatedJob, jails: int, memory_bytes: int) -> tuple[list[PlayedEpisode], frozenset[str], int]:
    """Plays the episodes, dealt out to several jails that work side by side."""
    shares = [job.episodes[start::jails] for start in range(min(jails, len(job.episodes)))]
    stop = threading.Event()

    def play(share: tuple[IsolatedEpisode, ...]) -> tuple[list[PlayedEpisode], Jailed]:
        return play_isolated(replace(job, episodes=share), memory_bytes=memory_bytes, stop=stop)

    with ThreadPoolExecutor(len(shares)) as threads:
        try:
            played = list(threads.map(play, shares))
        except BaseException:  # Ctrl-C reaches this thread only
            stop.set()
            raise
    order = {episode.label: position for position, episode in enumerate(job.episodes)}
    episodes = sorted((e for found, _ in played for e in found), key=lambda episode: order[episode.label])
    walls = frozenset(WALLS).intersection(*(jail.walls for _, jail in played))
    return episodes, walls, max(jail.peak_bytes for _, jail in played)


@contextmanager
def _as_bundles(pool: Sequence[PolicySpec]) -> Iterator[tuple[IsolatedPolicy, ...]]:
    """The policies of the pool as folders that the season's runner takes."""
    folder = Path(tempfile.mkdtemp(prefix="daf-pool-"))
    try:
        yield tuple(_as_bundle(spec, folder / str(number)) for number, spec in enumerate(pool))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_bundle(spec: PolicySpec, folder: Path) -> IsolatedPolicy:
    parts = policy_files(spec)
    folder.mkdir()
    for name, path in parts.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    told = {"class_path": parts.class_path, "data_path": parts.data_path, "init_kwargs": parts.init_kwargs}
    (folder / SPEC_FILE).write_text(json.dumps(told, default=str))
    return IsolatedPolicy(folder=folder)
