"""The thread that brings a run's entries to MLflow, and what becomes of those that MLflow does not take."""

import itertools
import logging
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from daf.tracking.deliver import METRICS_PER_BATCH, Entry, Refused, StoreAwayError, deliver, reason
from daf.tracking.undelivered import Keeper

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

ATTEMPTS = 5
#: Seconds without progress after which nothing more is tried at the end of a run.
GIVE_UP_S = 8.0
#: Seconds that a single call may take at the end of a run: to the store, and for a file or folder of so many bytes.
CALL_S, FILE_S, LARGE_BYTES = 12.0, 120.0, 2**23
#: Seconds for a call once nothing has succeeded for `CALL_S`.
LAST_CALL_S = 2.0
#: So many refused names are told one by one.
NAMED = 5


class Courier:
    """Delivers entries in the order that they are given, in a thread of its own: the work never waits for MLflow.

    What the store does not take after `ATTEMPTS` tries goes to the `Keeper`. What is refused is told.

    Attributes:
        undelivered: number of entries that were kept.
        lost: entries that nothing takes.
    """

    def __init__(self, client: "MlflowClient", keeper: Keeper) -> None:
        self.undelivered = 0
        self.lost: list[Entry] = []
        self._client = client
        self._keeper = keeper
        self._queue: queue.Queue[Entry | None] = queue.Queue()
        self._in_hand: list[Entry] = []
        self._refused: list[Refused] = []
        self._patient = True
        self._told = False
        self._ending = self._stopped = False
        self._progress = time.monotonic()
        self._success = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="daf-tracker", daemon=True)

    def start(self) -> None:
        """Begins to deliver."""
        self._thread.start()

    def put(self, entry: Entry) -> None:
        """Takes an entry."""
        self._queue.put(entry)

    def finish(self) -> None:
        """Delivers or keeps what is left. It takes seconds where the store is away, however much that is."""
        self._progress = self._success = time.monotonic()
        self._ending = True
        self._queue.put(None)
        while self._thread.is_alive() and not self._is_stuck():
            self._thread.join(0.2)
        if self._thread.is_alive():
            self._take_over()
        for entry in self.lost[:]:  # the disk may have room by now
            self.lost.remove(entry)
            self._keep(entry, "nothing took it")
        self._keeper.close()
        self._tell_end()

    def _is_stuck(self) -> bool:
        now = time.monotonic()
        usual = LAST_CALL_S if now - self._success > CALL_S else CALL_S
        return now - self._progress > (FILE_S if any(map(_is_large, self._in_hand[:1])) else usual)

    def _take_over(self) -> None:
        """Keeps what the thread still has; what it may deliver nonetheless is delivered again later, to no harm."""
        self._stopped = True
        entries = list(self._in_hand)
        while not self._queue.empty():
            entry = self._queue.get_nowait()
            entries += [] if entry is None else [entry]
        for entry in _joined(entries):
            self._keep(entry, "the store does not answer")

    def _run(self) -> None:
        while not self._stopped:
            ended = self._take()
            while self._in_hand and not self._stopped:
                self._handle(self._in_hand[0])
                self._progress = time.monotonic()
                if not self._stopped:
                    del self._in_hand[0]
            if ended:
                return

    def _take(self) -> bool:
        """Takes the next entry in hand; waiting metrics are joined: one transaction is cheaper than many.

        Returns:
            Whether nothing comes after.
        """
        entry = self._queue.get()
        points = 0
        while entry is not None and entry.kind == "metrics":
            points += len(entry.content)
            self._in_hand.append(entry)
            if self._queue.empty() or points >= METRICS_PER_BATCH:
                self._in_hand = _joined(self._in_hand)
                return False
            entry = self._queue.get_nowait()
        self._in_hand = _joined(self._in_hand)
        if entry is not None:
            self._in_hand.append(entry)
        return entry is None

    def _handle(self, entry: Entry) -> None:
        if not self._is_worth_a_try(entry):
            self._keep(entry, "the store is away")
            return
        try:
            refused = self._deliver(entry)
        except Exception as error:  # whatever it is, the thread goes on
            self._patient = False
            if not self._stopped:
                self._keep(entry, reason(error))
            return
        self._patient = True
        self._success = time.monotonic()
        for each in refused:
            self._refused.append(each)
            if len(self._refused) <= NAMED:
                log.warning("MLflow refuses %s: %s", each.what, each.why)

    def _is_worth_a_try(self, entry: Entry) -> bool:
        # The end is: others of the store's doors may be open, and a run that seems to go on is the worst of all.
        return not self._ending or entry.kind == "end" or time.monotonic() - self._success < GIVE_UP_S

    def _deliver(self, entry: Entry) -> list[Refused]:
        """Retries with growing pauses; after one lasting failure every later entry gets a single try."""
        from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

        attempts = stop_after_attempt(ATTEMPTS if self._patient else 1)

        def enough(state: RetryCallState) -> bool:
            return attempts(state) or (self._ending and time.monotonic() - self._success > GIVE_UP_S)

        retrying = Retrying(
            stop=enough,
            wait=wait_exponential(multiplier=0.1, max=5),
            retry=retry_if_exception_type(StoreAwayError),
            reraise=True,
        )
        return retrying(deliver, self._client, entry)

    def _keep(self, entry: Entry, why: str) -> None:
        try:
            self._keeper.keep(entry)
        except OSError as error:
            self.lost.append(entry)
            if not self._told:
                log.error("MLflow: %s. No disk takes it either: %s", why, error.strerror or error)
        else:
            self.undelivered += 1
            if not self._told:
                log.warning("MLflow: %s. What it does not take is kept on disk and delivered later.", why)
        self._told = True

    def _tell_end(self) -> None:
        if self._refused:
            names = ", ".join(each.what for each in self._refused[:NAMED])
            more = f" and {len(self._refused) - NAMED} more" if len(self._refused) > NAMED else ""
            log.warning("MLflow refused %d values of this run: %s%s", len(self._refused), names, more)
        if self.undelivered:
            log.warning(
                "MLflow did not take %d entries of this run; they are kept in %s and delivered with the next run "
                "against the same store, or with task=deliver",
                self.undelivered,
                ", ".join(map(str, sorted(self._keeper.kept_in))),
            )


def _is_large(entry: Entry) -> bool:
    path = Path(entry.content[0]) if entry.kind == "file" else None
    return path is not None and (path.is_dir() or (path.is_file() and path.stat().st_size > LARGE_BYTES))


def _joined(entries: Sequence[Entry]) -> list[Entry]:
    """The same with metrics that follow each other in one entry."""
    joined: list[Entry] = []
    for is_metrics, group in itertools.groupby(entries, key=lambda entry: entry.kind == "metrics"):
        of_kind = list(group)
        content = [point for entry in of_kind for point in entry.content] if is_metrics else []
        joined += [replace(of_kind[0], content=content)] if is_metrics else of_kind
    return joined
