"""How long work shows that it is going on: a bar or a spinner in a terminal, plain lines elsewhere.

A terminal is told at once what is being done, a file or a pipe where it takes longer than `SILENCE_S`. All of it goes
to standard error.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import Progress, Task
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from daf.redaction import redacted, redactor
from daf.results import broken

#: Called with the amount finished so far and a short text that goes behind the bar.
Advance = Callable[[float, str], None]
#: Called with a short text about what is being done now.
Say = Callable[[str], None]

SECONDS_BETWEEN_LINES = 5.0
#: Seconds without a word after which a line says what is being done, and how many of those until it is said again.
SILENCE_S, AGAIN = 5.0, 4
WIDEST_BAR, NARROWEST_BAR = 40, 6


@dataclass(frozen=True)
class _Display:
    """What a person looks at; one that another one was opened in is paused meanwhile."""

    say: Say
    pause: Callable[[], object]
    resume: Callable[[], object]
    move: Callable[[float], None] = lambda done: None


#: The displays that are open, the innermost last. Worker processes have none, so nothing is said there.
_open: list[_Display] = []


def say(what: str) -> None:
    """Says, in the innermost display that is open, what is being done now; without one nothing is said."""
    if _open:
        _open[-1].say(redactor().text(what))


def moved(done: float) -> None:
    """Shows, in the innermost display that is open, that at least so much is done; it never goes back."""
    if _open:
        _open[-1].move(done)


@contextmanager
def working(on: str) -> Iterator[None]:
    """Shows that work of unknown length goes on until the block ends; `say` tells more about it."""
    with _alone() as console:
        if not console.is_terminal:
            with _watch(console, on) as watch, _opened(_watching(watch, on)):
                yield
            return
        spinner = Spinner("dots", Text(on))
        with Live(spinner, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as live:
            told = _Display(lambda what: spinner.update(text=Text(f"{on}: {what}")), live.stop, live.start)
            with _opened(told):
                yield


@contextmanager
def telling(report: Say) -> Iterator[None]:
    """Hands on what is said until the block ends: from a worker to whoever waits for its job."""
    with _opened(_Display(report, lambda: None, lambda: None)):
        yield


@contextmanager
def progress(label: str, total: float) -> Iterator[Advance]:
    """Shows on standard error, until the block ends, how much of some work is done and how long the rest may take."""
    with _alone() as console:
        if console.is_terminal:
            with _bar(console, label, total) as advance:
                yield advance
            return
        with _watch(console, f"{label}: 0/{total:,.0f}") as watch:
            advance, move = _forwards(_lines(watch, label, total))
            with _opened(replace(_watching(watch, label), move=move)):
                yield advance


def counted(count: int, what: str) -> str:
    """Such as "1 worker" and "1,024 workers"."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def time_left(seconds: float, done: float, total: float) -> float | None:
    """What is left takes as long as what is done; None while nothing is known."""
    return seconds / done * (total - done) if done > 0 and seconds > 0 else None


@contextmanager
def _alone() -> Iterator[Console]:
    """A console on standard error; the display that is open there waits until the block ends."""
    outer = _open[-1] if _open else None
    if outer:
        outer.pause()
    try:
        yield Console(file=redacted(sys.stderr), markup=False, emoji=False, highlight=False)
    finally:
        if outer:
            outer.resume()


@contextmanager
def _opened(display: _Display) -> Iterator[None]:
    _open.append(display)
    try:
        yield
    finally:
        _open.remove(display)


def _watching(watch: "_Watch", label: str) -> _Display:
    return _Display(lambda what: watch.now(f"{label}: {what}"), partial(watch.pause, True), partial(watch.pause, False))


class _Watch:
    """Prints what is being done where nothing else has been printed for a while."""

    def __init__(self, console: Console, what: str) -> None:
        self._console = console
        self._now, self._said, self._silent = what, "", 0
        self._paused = False
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def pause(self, paused: bool) -> None:
        """Whether somebody else speaks."""
        self._paused, self._silent = paused, 0

    def now(self, what: str) -> None:
        """What is being done from now on; it is printed if it takes long."""
        self._now = what

    def print(self, line: str) -> None:
        """Prints a line at once."""
        with self._lock:
            self._now = self._said = line
            self._silent = 0
            with suppress(BrokenPipeError):  # nobody listens any more, which is no reason to end the work
                self._console.print(line, soft_wrap=True)

    def _run(self) -> None:
        while not self._ended.wait(SILENCE_S):
            if self._paused:
                continue
            self._silent += 1
            if self._now != self._said or self._silent >= AGAIN:
                self.print(self._now)


@contextmanager
def _watch(console: Console, what: str) -> Iterator[_Watch]:
    watch = _Watch(console, what)
    watch.start()
    try:
        yield watch
    finally:
        watch.end()


def _forwards(show: Advance) -> tuple[Advance, Callable[[float], None]]:
    """What advances a display, and what moves it on under the same note; it never goes back."""
    most, last_note = 0.0, ""

    def advance(done: float, note: str) -> None:
        nonlocal most, last_note
        most, last_note = max(most, done), note
        show(most, note)

    def move(done: float) -> None:
        if done > most:
            advance(done, last_note)

    return advance, move


def _lines(watch: _Watch, label: str, total: float) -> Advance:
    begun, last = time.monotonic(), 0.0

    def advance(done: float, note: str) -> None:
        nonlocal last
        now, done = time.monotonic(), min(done, total)
        left = time_left(now - begun, done, total) if done < total else None
        remaining = "" if left is None else f", {_clock(left)} left"
        line = f"{label}: {int(done):,}/{total:,.0f}{remaining} {note}".rstrip()
        if now - last < SECONDS_BETWEEN_LINES and done < total:
            watch.now(line)
            return
        last = now
        watch.print(line)

    return advance


@contextmanager
def _bar(console: Console, label: str, total: float) -> Iterator[Advance]:
    with _Bars(console=console, redirect_stdout=sys.stdout.isatty()) as bars:
        task = bars.add_task(label, total=total, note="")

        def show(done: float, note: str) -> None:
            bars.update(task, completed=min(done, total), note=note)

        advance, move = _forwards(show)
        with _opened(_Display(lambda what: bars.update(task, note=what), bars.stop, bars.start, move)):
            yield advance


class _Bars(Progress):
    """Rich's progress, in which no number is ever cut: the bar gives way, then the note takes lines of its own."""

    def get_renderables(self) -> Iterable[RenderableType]:
        for task in self.tasks:
            yield from _bar_lines(task, self.console.width)


def _bar_lines(task: Task, width: int) -> Iterator[RenderableType]:
    total, elapsed = task.total or 0.0, task.finished_time or task.elapsed or 0.0
    left = 0.0 if task.finished else time_left(elapsed, task.completed, total)
    times = f"{_clock(elapsed)} < {'-:--:--' if left is None else _clock(left)}"
    words = [task.description, f"{int(task.completed):,}/{total:,.0f}", times]
    note = str(task.fields["note"])
    room = width - sum(map(len, words)) - len(words)
    beside = room - len(note) - 1 >= NARROWEST_BAR
    bar = min(WIDEST_BAR, room - (len(note) + 1 if note and beside else 0))
    yield _side_by_side(task, [*words, *([note] if note and beside else [])], bar)
    if note and not beside:
        yield from (Text(line, no_wrap=True) for line in broken(note, width))


def _side_by_side(task: Task, words: list[str], bar: int) -> RenderableType:
    """The bar behind the first word, if there is room for one."""
    cells: list[RenderableType] = [Text(word, no_wrap=True) for word in words]
    if bar >= NARROWEST_BAR:
        total = task.total or 1.0
        cells.insert(1, ProgressBar(total=total, completed=min(task.completed, total), width=bar))
    line = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
    line.add_row(*cells)
    return line


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
