"""What is found on disk and in the store that cleaning may remove, each thing with what it is and why it may not."""

import os
import re
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import rmtree

from daf.bridge.bundles import bundles_folder
from daf.config.references import BUNDLE, CHECKPOINTS
from daf.config.schemas import DAFConfig
from daf.errors import DAFConfigError, DAFError
from daf.files import PARTIAL, user_cache
from daf.redaction import redactor
from daf.runs.protected import KEEP_FILE, Protected
from daf.tracking.output_folder import LOCK, RECORD, LastRun, left_alone
from daf.tracking.undelivered import UNDELIVERED

DAY_S = 86_400.0
#: What DAF leaves in an output folder without logging it, or in those of trials and trainings below it.
OWN = re.compile(
    r"\.daf-run\.(json|lock)|daf\.log|trial\.log|metrics\.jsonl|result\.json|model_\d+\.pt|trainer_state\.pt"
    r"|policy_spec\.json|outcome\.json|stage\.json|mlflow_run_id|traceback\.txt|config\.yaml|overrides\.yaml"
    r"|packages\.txt|uncommitted\.diff|episodes\.jsonl|[0-9a-f]{32}\.z|\.[0-9a-f]{32}\.partial|multirun\.yaml"
)
#: What looking at runs leaves, which is logged nowhere.
LOOKED = re.compile(
    r"summary\.md|report\.html|tables/[^/]+\.csv|(comparison|evaluation|tournament)/.+|(.+/)?plots/[^/]+\.png"
    r"|plots/sweep\.html"
)
#: Caches that runs read whole folders of.
READ_WHILE_RUNNING = frozenset({"references", "bundles"})
#: Scratch folders of processes that were killed.
SCRATCH = re.compile(r"daf-(jail|pool|resume|artifact|rerun)-\w+")


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """One thing that may be removed.

    Attributes:
        what: the kind of thing.
        where: a path, or the MLflow run whose artifacts they are.
        size: in bytes.
        changed: when it changed last, in seconds since the epoch.
        why_not: why it is left, or None.
        remove: removes it, if it may still be removed by then; raises DAFError or OSError.
    """

    what: str
    where: str
    size: int
    changed: float
    why_not: str | None
    remove: Callable[[], None]


def output_folders(root: Path) -> Iterator[Path]:
    """The topmost folders below `root`, and never itself, that a run of DAF's has left its record in. No links."""
    for path, folders, _ in os.walk(root, followlinks=False):
        own = sorted(name for name in folders if not (Path(path) / name).is_symlink())
        made = [name for name in own if (Path(path) / name / RECORD).is_file()]
        yield from (Path(path) / name for name in made)
        folders[:] = [name for name in own if name not in made]


def outputs(root: Path, config: DAFConfig, protected: Protected) -> Iterator[Leftover]:
    """Whole output folders of runs that have ended."""
    for folder in output_folders(root):
        size, changed = measure(folder)
        why = why_left(folder, changed, config, protected)
        remove = partial(_remove_folder, folder, config, protected)
        yield Leftover(what="outputs", where=str(folder), size=size, changed=changed, why_not=why, remove=remove)


def why_left(folder: Path, changed: float, config: DAFConfig, protected: Protected) -> str | None:
    """Why an output folder is to be left, or None. Runs below it protect it as a whole."""
    if changed > time.time() - DAY_S * config.clean.older_than_days:
        return f"it has changed within {config.clean.older_than_days:g} days"
    inner = [path.parent for path in sorted(folder.rglob(RECORD)) if not path.is_symlink()]
    reasons = (_why_run_left(each, config, protected) for each in inner)
    try:
        return next((why for why in reasons if why), None) or _foreign(folder, inner, protected)
    except DAFConfigError as error:  # a run has begun there in this moment
        return error.problems[0].what.rstrip(".")


def _why_run_left(folder: Path, config: DAFConfig, protected: Protected) -> str | None:
    if os.path.lexists(folder / KEEP_FILE):
        return f"it holds a file {KEEP_FILE}"
    if os.path.lexists(folder / UNDELIVERED):
        return "MLflow has not taken all of it yet: python -m daf.run task=deliver"
    try:
        with left_alone(folder) as run:
            return _why_not_ended(run, config) or protected.why(run.run_id, [folder])
    except DAFConfigError as error:
        return error.problems[0].what.rstrip(".")
    except OSError as error:
        return f"it cannot be locked: {error.strerror or error}"


def _why_not_ended(run: LastRun, config: DAFConfig) -> str | None:
    if run.status == "FINISHED" or run.run_id is None or config.clean.unfinished:
        return None
    return f"it may go on: {run.name} has not finished (clean.unfinished=true)"


def _foreign(folder: Path, inner: list[Path], protected: Protected) -> str | None:
    """Why a folder is left that holds what DAF did not make: neither logged by its runs, nor one of DAF's own names."""
    logged = {each: _artifacts(each, protected) for each in inner}
    for path, folders, files in os.walk(folder, followlinks=False):
        if os.path.ismount(path):
            return f"another file system is mounted at {path}"
        links = [name for name in (*folders, *files) if (Path(path) / name).is_symlink()]
        for name in (*files, *links):
            if not _is_own(Path(path) / name, logged):
                return f"{(Path(path) / name).relative_to(folder)} in it is not of DAF's making"
    return None


def _is_own(path: Path, logged: dict[Path, set[str]]) -> bool:
    if path.is_symlink() or not stat.S_ISREG(path.lstat().st_mode):
        return False
    own = any(path.is_relative_to(run) and path.relative_to(run).as_posix() in names for run, names in logged.items())
    return own or OWN.fullmatch(path.name) is not None


def _artifacts(folder: Path, protected: Protected) -> set[str]:
    """Paths of what the folder's run has logged, or what one that is not tracked writes there."""
    with left_alone(folder) as last:
        run_id = last.run_id
    if run_id is not None:
        logged = artifact_sizes(protected, run_id) if protected.run(run_id) else {}
        # A bundle lies beside everything else, where one types its name.
        return {name for path in logged for name in (path, path.removeprefix(f"{BUNDLE}/"))}
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return {path for path in files if LOOKED.fullmatch(path)}


def artifact_sizes(protected: Protected, run_id: str, folder: str | None = None) -> dict[str, int]:
    """Path to size of every artifact of a run below a folder."""
    assert protected.client is not None, "it has the run"
    found: dict[str, int] = {}
    for item in protected.client.list_artifacts(run_id, folder):
        if item.is_dir:
            found |= artifact_sizes(protected, run_id, item.path)
        else:
            found[item.path] = int(item.file_size or 0)
    return found


def _remove_folder(folder: Path, config: DAFConfig, protected: Protected) -> None:
    """Removes an output folder while no run can begin in it, if nothing has happened there meanwhile."""
    if why := why_left(folder, measure(folder)[1], config, protected.afresh()):
        raise DAFError(why)
    with ExitStack() as stack:
        try:
            for inner in sorted(folder.rglob(RECORD)):
                stack.enter_context(left_alone(inner.parent))
        except DAFConfigError as error:
            raise DAFError(error.problems[0].what) from error
        remove_tree(folder)


def orphaned_folders(root: Path, config: DAFConfig, protected: Protected) -> Iterator[Leftover]:
    """Checkpoints in output folders whose run was deleted in MLflow, and which are not removed as a whole."""
    for top in output_folders(root):
        for record in sorted(top.rglob(RECORD)):
            folder = record.parent
            if not (folder / CHECKPOINTS).is_dir() or (folder / CHECKPOINTS).is_symlink():
                continue
            if not _is_deleted(folder, protected):
                continue
            size, changed = measure(folder / CHECKPOINTS)
            yield Leftover(
                what="checkpoints of a deleted run",
                where=str(folder / CHECKPOINTS),
                size=size,
                changed=changed,
                why_not=_why_checkpoints_left(folder, config, protected),
                remove=partial(_remove_checkpoints, folder, config, protected),
            )


def _is_deleted(folder: Path, protected: Protected) -> bool:
    """Whether the run of a folder, in which none is at work, was deleted in MLflow."""
    try:
        with left_alone(folder) as last:
            run = protected.run(last.run_id) if last.run_id else None
    except (DAFConfigError, OSError):
        return False
    return run is not None and run.info.lifecycle_stage == "deleted"


def _why_checkpoints_left(folder: Path, config: DAFConfig, protected: Protected) -> str | None:
    if not _is_deleted(folder, protected):
        return "its MLflow run was restored"
    if why := _why_run_left(folder, config, protected):
        return why
    foreign = [p.name for p in (folder / CHECKPOINTS).iterdir() if p.is_symlink() or not OWN.fullmatch(p.name)]
    return f"{CHECKPOINTS}/{foreign[0]} in it is not of DAF's making" if foreign else None


def _remove_checkpoints(folder: Path, config: DAFConfig, protected: Protected) -> None:
    if why := _why_checkpoints_left(folder, config, protected.afresh()):
        raise DAFError(why)
    with left_alone(folder):
        remove_tree(folder / CHECKPOINTS)


def orphaned_artifacts(protected: Protected) -> Iterator[Leftover]:
    """Checkpoints among the artifacts of runs that were deleted in MLflow."""
    for run in protected.deleted():
        sizes = artifact_sizes(protected, run.info.run_id, CHECKPOINTS)
        if sizes:
            yield Leftover(
                what="artifacts of a deleted run",
                where=f"{run.info.run_id}/{CHECKPOINTS}",
                size=sum(sizes.values()),
                changed=(run.info.end_time or run.info.start_time) / 1000,
                why_not=protected.why(run.info.run_id, []),
                remove=partial(_remove_artifacts, run.info.run_id, protected),
            )


def _remove_artifacts(run_id: str, protected: Protected) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    now = protected.afresh()
    run = now.run(run_id)
    if run is None or run.info.lifecycle_stage != "deleted":
        raise DAFError(f"MLflow run {run_id} was restored meanwhile")
    if why := now.why(run_id, []):
        raise DAFError(why)
    uri = str(run.info.artifact_uri)
    try:
        get_artifact_repository(uri).delete_artifacts(CHECKPOINTS)
    except Exception as error:  # stores of artifacts raise what they like
        raise DAFError(f"{redactor().text(uri)}: {redactor().text(str(error))}") from error


def caches(config: DAFConfig, protected: Protected) -> Iterator[Leftover]:
    """Old entries of DAF's caches, and scratch folders of processes that were killed."""
    folders = {name: user_cache(name) for name in ("episodes", "references", "validations")}
    for name, folder in (folders | {"bundles": bundles_folder()}).items():
        if folder.is_dir() and not folder.is_symlink():
            yield from _cache_entries(name, folder, config, protected)
    scratch = Path(tempfile.gettempdir())
    for path in sorted(scratch.iterdir()):
        if SCRATCH.fullmatch(path.name) and path.is_dir() and path.lstat().st_uid == os.getuid():
            yield _old_entry("left by a killed process", path, config, None)


def _cache_entries(name: str, folder: Path, config: DAFConfig, protected: Protected) -> Iterator[Leftover]:
    busy = "a run goes on, which may read it" if name in READ_WHILE_RUNNING and protected.anything_runs else None
    # Episodes lie in a folder for each beginning of their keys.
    entries = folder.glob("??/*") if name == "episodes" else folder.iterdir()
    for path in sorted(entries):
        what = f"cache of {name}" if not path.name.endswith(PARTIAL) else "left by a killed process"
        yield _old_entry(what, path, config, busy)


def _old_entry(what: str, path: Path, config: DAFConfig, busy: str | None) -> Leftover:
    size, changed = measure(path)
    recent = changed > time.time() - DAY_S * config.clean.older_than_days
    why = "it is a link" if path.is_symlink() else busy
    if recent:
        why = why or f"it was used within {config.clean.older_than_days:g} days"
    return Leftover(what=what, where=str(path), size=size, changed=changed, why_not=why, remove=partial(_remove, path))


def _remove(path: Path) -> None:
    remove_tree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def remove_tree(folder: Path) -> None:
    """Removes a folder and all below it; links are removed, and never what they point to.

    Raises:
        OSError: something cannot be removed.
    """
    assert rmtree.avoids_symlink_attacks, "Python removes by descriptors on every system that DAF runs on"
    # The record goes last: what is interrupted is still known as DAF's.
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name in (RECORD, LOCK)):
        rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink(missing_ok=True)
    folder.rmdir()


def measure(path: Path) -> tuple[int, float]:
    """Bytes on disk of a file, or of the files in a folder and below, and when one of them was written last.

    A folder's own time does not count, since looking for whether a run works in it changes that.
    """
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return found.st_size, found.st_mtime
    files = [each.lstat() for each in path.rglob("*") if each.name != LOCK and (each.is_symlink() or not each.is_dir())]
    return sum(each.st_size for each in files), max((each.st_mtime for each in files), default=found.st_mtime)
