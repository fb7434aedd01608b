"""Many episodes, on as many processes as asked for; those that were played before come from the cache."""

import contextlib
import functools
import logging
import math
import tempfile
import traceback as tracebacks
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from daf.episodes.cache import EpisodeCache, default_cache_dir
from daf.episodes.outcomes import EpisodeFailure, OnEpisode, Outcome
from daf.episodes.worker import LANES, Chunk, Episode, Finished, play_chunk, why_not_batched
from daf.errors import DAFConfigError, Problem
from daf.execution.executor import JobDone, JobFailed, JobMessage
from daf.execution.processes import ProcessExecutor
from daf.records import EpisodePlan, MissionSpec

Backend = Literal["official", "batched", "auto"]
CacheMode = Literal["off", "read", "on"]

ATTEMPTS = 3
CHUNK_SIZE = 4 * LANES

logger = logging.getLogger(__name__)


class EpisodeWorkers:
    """Worker processes that stay warm from one call of `daf_play_episodes` to the next; a context manager.

    Args:
        count: number of processes, at least 1. All start at once, each in the few seconds that its imports take.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.pool = ProcessExecutor("daf.episodes.worker:work", count, initializer="daf.episodes.worker:warm_up")

    def __enter__(self) -> "EpisodeWorkers":
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.close()


def daf_play_episodes(
    plans: Sequence[EpisodePlan],
    *,
    backend: Backend = "auto",
    workers: int | EpisodeWorkers = 1,
    cache: CacheMode = "off",
    cache_dir: Path | None = None,
    time_limit_s: float | None = None,
    on_episode: OnEpisode | None = None,
) -> list[Outcome]:
    """Plays every plan and returns the outcomes in the order of `plans`.

    The outcomes depend neither on the number of workers nor on the order of completion. An episode that raises fails
    at once, since it would raise again; one whose process dies or hangs is played twice more before it fails. An error
    among episodes that are played side by side does not say whose it is: each of them is then played on its own.

    Args:
        backend: ``official`` plays through CoGames' own rollout, ``batched`` plays many episodes side by side, and
            ``auto`` batches what can be batched.
        workers: number of processes, or processes that are there already. One without a time limit is this process
            itself.
        cache: ``read`` uses earlier records, ``on`` adds new ones as well.
        cache_dir: folder of the cache; by default `daf.episodes.cache.default_cache_dir`.
        time_limit_s: seconds that one episode may take. Episodes played side by side share the sum of their limits.
        on_episode: called in this process with every outcome as soon as it is there, and whether it came from the
            cache. A new record is in the cache by then.

    Raises:
        DAFConfigError: arguments out of range, plans that the batched backend cannot play, or a cache folder that
            cannot be written.
    """
    count = workers.count if isinstance(workers, EpisodeWorkers) else workers
    _check(backend, count, cache, time_limit_s)
    directory = cache_dir or default_cache_dir()
    if cache == "on":
        _check_writable(directory)
    evaluation = _Evaluation(plans, on_episode)
    if cache != "off":
        _use_cache(evaluation, EpisodeCache(directory), backend)
    if missing := evaluation.missing():
        with _player(workers, time_limit_s, len(missing)) as player:
            backends = _choose_backends(missing, backend, player)
            player.play(evaluation, _make_chunks(backends, count, directory if cache == "on" else None))
    return evaluation.outcomes()


class _Evaluation:
    """What is known so far about the episodes of one call."""

    def __init__(self, plans: Sequence[EpisodePlan], on_episode: OnEpisode | None) -> None:
        self._plans = plans
        self._outcomes: list[Outcome | None] = [None] * len(plans)
        self._attempts = [0] * len(plans)
        self._on_episode = on_episode
        self._warned = False

    def missing(self) -> list[Episode]:
        """The episodes without an outcome."""
        return [(i, plan) for i, plan in enumerate(self._plans) if self._outcomes[i] is None]

    def outcomes(self) -> list[Outcome]:
        return [outcome for outcome in self._outcomes if outcome is not None]

    def settle(self, index: int, outcome: Outcome, *, from_cache: bool = False) -> None:
        self._outcomes[index] = outcome
        if self._on_episode:
            self._on_episode(outcome, from_cache)

    def receive(self, finished: Finished) -> None:
        if finished.cache_problem and not self._warned:
            self._warned = True
            logger.warning("Episode records are not being cached: %s", finished.cache_problem)
        self.settle(finished.index, finished.record)

    def fail(self, chunk: Chunk, reason: str, traceback: str) -> list[Chunk]:
        """Takes note of a chunk that came to no good end; returns what is to be played again.

        Nobody knows which of several episodes was to blame, so each unfinished one is played again on its own.
        """
        unfinished = [(index, plan) for index, plan in chunk.episodes if self._outcomes[index] is None]
        for index, _ in unfinished:
            self._attempts[index] += 1
        if len(chunk.episodes) > 1:
            return [replace(chunk, episodes=(episode,)) for episode in unfinished]
        for index, plan in unfinished:
            attempts = self._attempts[index]
            if reason != "error" and attempts < ATTEMPTS:
                return [chunk]
            self.settle(index, EpisodeFailure(plan=plan, traceback=traceback, attempts=attempts))
        return []


def _check(backend: str, workers: int, cache: str, time_limit_s: float | None) -> None:
    problems = [
        Problem(where=f"evaluation.{name}", what=f"{value!r} is not one of {', '.join(get_args(allowed))}.")
        for name, value, allowed in (("backend", backend, Backend), ("cache", cache, CacheMode))
        if value not in get_args(allowed)
    ]
    if workers < 1:
        problems.append(Problem(where="evaluation.workers", what=f"{workers} is less than 1."))
    if time_limit_s is not None and time_limit_s <= 0:
        problems.append(Problem(where="evaluation.time_limit_s", what=f"{time_limit_s} is not above 0."))
    if problems:
        raise DAFConfigError(problems)


def _check_writable(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        what = f"{directory} cannot be written: {error}."
        raise DAFConfigError([Problem(where="evaluation.cache", what=what, hint="Use off or read.")]) from error


def _use_cache(evaluation: _Evaluation, cache: EpisodeCache, backend: Backend) -> None:
    # What `auto` would choose takes a look at the policy in action. Where it was played before, that is not needed.
    choices = ("batched", "official") if backend == "auto" else (backend,)
    for index, plan in evaluation.missing():
        try:
            record = next(filter(None, (cache.find(plan, choice) for choice in choices)), None)
        except Exception:  # its mission or a policy cannot be loaded, for whatever reason; playing it tells
            continue
        if record:
            evaluation.settle(index, record, from_cache=True)


def _choose_backends(episodes: list[Episode], backend: Backend, player: "_Player") -> dict[str, list[Episode]]:
    """The episodes that are to be played ``official``, and those that are to be played ``batched``."""
    if backend == "official":
        return {"official": episodes}
    groups = _by_kind(episodes)
    reasons = player.why_not_batched([group[0][1] for group in groups])
    if backend == "batched" and any(reasons):
        raise DAFConfigError(
            [
                Problem(where="evaluation.backend", what=f"batched is not possible: {reason}.", hint="Use auto.")
                for reason in dict.fromkeys(filter(None, reasons))
            ]
        )
    chosen: dict[str, list[Episode]] = {"official": [], "batched": []}
    for group, reason in zip(groups, reasons, strict=True):
        chosen["official" if reason else "batched"].extend(group)
    return chosen


def _make_chunks(backends: dict[str, list[Episode]], workers: int, cache_dir: Path | None) -> list[Chunk]:
    """Cuts the episodes into jobs: official ones one by one, batched ones in even shares of their kind."""
    batched = backends.get("batched", [])
    share = min(CHUNK_SIZE, math.ceil(len(batched) / workers))
    parts = [part for group in _by_kind(batched) for part in _even_parts(group, share)]
    singles = [[episode] for episode in backends["official"]]
    return [
        Chunk(episodes=tuple(part), backend=backend, cache_dir=cache_dir)
        for backend, jobs in (("official", singles), ("batched", parts))
        for part in jobs
    ]


def _by_kind(episodes: list[Episode]) -> list[list[Episode]]:
    """Groups the episodes that differ in nothing but their seed and the order of their agents."""
    groups: dict[str, list[Episode]] = {}
    for index, plan in episodes:
        kind = repr(replace(plan, seed=0, assignments=tuple(sorted(plan.assignments))))
        groups.setdefault(kind, []).append((index, plan))
    return list(groups.values())


def _even_parts(group: list[Episode], limit: int) -> list[list[Episode]]:
    """As few parts as `limit` allows, their lengths equal to within one."""
    count = math.ceil(len(group) / limit)
    return [group[start::count] for start in range(count)]


@contextlib.contextmanager
def _player(workers: int | EpisodeWorkers, time_limit_s: float | None, episodes: int) -> "Iterator[_Player]":
    if isinstance(workers, EpisodeWorkers):
        yield _PlayOnWorkers(workers.pool, time_limit_s)
    elif workers == 1 and time_limit_s is None:
        with _one_torch_thread():
            yield _PlayHere()
    else:
        with EpisodeWorkers(min(workers, episodes)) as own:
            yield _PlayOnWorkers(own.pool, time_limit_s)


class _PlayHere:
    """Plays in this process."""

    def why_not_batched(self, plans: list[EpisodePlan]) -> list[str | None]:
        return [why_not_batched(plan) for plan in plans]

    def play(self, evaluation: _Evaluation, chunks: list[Chunk]) -> None:
        waiting = deque(chunks)
        while waiting:
            chunk = waiting.popleft()
            episodes = play_chunk(chunk)
            while True:
                # Only playing is tried: an error in the caller's on_episode is the caller's.
                try:
                    finished = next(episodes, None)
                except (Exception, SystemExit):
                    waiting.extend(evaluation.fail(chunk, "error", tracebacks.format_exc()))
                    break
                if finished is None:
                    break
                evaluation.receive(finished)


class _PlayOnWorkers:
    """Plays in the processes of a pool."""

    def __init__(self, pool: ProcessExecutor, time_limit_s: float | None) -> None:
        self._pool = pool
        self._time_limit_s = time_limit_s
        self._chunks: dict[int, Chunk] = {}

    def why_not_batched(self, plans: list[EpisodePlan]) -> list[str | None]:
        # In a worker, since it may try out a policy that dies or hangs.
        ids = [self._pool.submit(plan, time_limit_s=self._time_limit_s) for plan in plans]
        answers: dict[int, str | None] = {}
        for event in self._pool.events():
            if isinstance(event, JobDone):
                answers[event.job_id] = event.result
            elif isinstance(event, JobFailed):
                answers[event.job_id] = f"it failed when it was tried out: {event.traceback}"
        return [answers[job_id] for job_id in ids]

    def play(self, evaluation: _Evaluation, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            self._submit(chunk)
        for event in self._pool.events():
            if isinstance(event, JobMessage):
                evaluation.receive(event.message)
            elif isinstance(event, JobFailed):
                for chunk in evaluation.fail(self._chunks[event.job_id], event.reason, event.traceback):
                    self._submit(chunk)

    def _submit(self, chunk: Chunk) -> None:
        # Side by side, the first of a chunk may be finished no sooner than the last.
        limit = None if self._time_limit_s is None else self._time_limit_s * min(len(chunk.episodes), LANES)
        self._chunks[self._pool.submit(chunk, cost=_agent_steps(chunk), time_limit_s=limit)] = chunk


_Player = _PlayHere | _PlayOnWorkers


@contextlib.contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Workers have one thread each, and more of them can round differently."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _agent_steps(chunk: Chunk) -> int:
    """How long a chunk may take, in steps of one agent."""
    return sum(_max_steps(plan.mission) * len(plan.assignments) for _, plan in chunk.episodes)


@functools.cache
def _max_steps(mission: MissionSpec) -> int:
    """The length of a mission's episodes, or 0 where it cannot be known."""
    from daf.bridge.missions import build_mission

    if mission.max_steps is not None:
        return mission.max_steps
    try:
        return build_mission(mission)[1].game.max_steps
    except Exception:  # variants that conflict raise whatever they like; playing the episode tells
        return 0
