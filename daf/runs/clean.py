"""`task=clean`: what earlier runs have left is shown, and removed where that is asked for."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from daf.config.schemas import DAFConfig
from daf.errors import DAFError, Problem
from daf.files import is_folder, user_path
from daf.results import ResultTable, TaskResult
from daf.runs.leftovers import Leftover, caches, orphaned_artifacts, orphaned_folders, outputs
from daf.runs.protected import Protected
from daf.tasks import Task
from daf.tracking.store import client_of
from daf.tracking.tracker import Tracker

log = logging.getLogger(__name__)

#: Caches hold thousands of entries: those of a kind are one row.
ONE_ROW = ("cache of ", "left by ")
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def daf_clean(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Shows what `clean.what` names and may go, with its size, and what is left and why; removes it if asked to.

    Raises:
        DAFError: something that may go could not be removed.
    """
    protected = Protected(client_of(config.tracking.uri))
    root = user_path(config.clean.folder).resolve()
    found = list(_found(root, config, protected))
    going, staying = [each for each in found if not each.why_not], [each for each in found if each.why_not]
    failed: list[Leftover] = []
    if config.clean.remove:
        going, failed = _removed(going)
    size = sum(each.size for each in going)
    tables = (
        _table("Removed" if config.clean.remove else "To be removed", going),
        _table("Left", [*failed, *staying]),
    )
    return TaskResult(
        objective=None,
        tables=tuple(table for table in tables if table.rows),
        notes=tuple(_notes(config, going, size)),
        metrics={"clean/things": len(going), "clean/bytes": size, "clean/left": len(staying) + len(failed)},
        refused=f"{len(failed)} things could not be removed: {failed[0].why_not}" if failed else None,
    )


def _found(root: Path, config: DAFConfig, protected: Protected) -> Iterator[Leftover]:
    """What `clean.what` names; a checkpoint folder within an output folder that goes is not named twice."""
    what = config.clean.what
    whole = list(outputs(root, config, protected)) if "outputs" in what else []
    yield from whole
    going = {each.where for each in whole if not each.why_not}
    if "checkpoints" in what:
        orphans = orphaned_folders(root, config, protected)
        yield from (each for each in orphans if not going & set(map(str, Path(each.where).parents)))
        yield from orphaned_artifacts(protected)
    if "caches" in what:
        yield from caches(config, protected)


def _removed(going: Sequence[Leftover]) -> tuple[list[Leftover], list[Leftover]]:
    """Removes one after the other; what is gone, and what could not be removed, with the reason."""
    gone: list[Leftover] = []
    failed: list[Leftover] = []
    for each in going:
        try:
            each.remove()
        except (DAFError, OSError) as error:
            failed.append(replace(each, why_not=str(error)))
            continue
        log.info("removed %s (%s)", each.where, size_text(each.size))
        gone.append(each)
    return gone, failed


def _table(title: str, found: Sequence[Leftover]) -> ResultTable:
    groups: dict[tuple[str, ...], list[Leftover]] = {}
    for each in found:
        together = each.what.startswith(ONE_ROW)
        where = str(Path(each.where).parent) if together else each.where
        groups.setdefault((each.what, where, each.why_not or ""), []).append(each)
    left = title == "Left"
    rows = tuple(
        (
            where if len(group) == 1 or not what.startswith(ONE_ROW) else f"{len(group):,} in {where}",
            what,
            size_text(sum(each.size for each in group)),
            f"{datetime.fromtimestamp(max(each.changed for each in group)):%Y-%m-%d %H:%M}",
            *((why,) if left else ()),
        )
        for (what, where, why), group in groups.items()
    )
    return ResultTable(title, ("where", "what", "size", "last change", *(("why",) if left else ())), rows)


def size_text(size: float) -> str:
    """Bytes for people."""
    for unit in UNITS[:-1]:
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} {UNITS[-1]}"


def _notes(config: DAFConfig, going: Sequence[Leftover], size: int) -> Iterator[str]:
    if config.clean.remove:
        yield f"{size_text(size)} are free again."
    elif going:
        yield f"{size_text(size)} would be free again: clean.remove=true removes what is listed as such."
    else:
        yield "There is nothing to be removed."


def _problems(config: DAFConfig) -> list[Problem]:
    folder = user_path(config.clean.folder)
    if ("outputs" not in config.clean.what and "checkpoints" not in config.clean.what) or is_folder(folder):
        return []
    return [Problem("clean.folder", f"there is no folder {str(folder)!r}.", "Give the folder that output_dir lies in.")]


CLEAN = Task(
    name="clean",
    run=daf_clean,
    policies=lambda _: (),
    named_after=lambda _: (),
    missions=lambda _: (),
    problems=_problems,
    tracked=False,
)
