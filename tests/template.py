"""Worker processes for tests, forked from a template that imports torch, MLflow and CoGames once per pytest process.

A worker imports for some seconds, and the tests start hundreds of them. A fork takes the place of the new interpreter
in `daf.execution.processes`, and nothing else: pipes, groups, limits and ends are the real ones. The tests of
`ProcessExecutor` itself, and every command line, start real ones.
"""

import os
import pickle
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from daf.bridge.bundles import CLEAN

REQUEST_BYTES = 2**20
DESCRIPTORS = 4


class Template:
    """The process that is forked; it starts with the first worker that is asked for."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def popen(
        self,
        command: Sequence[str],
        *,
        stdout: IO[bytes],
        env: Mapping[str, str],
        pass_fds: tuple[int, int],
        **_: Any,
    ) -> "ForkedWorker | subprocess.Popen[bytes]":
        """As `subprocess.Popen` with the arguments of `daf.execution.processes`."""
        if CLEAN in env:  # what a process was started with is part of what is tested
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stdout,
                env=env,
                pass_fds=pass_fds,
                process_group=0,
            )
        ended, status = os.pipe()
        request = pickle.dumps((command[-1], dict(env), str(Path.cwd())))
        asked = self._asked()
        socket.send_fds(asked, [request], [stdout.fileno(), *pass_fds, status])
        os.close(status)
        return ForkedWorker(int(asked.recv(64)), ended)

    def close(self) -> None:
        """Lets the template end."""
        if self._socket:
            self._socket.close()

    def _asked(self) -> socket.socket:
        if self._socket is None:
            # Keeps the bounds of messages.
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            command = [sys.executable, "-m", "tests.template", str(theirs.fileno())]
            # Not the test's own folder, which is gone after it.
            subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, process_group=0)
            theirs.close()
        return self._socket


class ForkedWorker:
    """What `daf.execution.processes` needs of a `subprocess.Popen`."""

    returncode: int | None = None

    def __init__(self, pid: int, ended: int) -> None:
        self.pid = pid
        self._ended = ended

    def wait(self, timeout: float | None = None) -> int:
        """Waits until the process has ended; returns its exit code, negative for a signal."""
        if self.returncode is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a forked worker", timeout or 0.0)
            self.returncode = int(os.read(self._ended, 64))
            os.close(self._ended)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends a signal, if it has not ended."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


def serve(asked: socket.socket) -> None:
    """Forks a worker for every request, until the tests have gone."""
    import daf.sweeps.worker

    daf.sweeps.worker.warm_up()
    # The keepers are nobody's to wait for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, descriptors, _, _ = socket.recv_fds(asked, REQUEST_BYTES, DESCRIPTORS)
        if not request:
            return
        if os.fork() == 0:
            _keep(asked, request, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _keep(asked: socket.socket, request: bytes, descriptors: list[int]) -> None:
    """Starts the worker, says its number, and how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *of_worker, status = descriptors
    worker = os.fork()
    if worker == 0:
        asked.close()
        os.close(status)
        _become_worker(request, of_worker)
    with suppress(OSError):
        os.setpgid(worker, worker)
    for descriptor in of_worker:
        os.close(descriptor)
    asked.send(str(worker).encode())
    asked.close()
    _, code = os.waitpid(worker, 0)
    with suppress(OSError):
        os.write(status, str(os.waitstatus_to_exitcode(code)).encode())
    os._exit(0)


def _become_worker(request: bytes, descriptors: list[int]) -> None:
    """Goes on as the process that `subprocess.Popen` would have started."""
    import json

    from daf.execution.processes import worker_main

    code = 1
    try:
        with suppress(OSError):
            os.setpgid(0, 0)
        options, environment, folder = pickle.loads(request)
        log, connection, lifeline = descriptors
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        asked = json.loads(options)
        sys.path[:] = asked.pop("path")
        worker_main(**{**asked, "connection": connection, "lifeline": lifeline})
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
