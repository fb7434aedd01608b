"""Many episodes, on as many processes as asked for; those that were played before come from the cache."""

import contextlib
import functools
import logging
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from daf.bridge.bundles import clean_environment
from daf.bridge.imports import main_file
from daf.bridge.missions import max_steps
from daf.bridge.policies import brings_code
from daf.episodes.cache import EpisodeCache, default_cache_dir
from daf.episodes.outcomes import EpisodeFailure, OnEpisode, Outcome
from daf.episodes.worker import LANES, Chunk, Episode, Finished
from daf.errors import DAFConfigError, Problem
from daf.execution.executor import Event, Executor, JobDone, JobFailed, JobMessage
from daf.execution.in_process import InProcessExecutor
from daf.execution.processes import ProcessExecutor
from daf.execution.retries import Retries
from daf.records import EpisodePlan, MissionSpec, PolicySpec

Backend = Literal["official", "batched", "auto"]
CacheMode = Literal["off", "read", "on"]

# An episode that raises would raise again.
RETRIES = Retries(attempts=3, reasons=frozenset({"died", "hung"}))
CHUNK_SIZE = 4 * LANES
TARGET = "daf.episodes.worker:work"

logger = logging.getLogger(__name__)


class EpisodeWorkers:
    """Worker processes that stay warm from one call of `daf_play_episodes` to the next; a context manager.

    Args:
        count: number of processes, at least 1. All start at once, each in the few seconds that its imports take.
        environment: their variables; None stands for those of this process.
    """

    def __init__(self, count: int, environment: Mapping[str, str] | None = None) -> None:
        self.count = count
        self.executor: Executor = ProcessExecutor(
            TARGET, count, initializer="daf.episodes.worker:warm_up", environment=environment
        )

    def __enter__(self) -> "EpisodeWorkers":
        return self

    def __exit__(self, *_: object) -> None:
        self.executor.close()


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

    The outcomes depend neither on workers nor on the order of completion. An episode that raises fails at once; one
    whose process dies or hangs is played twice more. An error among episodes that are played side by side does not
    say whose it is: each of them is then played on its own.

    Args:
        backend: ``official`` is CoGames' own rollout, ``batched`` plays many side by side, ``auto`` what can be.
        workers: number of processes, or processes that are there already. One without a time limit is this process.
        cache: ``read`` uses earlier records, ``on`` adds new ones as well.
        cache_dir: folder of the cache; by default `daf.episodes.cache.default_cache_dir`.
        time_limit_s: seconds that one episode may take. Episodes played side by side share the sum of their limits.
        on_episode: called here with every outcome as soon as it is there (a new record is in the cache by then), and
            whether it came from the cache.

    Raises:
        DAFConfigError: arguments out of range, plans that cannot be batched as asked, a cache that cannot be written.
    """
    count = workers.count if isinstance(workers, EpisodeWorkers) else workers
    directory = cache_dir or default_cache_dir()
    _check(backend, count, cache, time_limit_s, directory)
    evaluation = _Evaluation(plans, on_episode)
    if cache != "off":
        _use_cache(evaluation, EpisodeCache(directory), backend)
    if missing := evaluation.missing():
        with _suited(workers, missing) as suited, _executor(suited, time_limit_s, len(missing)) as executor:
            player = _Player(executor, time_limit_s)
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

    def fail(self, chunk: Chunk, failure: JobFailed) -> list[Chunk]:
        """Takes note of a chunk that came to no good end; returns what is to be played again.

        Nobody knows which of several episodes was to blame, so each unfinished one is played again on its own.
        """
        again = []
        for index, plan in chunk.episodes:
            attempt = self._attempts[index]
            if self._outcomes[index] is not None:
                continue
            if len(chunk.episodes) > 1 or RETRIES.allows(failure, attempt):
                self._attempts[index] = RETRIES.next_attempt(failure, attempt)
                again.append(replace(chunk, episodes=((index, plan),)))
            else:
                self.settle(index, EpisodeFailure(plan=plan, traceback=failure.traceback, attempts=attempt + 1))
        return again


def _check(backend: str, workers: int, cache: str, time_limit_s: float | None, directory: Path) -> None:
    """Raises DAFConfigError for arguments out of range, all of them named, or a cache that cannot be written."""
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
    if cache == "on":
        _check_writable(directory)


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
def _suited(workers: int | EpisodeWorkers, episodes: list[Episode]) -> Iterator[int | EpisodeWorkers]:
    """The workers, or others where a policy asks for it.

    The code of a bundle plays in processes that keep no secrets in their environment; a class that was typed into a
    notebook plays here, since no other process knows it.
    """
    specs = [spec for _, plan in episodes for spec in plan.policies]
    if any(map(_brings_code, specs)):
        count = workers.count if isinstance(workers, EpisodeWorkers) else workers
        with EpisodeWorkers(min(count, len(episodes)), clean_environment()) as clean:
            yield clean
    elif main_file() is None and any(spec.class_path.startswith("__main__.") for spec in specs):
        if workers != 1:
            logger.warning("Episodes are played in this process alone: no other knows the classes of a notebook.")
        yield 1
    else:
        yield workers


def _brings_code(spec: PolicySpec) -> bool:
    try:
        return brings_code(spec)
    except ValueError:  # a bundle that is not sound; playing it tells
        return False


@contextlib.contextmanager
def _executor(workers: int | EpisodeWorkers, time_limit_s: float | None, episodes: int) -> Iterator[Executor]:
    """What plays: processes that are there already, this process, or new processes, no more than episodes."""
    if isinstance(workers, EpisodeWorkers):
        yield workers.executor
    elif workers == 1 and time_limit_s is None:
        with InProcessExecutor(TARGET) as executor, _one_torch_thread():
            yield executor
    else:
        with EpisodeWorkers(min(workers, episodes)) as new:
            yield new.executor


class _Player:
    """Plays the episodes of one call through an executor."""

    def __init__(self, executor: Executor, time_limit_s: float | None) -> None:
        self._executor = executor
        self._time_limit_s = time_limit_s
        self._chunks: dict[int, Chunk] = {}

    def why_not_batched(self, plans: list[EpisodePlan]) -> list[str | None]:
        """For every plan the reason, or None; a job too, since it may try out a policy that dies or hangs."""
        ids = [self._executor.submit(plan, time_limit_s=self._time_limit_s) for plan in plans]
        answers: dict[int, str | None] = {}
        for event in self._executor.events():
            if isinstance(event, JobDone):
                answers[event.job_id] = event.result
            elif isinstance(event, JobFailed):
                answers[event.job_id] = f"it failed when it was tried out: {event.traceback}"
        return [answers[job_id] for job_id in ids]

    def play(self, evaluation: _Evaluation, chunks: list[Chunk]) -> None:
        """Plays chunks to their end, and those that came to none again as long as it may help."""
        for chunk in chunks:
            self._submit(chunk)
        try:
            for event in self._executor.events():
                self._handle(evaluation, event)
        except BaseException:  # the caller's; warm workers may be asked to play something else
            for job_id in self._chunks:
                self._executor.stop(job_id)
            raise

    def _handle(self, evaluation: _Evaluation, event: Event) -> None:
        chunk = self._chunks.get(event.job_id)
        if chunk is None:  # the rest of a call that ended with an error
            return
        if isinstance(event, JobMessage):
            evaluation.receive(event.message)
        elif isinstance(event, JobFailed):
            for again in evaluation.fail(chunk, event):
                self._submit(again)

    def _submit(self, chunk: Chunk) -> None:
        # Side by side, the first of a chunk may be finished no sooner than the last.
        limit = None if self._time_limit_s is None else self._time_limit_s * min(len(chunk.episodes), LANES)
        self._chunks[self._executor.submit(chunk, cost=_agent_steps(chunk), time_limit_s=limit)] = chunk


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
    if mission.max_steps is not None:
        return mission.max_steps
    try:
        return max_steps(mission)
    except Exception:  # variants that conflict raise whatever they like; playing the episode tells
        return 0
