"""Pictures and reports of finished work: one that cannot be drawn is a warning, and ends nothing."""

import contextlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from daf.errors import DAFInterruptedError, first_line
from daf.tracking.tracker import Tracker

log = logging.getLogger(__name__)


def draw_files(tracker: Tracker, folder: str, pictures: Mapping[str, Callable[[Path], object]]) -> tuple[Path, ...]:
    """Draws files and logs them; what fails, whatever the reason, is left out, and the user is warned once a reason.

    Args:
        folder: where the files lie, below the output folder and with the run.
        pictures: file name to what writes the file at the path that it is given. The folder is made before.

    Returns:
        The files that are there, in the order of `pictures`.
    """
    drawn: list[Path] = []
    left_out: dict[str, list[str]] = {}
    for name, draw in pictures.items():
        path = tracker.output_dir / folder / name
        if why := _why_not_drawn(tracker, folder, path, draw):
            left_out.setdefault(why, []).append(name)
        else:
            drawn.append(path)
    for why, names in left_out.items():
        tracker.warn(f"{folder}: {', '.join(names)} could not be drawn and had to be left out: {why}")
    return tuple(drawn)


def attempt[T](tracker: Tracker, what: str, action: Callable[[], T]) -> T | None:
    """Does what finished work can do without; where it fails, whatever the reason, the user is warned.

    Args:
        what: what is made, as the subject of the warning, such as "The leaderboard".

    Returns:
        What the action gives, or None where it failed.
    """
    try:
        return action()
    except DAFInterruptedError:
        raise
    except Exception as error:
        tracker.warn(f"{what} could not be made and had to be left out: {_why(error)}")
        return None


def _why_not_drawn(tracker: Tracker, folder: str, path: Path, draw: Callable[[Path], object]) -> str | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(path)
        tracker.log_file(path, folder)
    except DAFInterruptedError:
        raise
    except Exception as error:
        with contextlib.suppress(OSError):  # a part of a picture is none
            path.unlink(missing_ok=True)
        return _why(error)
    return None


def _why(error: Exception) -> str:
    """What a person can do something with; who debugs finds the rest in the log."""
    log.debug("left out", exc_info=error)
    return f"{type(error).__name__}: {first_line(error).rstrip('.')}."
