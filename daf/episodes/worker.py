"""What a process does that plays episodes."""

import importlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from daf.bridge.episode import play_official
from daf.bridge.imports import contained
from daf.bridge.missions import max_steps
from daf.bridge.policies import full_class_path, registered_policies
from daf.bridge.reads import watched, watching
from daf.episodes.cache import EpisodeCache
from daf.execution.executor import JobContext
from daf.records import EpisodePlan, EpisodeRecord

# A batched job plays this many episodes side by side, and holds a few times as many: enough to keep the lanes full,
# few enough that a dying worker costs little.
LANES = 16
SECONDS_BETWEEN_REPORTS = 1.0

#: Sends something to whoever waits for a job.
Report = Callable[[object], None]


Episode = tuple[int, EpisodePlan]


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Episodes that one worker plays in one job.

    Attributes:
        episodes: plans with their positions among all plans.
        backend: ``official`` or ``batched``; batched episodes share mission, policies and device.
        cache_dir: folder in which records are kept, or None.
    """

    episodes: tuple[Episode, ...]
    backend: str
    cache_dir: Path | None


@dataclass(frozen=True, kw_only=True)
class Finished:
    """One played episode of a chunk.

    Attributes:
        index: its position among all plans.
        cache_problem: why its record could not be kept, or None.
    """

    index: int
    record: EpisodeRecord
    cache_problem: str | None


@dataclass(frozen=True)
class Stepped:
    """How far a chunk is, in episodes, finished ones included: episodes that are played side by side end together."""

    episodes: float


def warm_up() -> None:
    """Imports everything that playing an episode needs; a new worker does it before its first job."""
    import torch

    torch.set_num_threads(1)
    registered_policies()
    with contained():
        for module in ("cogames.cli.mission", "mettagrid.runner.rollout", "daf.bridge.batched"):
            importlib.import_module(module)


def work(payload: Chunk | EpisodePlan, context: JobContext) -> Iterator[Finished] | str | None:
    """What an executor runs: plays a chunk, yielding every episode as it ends, or says why a plan cannot be batched.

    How far a chunk is, is reported now and then.
    """
    return why_not_batched(payload) if isinstance(payload, EpisodePlan) else play_chunk(payload, context.report)


def why_not_batched(plan: EpisodePlan) -> str | None:
    """The reason of `daf.bridge.batched.why_not_batched`, or that the mission or a policy cannot be loaded."""
    from daf.bridge import batched

    try:
        with _put_back(), watching(_class_paths([plan])):
            return batched.why_not_batched(plan)
    except Exception as error:  # it fails again, and is reported, when it is played
        return f"it cannot be loaded: {error}"


def play_chunk(chunk: Chunk, report: Report) -> Iterator[Finished]:
    """Plays a chunk; a record is in the cache before it is yielded."""
    cache = EpisodeCache(chunk.cache_dir) if chunk.cache_dir else None
    plans = dict(chunk.episodes)
    played = _play_batched(chunk, report) if chunk.backend == "batched" else _play_official(chunk)
    for (index, record), reads in watched(_undisturbed(played), _class_paths(plans.values())):
        problem = None
        if cache:
            try:
                cache.add(plans[index], record, reads)
            except Exception as error:  # such as a full disk: no reason to lose the episode
                problem = str(error)
        yield Finished(index=index, record=record, cache_problem=problem)


def _class_paths(plans: Iterable[EpisodePlan]) -> set[str]:
    return {full_class_path(spec.class_path) for plan in plans for spec in plan.policies}


def _undisturbed[Item](played: Iterator[Item]) -> Iterator[Item]:
    while True:
        with _put_back():
            item = next(played, None)
        if item is None:
            return
        yield item


@contextmanager
def _put_back() -> Iterator[None]:
    """Puts back what a policy may have changed and the next episode needs: the working directory, one torch thread."""
    import torch

    folder = Path.cwd()
    try:
        yield
    finally:
        os.chdir(folder)
        if torch.get_num_threads() != 1:
            torch.set_num_threads(1)


def _play_official(chunk: Chunk) -> Iterator[tuple[int, EpisodeRecord]]:
    for index, plan in chunk.episodes:
        yield index, play_official(plan)


def _play_batched(chunk: Chunk, report: Report) -> Iterator[tuple[int, EpisodeRecord]]:
    from daf.bridge.batched import play_batched

    # They are finished in any order. Within a chunk, equal seed and assignments mean an equal episode.
    indices: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for index, plan in chunk.episodes:
        indices.setdefault((plan.seed, plan.assignments), []).append(index)
    plans = [plan for _, plan in chunk.episodes]
    for record in play_batched(plans, lanes=LANES, on_step=_steps(max_steps(plans[0].mission), report)):
        yield indices[record.seed, record.assignments].pop(), record


def _steps(of_episode: int, report: Report) -> Callable[[int], None]:
    """Counts steps, and reports now and then how many episodes they are worth."""
    steps, last = 0, time.monotonic()

    def on_step(playing: int) -> None:
        nonlocal steps, last
        steps += playing
        if time.monotonic() - last > SECONDS_BETWEEN_REPORTS:
            last = time.monotonic()
            report(Stepped(steps / of_episode))

    return on_step
