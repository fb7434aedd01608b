"""Worker processes that stay warm, stream messages and are replaced when they die or hang.

No library does all of it. concurrent.futures and loky give up all work when one process dies. Pebble replaces it, but
it cannot stream messages or ask a job to stop, waits for running jobs on Ctrl-C, and leaves its workers behind when
the parent is killed. multiprocessing's own start methods run the user's script again in every worker.
"""

import faulthandler
import fcntl
import gc
import heapq
import inspect
import itertools
import json
import math
import os
import pickle
import pkgutil
import resource
import select
import signal
import sys
import tempfile
import time
import traceback as tracebacks
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from subprocess import DEVNULL, Popen, TimeoutExpired
from typing import Any, Literal

from daf.bridge.imports import main_file, take_main_from
from daf.execution.executor import Event, Executor, JobContext, JobDone, JobFailed, JobMessage
from daf.execution.interrupts import leave_the_end_to_the_parent
from daf.redaction import guard_logs, redactor

# As many processes as cores, each with one thread: more threads than cores make torch ten times slower.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
START_LIMIT_S = 300.0
ABORT_LIMIT_S = 5.0
LOG_TAIL_BYTES = 4_000
LOG_BYTES = 2**26
SECONDS_BETWEEN_LOOKS = 10.0
BOOT = """
import json, sys
options = json.loads(sys.argv[1])
sys.path[:] = options.pop("path")
from daf.execution.processes import worker_main
worker_main(**options)
"""


class _Context:
    """The `JobContext` of a job in a worker process."""

    def __init__(self, job_id: int, connection: Connection) -> None:
        self._id = job_id
        self._connection = connection
        self._stop_asked = False

    def report(self, message: Any) -> None:
        self._connection.send(("message", message))

    def should_stop(self) -> bool:
        while not self._stop_asked and self._connection.poll():
            _, job_id, _ = self._connection.recv()
            self._stop_asked = job_id == self._id
        return self._stop_asked


@dataclass(order=True)
class _Submitted:
    rank: tuple[float, int]
    payload: bytes = field(compare=False)
    time_limit_s: float = field(compare=False)

    @property
    def id(self) -> int:
        return self.rank[1]


class ProcessExecutor(Executor):
    """An `Executor` on worker processes of this machine.

    Workers start at once, and end with the executor or with this process, however it ends. They run one torch thread
    each, ignore Ctrl-C and SIGTERM, and keep their output to themselves until they die. The initializer runs outside
    time limits.

    Args:
        target: ``module:function``, called in a worker as ``function(payload, context)``.
        workers: number of processes.
        initializer: ``module:function``, called once in every new worker before its first job.
        environment: variables of the workers; None stands for those of this process.
    """

    def __init__(
        self,
        target: str,
        workers: int,
        *,
        initializer: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._target = target
        self._initializer = initializer
        self._environment = environment
        self._size = workers
        self._workers = [_Worker(target, initializer, environment) for _ in range(workers)]
        self._waiting: list[_Submitted] = []
        self._events: deque[Event] = deque()
        self._ids = itertools.count()
        self._closed = False

    def submit(self, payload: Any, *, cost: float = 0.0, time_limit_s: float | None = None) -> int:
        if self._closed:
            raise RuntimeError("the executor is closed")
        job_id = next(self._ids)
        limit = math.inf if time_limit_s is None else time_limit_s
        heapq.heappush(self._waiting, _Submitted((-cost, job_id), pickle.dumps((redactor().secrets, payload)), limit))
        return job_id

    def stop(self, job_id: int) -> None:
        for worker in self._workers:
            if worker.job and worker.job.id == job_id:
                with suppress(OSError):
                    worker.connection.send(("stop", job_id, b""))
        if waiting := [job for job in self._waiting if job.id == job_id]:
            self._waiting.remove(waiting[0])
            heapq.heapify(self._waiting)
            self._events.append(JobFailed(job_id=job_id, reason="stopped", traceback="stopped before it began"))

    def next_event(self, timeout_s: float | None = None) -> Event | None:
        end = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while True:
            self._dispatch()
            if self._events:
                return self._events.popleft()
            if not any(worker.job for worker in self._workers) or time.monotonic() >= end:
                return None
            self._collect(end)

    def close(self) -> None:
        self._closed = True
        for worker in self._workers:
            worker.kill()
        for left in (self._workers, self._waiting, self._events):
            left.clear()

    def _dispatch(self) -> None:
        """Gives waiting jobs to idle workers, then to new ones."""
        while self._waiting:
            worker = next((worker for worker in self._workers if worker.job is None), None)
            if worker is None and len(self._workers) < self._size:
                worker = _Worker(self._target, self._initializer, self._environment)
                self._workers.append(worker)
            if worker is None:
                return
            try:
                worker.begin(heapq.heappop(self._waiting))
            except OSError:
                self._lose(worker, "died")

    def _collect(self, end: float) -> None:
        """Waits until a worker has something to say, is overdue, or `end` has come; takes what there is."""
        now = time.monotonic()
        nearest = min(end, now + SECONDS_BETWEEN_LOOKS, *(worker.deadline for worker in self._workers))
        ready = wait([worker.connection for worker in self._workers], max(0.0, nearest - now))
        for worker in list(self._workers):
            worker.trim_log()
            if worker.connection in ready:
                self._receive(worker)
            elif time.monotonic() >= worker.deadline:
                self._lose(worker, "hung")

    def _receive(self, worker: "_Worker") -> None:
        try:
            kind, value = worker.connection.recv()
        except Exception:  # the end, or what no worker of ours would send
            self._lose(worker, "died")
            return
        job = worker.job
        assert job is not None, "only a worker with a job has anything to say"
        worker.set_limit(job.time_limit_s)
        if kind == "message":
            self._events.append(JobMessage(job_id=job.id, message=value))
        elif kind == "done":
            self._events.append(JobDone(job_id=job.id, result=value))
        elif kind == "error":
            self._events.append(JobFailed(job_id=job.id, reason="error", traceback=value))
        if kind in ("done", "error"):
            worker.set_idle()

    def _lose(self, worker: "_Worker", reason: Literal["died", "hung"]) -> None:
        """Removes a worker that died or hung, and fails its job; the next job gets a new worker."""
        description = worker.abort() if reason == "hung" else worker.describe_exit()
        worker.kill()
        self._workers.remove(worker)
        if worker.job:
            self._events.append(JobFailed(job_id=worker.job.id, reason=reason, traceback=description))


class _Worker:
    """The parent's side of one worker process."""

    job: _Submitted | None

    def __init__(self, target: str, initializer: str | None, environment: Mapping[str, str] | None) -> None:
        # Written at its end, wherever that is; closed in `kill`.
        self._log = tempfile.TemporaryFile("ab+")  # noqa: SIM115
        self.set_idle()
        self.connection, theirs = Pipe()
        lifeline, self._lifeline = os.pipe()
        options = {
            "path": [str(entry) for entry in sys.path],
            "connection": theirs.fileno(),
            "lifeline": lifeline,
            "target": target,
            "initializer": initializer,
            "main": main_file(),
        }
        self._process = Popen(
            [sys.executable, "-c", BOOT, json.dumps(options)],
            stdin=DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={**(os.environ if environment is None else environment), **ONE_THREAD},
            pass_fds=(theirs.fileno(), lifeline),
            process_group=0,  # the terminal's Ctrl-C passes it by, and its own children end with it
        )
        theirs.close()
        os.close(lifeline)

    def begin(self, job: _Submitted) -> None:
        """Hands over a job. The time limit counts from when the worker says that it has begun."""
        self.job = job
        self.set_limit(START_LIMIT_S)
        self.connection.send(("job", job.id, job.payload))

    def set_idle(self) -> None:
        """Makes it a process without a job, which may stay silent for ever."""
        self.job = None
        self.set_limit(math.inf)
        self._log_start = os.fstat(self._log.fileno()).st_size

    def trim_log(self) -> None:
        """Forgets what the process printed if that is too much for a disk."""
        if os.fstat(self._log.fileno()).st_size > LOG_BYTES:
            os.ftruncate(self._log.fileno(), 0)
            self._log_start = 0

    def set_limit(self, seconds: float) -> None:
        """Sets how long the process may stay silent from now on."""
        self._limit_s = seconds
        self.deadline = time.monotonic() + seconds

    def abort(self) -> str:
        """Ends a hanging process so that it leaves a traceback; returns that."""
        self._process.send_signal(signal.SIGABRT)
        with suppress(TimeoutExpired):
            self._process.wait(ABORT_LIMIT_S)
        return f"The worker process was ended: no sign of life for {self._limit_s:g} s.\n{self._output()}"

    def describe_exit(self) -> str:
        """How a process ended that has closed its connection, and what it printed last."""
        with suppress(TimeoutExpired):
            self._process.wait(ABORT_LIMIT_S)
        code = self._process.returncode
        how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        return f"The worker process died with {how}.\n{self._output()}"

    def kill(self) -> None:
        """Kills the process and its children, and releases what belongs to it."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.connection.close()
        os.close(self._lifeline)
        self._log.close()

    def _output(self) -> str:
        """The end of what the process printed since it was last without a job."""
        size = os.fstat(self._log.fileno()).st_size
        start = max(self._log_start, size - LOG_TAIL_BYTES)
        # pread leaves the file offset alone, which the process shares and writes at.
        return os.pread(self._log.fileno(), size - start, start).decode(errors="replace")


def worker_main(*, connection: int, lifeline: int, target: str, initializer: str | None, main: str | None) -> None:
    """The whole life of a worker process; the file descriptors are those that its parent handed down."""
    _end_with_parent(lifeline)
    take_main_from(main)
    leave_the_end_to_the_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable()
    guard_logs()
    for descriptor in (connection, lifeline):
        os.set_inheritable(descriptor, False)
    os.register_at_fork(after_in_child=lambda: _leave(connection))
    _Process.is_worker = True
    if initializer:
        pkgutil.resolve_name(initializer)()
    function = pkgutil.resolve_name(target)
    parent = Connection(connection)
    # What was imported stays for good. Leaving it out makes a full collection cheap enough to follow every job, and
    # without one the simulators that jobs leave in reference cycles pile up to hundreds of megabytes.
    gc.freeze()
    with suppress(EOFError):
        while True:
            kind, job_id, payload = parent.recv()
            if kind == "job":  # a request to stop may come after the job's end
                _perform(function, payload, job_id, parent)
                gc.collect()


class _Process:
    is_worker = False


def is_worker() -> bool:
    """Whether this process is a worker of a `ProcessExecutor`."""
    return _Process.is_worker


def _leave(connection: int) -> None:
    """Parts a copy of a worker that a job has forked from the worker's parent: it must not answer in its place."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, connection, inheritable=False)
    os.close(nowhere)


def _perform(function: Callable[[Any, JobContext], Any], payload: bytes, job_id: int, parent: Connection) -> None:
    parent.send(("started", None))
    try:
        context = _Context(job_id, parent)
        secrets, content = pickle.loads(payload)
        redactor().register(*secrets)
        result = function(content, context)
        if inspect.isgenerator(result):
            result = _report_all(result, context)
        parent.send(("done", result))
    except BaseException:  # SystemExit too: a job must not end its worker
        parent.send(("error", tracebacks.format_exc()))


def _report_all(messages: Generator[Any, Any, Any], context: JobContext) -> Any:
    """Reports what a job yields; returns what it returns."""
    while True:
        try:
            message = next(messages)
        except StopIteration as end:
            return end.value
        context.report(message)


def _end_with_parent(lifeline: int) -> None:
    """Makes the kernel end this process group when the parent is gone, even where Python code would never look.

    Nothing is ever written to the lifeline. Its other end closes with the parent, which raises SIGIO here.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:  # it was gone before
        sys.exit()
