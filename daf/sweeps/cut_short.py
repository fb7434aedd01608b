"""What a sweep leaves that was interrupted or gave up: summary, page and pictures of the trials that there are."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from daf.errors import DAFError, first_line
from daf.sweeps.conclude import log_summary
from daf.sweeps.plots import sweep_plots
from daf.sweeps.request import SweepRequest
from daf.sweeps.status import read_status, trials_table
from daf.sweeps.study import StoredStudy

log = logging.getLogger(__name__)

#: Seconds after which no further picture is begun: somebody waits for the end.
ENOUGH_S = 5.0


@contextmanager
def shown_if_cut_short(stored: StoredStudy, request: SweepRequest) -> Iterator[None]:
    """Leaves what there is where the work inside ends early; another Ctrl-C leaves it out."""
    try:
        yield
    except (KeyboardInterrupt, DAFError):
        with suppress(KeyboardInterrupt):
            _leave(stored, request)
        raise


def _leave(stored: StoredStudy, request: SweepRequest) -> None:
    status = read_status(stored)
    if not status.complete:
        return
    tracker, folder = request.tracker, request.output_dir / "plots"
    log_summary(tracker, status, [trials_table(stored, request.config.objective.metric)])
    log.info("drawing what there is in %s; Ctrl-C leaves it out", folder)
    # Here and not in a worker: those are gone. The page is the last, and matters most.
    drawings = list(sweep_plots(stored, folder, request.config).items())
    started = time.monotonic()
    for name, draw in reversed(drawings):
        if time.monotonic() - started > ENOUGH_S:
            return
        if path := _drawn(name, draw):
            tracker.log_file(path, "plots")


def _drawn(name: str, draw: Callable[[], Path | None]) -> Path | None:
    try:
        return draw()
    except Exception as error:  # another error is on its way, which says how the work ended
        log.warning("The plot %s was left out: %s", name, first_line(error))
        return None
