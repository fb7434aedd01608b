"""Many episodes, on as many processes as asked for; those that were played before come from the cache."""

import contextlib
import logging
import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from daf.bridge.bundles import clean_environment
from daf.bridge.imports import main_file
from daf.bridge.policies import brings_code, is_cogames_own
from daf.episodes.cache import EpisodeCache, default_cache_dir
from daf.episodes.limits import DEFAULT_LIMITS, Limits, agent_steps
from daf.episodes.outcomes import EpisodeFailure, OnEpisode, Outcome
from daf.episodes.worker import LANES, Chunk, Episode, Finished, Stepped
from daf.errors import DAFConfigError, Problem
from daf.execution.executor import Event, Executor, JobDone, JobFailed, JobMessage
from daf.execution.in_process import InProcessExecutor
from daf.execution.loading import lives_only_here
from daf.execution.processes import ProcessExecutor, is_worker
from daf.execution.progress import counted, moved, say
from daf.execution.retries import Retries
from daf.records import EpisodePlan, EpisodeRecord, PolicySpec

Backend = Literal["official", "batched", "auto"]
CacheMode = Literal["off", "read", "on"]

# An episode that raises would raise again; one that hangs has cost a lot of time already.
RETRIES = (Retries(attempts=3, reasons=frozenset({"died"})), Retries(attempts=2, reasons=frozenset({"hung"})))
NOT_PLAYED = "It was not played: another episode of the same policies hung again and again, and none was finished."
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
    limits: Limits = DEFAULT_LIMITS,
    on_episode: OnEpisode | None = None,
) -> list[Outcome]:
    """Plays every plan and returns the outcomes in the order of `plans`.

    The outcomes depend neither on workers nor on the order of completion. An episode that raises fails at once; one
    whose process dies is played twice more, one that hangs once more. An error among episodes that are played side by
    side does not say whose it is: each of them is then played on its own.

    Args:
        backend: ``official`` is CoGames' own rollout, ``batched`` plays many side by side, ``auto`` what can be.
        workers: number of processes, or processes that are there already. One is this process, where CoGames' own
            policies play without a time limit; whoever else's could end it, or keep it for ever.
        cache: ``read`` uses earlier records, ``on`` adds new ones as well, with a warning where the folder cannot be
            written.
        cache_dir: folder of the cache; by default `daf.episodes.cache.default_cache_dir`.
        limits: how long work may take. Episodes played side by side share the sum of their limits.
        on_episode: called here with every outcome as soon as it is there (a new record is in the cache by then), and
            whether it came from the cache.

    Raises:
        DAFConfigError: arguments out of range, plans that cannot be batched as asked.
    """
    count = workers.count if isinstance(workers, EpisodeWorkers) else workers
    directory = (cache_dir or default_cache_dir()).absolute()  # whatever a policy does to the working directory
    _check(backend, count, cache, limits)
    if cache == "on" and not _is_writable(directory):
        cache = "read" if directory.is_dir() else "off"
    evaluation = _Evaluation(plans, on_episode)
    if cache != "off":
        _use_cache(evaluation, EpisodeCache(directory), backend)
    if missing := evaluation.missing():
        with _suited(workers, missing) as suited, _executor(suited, missing, limits) as (executor, kept):
            player = _Player(executor, kept)
            backends = _choose_backends(evaluation, missing, backend, player)
            player.play(evaluation, _make_chunks(backends, count, directory if cache == "on" else None))
    return evaluation.outcomes()


class _Evaluation:
    """What is known so far about the episodes of one call."""

    def __init__(self, plans: Sequence[EpisodePlan], on_episode: OnEpisode | None) -> None:
        self._plans = plans
        self._outcomes: list[Outcome | None] = [None] * len(plans)
        self._attempts = [0] * len(plans)
        self._finished: set[str] = set()
        self._hung: set[str] = set()
        self._on_episode = on_episode
        self._cached = 0
        self._stepped: dict[int, float] = {}
        self._warned = False

    def missing(self) -> list[Episode]:
        """The episodes without an outcome."""
        return [(i, plan) for i, plan in enumerate(self._plans) if self._outcomes[i] is None]

    def outcomes(self) -> list[Outcome]:
        return [outcome for outcome in self._outcomes if outcome is not None]

    def settle(self, index: int, outcome: Outcome, *, from_cache: bool = False) -> None:
        self._outcomes[index] = outcome
        self._cached += from_cache
        if isinstance(outcome, EpisodeRecord):
            self._finished.add(_kind(self._plans[index]))
        if self._on_episode:
            self._on_episode(outcome, from_cache)

    def advance(self, job_id: int, episodes: float) -> None:
        """Takes note of how far a job is, and shows it: episodes that are played side by side end together."""
        self._stepped[job_id] = episodes
        moved(self._cached + sum(self._stepped.values()))

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
            if len(chunk.episodes) > 1 or any(retries.allows(failure, attempt) for retries in RETRIES):
                self._attempts[index] = RETRIES[0].next_attempt(failure, attempt)
                again.append(replace(chunk, episodes=((index, plan),)))
                _tell(failure, plan)
                continue
            if failure.reason == "hung":
                self._hung.add(_kind(plan))
            text = NOT_PLAYED if failure.reason == "stopped" else failure.traceback
            self.settle(index, EpisodeFailure(plan=plan, traceback=text, attempts=attempt + 1))
        return again

    def is_hopeless(self, plan: EpisodePlan) -> bool:
        """Whether an episode of its kind has hung to the last, and none was ever finished."""
        return _kind(plan) in self._hung - self._finished


def _tell(failure: JobFailed, plan: EpisodePlan) -> None:
    """Tells the user about an episode that is played again, since it may have taken a long time."""
    names = ", ".join(spec.name for spec in plan.policies)
    what = failure.traceback.strip().partition("\n")[0]
    hint = " The limit is evaluation.time_limit_s." if failure.reason == "hung" else ""
    logger.warning("%s on %s (seed %d) is played again. %s%s", names, plan.mission.name, plan.seed, what, hint)


def _check(backend: str, workers: int, cache: str, limits: Limits) -> None:
    """Raises DAFConfigError for arguments out of range, all of them named."""
    problems = [
        Problem(where=f"evaluation.{name}", what=f"{value!r} is not one of {', '.join(get_args(allowed))}.")
        for name, value, allowed in (("backend", backend, Backend), ("cache", cache, CacheMode))
        if value not in get_args(allowed)
    ]
    if workers < 1:
        problems.append(Problem(where="evaluation.workers", what=f"{workers} is less than 1."))
    for name, seconds in (("time_limit_s", limits.episode_s), ("start_limit_s", limits.start_s)):
        if seconds is not None and seconds <= 0:
            problems.append(Problem(where=f"evaluation.{name}", what=f"{seconds} is not above 0."))
    if problems:
        raise DAFConfigError(problems)


def _is_writable(directory: Path) -> bool:
    """Whether records can be kept there. Where not, as in a read-only home, episodes are played anyway."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError as error:
        logger.warning("Episode records are not being cached (evaluation.cache): %s", error)
        return False


def _use_cache(evaluation: _Evaluation, cache: EpisodeCache, backend: Backend) -> None:
    # What `auto` would choose takes a look at the policy in action. Where it was played before, that is not needed.
    say("looking for episodes that were played before")
    choices = ("batched", "official") if backend == "auto" else (backend,)
    for index, plan in evaluation.missing():
        try:
            record = next(filter(None, (cache.find(plan, choice) for choice in choices)), None)
        except (Exception, SystemExit):  # its mission or a policy cannot be loaded; playing it tells why
            continue
        if record:
            evaluation.settle(index, record, from_cache=True)


def _choose_backends(
    evaluation: "_Evaluation", episodes: list[Episode], backend: Backend, player: "_Player"
) -> dict[str, list[Episode]]:
    """The episodes that are to be played ``official`` and those ``batched``; the others have failed by then."""
    if backend == "official":
        return {"official": episodes}
    groups = _by_kind(episodes)
    answers = player.try_out([group[0][1] for group in groups])
    reasons = [answer for answer in answers if isinstance(answer, str)]
    if backend == "batched" and reasons:
        raise DAFConfigError(
            [
                Problem(where="evaluation.backend", what=f"batched is not possible: {reason}.", hint="Use auto.")
                for reason in dict.fromkeys(reasons)
            ]
        )
    chosen: dict[str, list[Episode]] = {"official": [], "batched": []}
    for group, answer in zip(groups, answers, strict=True):
        if not isinstance(answer, EpisodeFailure):
            chosen["official" if answer else "batched"].extend(group)
            continue
        for index, plan in group:
            evaluation.settle(index, replace(answer, plan=plan))
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
        groups.setdefault(_kind(plan), []).append((index, plan))
    return list(groups.values())


def _kind(plan: EpisodePlan) -> str:
    return repr(replace(plan, seed=0, assignments=tuple(sorted(plan.assignments))))


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
    # Thousands of episodes may have one bundle, which is looked into once.
    if any(map(_brings_code, {spec.weights: spec for spec in specs}.values())):
        count = workers.count if isinstance(workers, EpisodeWorkers) else workers
        say("starting workers without secrets in their environment")
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
def _executor(
    workers: int | EpisodeWorkers, episodes: list[Episode], limits: Limits
) -> Iterator[tuple[Executor, Limits | None]]:
    """What plays, and which limits it keeps: processes that are there, this process, or new ones."""
    if isinstance(workers, EpisodeWorkers):
        yield workers.executor, limits
    elif workers == 1 and limits.episode_s is None and _may_play_here(plan for _, plan in episodes):
        with InProcessExecutor(TARGET) as executor, _one_torch_thread():
            yield executor, None
    else:
        count = min(workers, len(episodes))
        say(f"starting {counted(count, 'worker')}")
        with EpisodeWorkers(count) as new:
            yield new.executor, limits


def _may_play_here(plans: Iterable[EpisodePlan]) -> bool:
    """Whether plans can neither end this process nor keep it for ever, or have to be played here all the same.

    A worker is somebody's child already, and a class that lives in this process alone can be played nowhere else.
    """
    paths = {spec.class_path for plan in plans for spec in plan.policies}
    return is_worker() or all(is_cogames_own(path) or lives_only_here(path) for path in paths)


class _Player:
    """Plays the episodes of one call through an executor.

    Args:
        limits: None for an executor that cannot keep to any.
    """

    def __init__(self, executor: Executor, limits: Limits | None) -> None:
        self._executor = executor
        self._limits = limits
        self._chunks: dict[int, Chunk] = {}

    def try_out(self, plans: list[EpisodePlan]) -> list[str | EpisodeFailure | None]:
        """For every plan why it cannot be batched, None, or its failure where its policy hangs, twice.

        A job too, since it may try out a policy that dies or hangs.
        """
        limit = None if self._limits is None else self._limits.start_s
        ids = {self._executor.submit(plan, time_limit_s=limit): index for index, plan in enumerate(plans)}
        answers: dict[int, str | EpisodeFailure | None] = {}
        tried = [1] * len(plans)
        for event in self._executor.events():
            index = ids.get(event.job_id)
            if index is None:  # the rest of a call that ended with an error
                continue
            if isinstance(event, JobDone):
                answers[index] = event.result
            elif isinstance(event, JobFailed) and event.reason != "hung":
                answers[index] = f"it failed when it was tried out: {event.traceback}"
            elif isinstance(event, JobFailed) and tried[index] == 1:
                tried[index] += 1
                ids[self._executor.submit(plans[index], time_limit_s=limit)] = index
            elif isinstance(event, JobFailed):
                text = f"A policy was not ready within evaluation.start_limit_s.\n{event.traceback}"
                answers[index] = EpisodeFailure(plan=plans[index], traceback=text, attempts=tried[index])
        return [answers[index] for index in range(len(plans))]

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
        if isinstance(event, JobMessage) and isinstance(event.message, Stepped):
            evaluation.advance(event.job_id, event.message.episodes)
        elif isinstance(event, JobMessage):
            evaluation.receive(event.message)
        elif isinstance(event, JobFailed):
            for again in evaluation.fail(chunk, event):
                self._submit(again, cost=math.inf)  # at once: if it fails for good, others may not be worth their time
            for job_id, other in self._chunks.items():
                if evaluation.is_hopeless(other.episodes[0][1]):
                    self._executor.stop(job_id)

    def _submit(self, chunk: Chunk, cost: float | None = None) -> None:
        limit = None if self._limits is None else self._limits.of(chunk)
        self._chunks[self._executor.submit(chunk, cost=cost or agent_steps(chunk), time_limit_s=limit)] = chunk


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
