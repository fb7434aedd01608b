"""Brings one bundle into a season, going on where an earlier attempt was cut off: nothing lost, nothing twice."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from daf.bridge.season import SeasonServer, SeasonServerError
from daf.deployment.journal import Progress, SubmissionJournal
from daf.errors import DAFError

#: CoGames' client waits so long for the end of an upload. Until then the server may still be at what it was told.
SETTLE_S = 120.0
POLL_S = 5.0
#: Refusals of the caller, not of the file, which is kept for the next attempt.
_NOT_THE_FILE = {None, 401, 403, 429}

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A bundle that is in a season.

    Attributes:
        progress: with the version's id and number.
        pools: that it was put in, as far as the server said so.
        notes: sentences on what was found there before.
    """

    progress: Progress
    pools: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def submit_bundle(server: SeasonServer, journal: SubmissionJournal, bundle: Path, season: str) -> Submission:
    """Sends what is not there yet, and enters it in the season unless it is in.

    A file is sent again under another id as often as need be, since no version comes of it before the upload is
    completed. That is never repeated before it was looked up whether the first time was heard. The server cannot be
    asked for a bundle's digest: a new version under the name is taken for this bundle's.

    Raises:
        DAFError: saying what is known of how far it came.
    """
    notes: list[str] = []
    pools: tuple[str, ...] = ()
    if journal.progress.step == "completing":
        if not _arrived(server, journal, _settled_at(journal)):
            journal.note(step="uploaded")
    elif journal.progress.step == "there":
        _check_still_there(server, journal)
    else:
        notes += _note_versions(server, journal)
    if journal.progress.step == "there":
        notes.append("The bundle was at the server already; it was not sent again.")
    else:
        pools = _make_version(server, journal, bundle, season)
    if season not in journal.progress.seasons:
        pools = _enter(server, journal, season)
    return Submission(progress=journal.progress, pools=pools, notes=tuple(notes))


def _note_versions(server: SeasonServer, journal: SubmissionJournal) -> list[str]:
    """Notes the versions that are under the name before the upload, and says so."""
    name = journal.progress.name
    before = server.versions(name)
    journal.note(before=tuple(str(version.id) for version in before))
    if not before:
        return []
    newest = max(version.version for version in before)
    what = f"{name}:v{newest} was at the server before. Whether it holds the same bundle cannot be asked"
    return [f"{what}; this is a new version."]


def _make_version(server: SeasonServer, journal: SubmissionJournal, bundle: Path, season: str) -> tuple[str, ...]:
    """Has the server make a version of the bundle, or finds it there; returns the pools that it was put in."""
    progress = journal.note(season=season)
    try:
        if progress.step == "uploaded":
            made = server.complete(progress.upload_id, progress.name, season, journal)
        else:
            made = server.upload(bundle, progress.name, season, journal)
    except SeasonServerError as error:
        _look_after(server, journal, error)
        return ()
    journal.note(step="there", version_id=made.id, version=made.version, seasons=(season,))
    return made.pools


def _look_after(server: SeasonServer, journal: SubmissionJournal, error: SeasonServerError) -> None:
    """Returns if the version is there in spite of an error.

    Raises:
        DAFError: it is not, or that cannot be known now.
    """
    if journal.progress.step != "completing":
        raise error
    if error.known and error.status != 409:
        journal.note(step="uploaded" if error.status in _NOT_THE_FILE else "new")
        raise error
    try:
        if _arrived(server, journal, until=0.0):
            return
    except SeasonServerError as second:
        log.warning("%s", second)
    if error.known:
        journal.note(step="new")
        raise error
    raise DAFError(
        f"{error}. Whether it made a version of the bundle is not known. Run the same command again: it looks whether "
        f"one has arrived, for up to {SETTLE_S:.0f} s, and completes the upload only if none has"
    ) from None


def _settled_at(journal: SubmissionJournal) -> float:
    """When the server will have done what it was told, or not; in seconds since 1970."""
    return min(journal.progress.since, time.time()) + SETTLE_S


def _arrived(server: SeasonServer, journal: SubmissionJournal, until: float) -> bool:
    """Whether a version has come since the upload was completed, looked up until a time, and at least once."""
    progress = journal.progress

    def new() -> bool:
        found = [version for version in server.versions(progress.name) if str(version.id) not in progress.before]
        if not found:
            return False
        if len(found) > 1:
            log.warning(
                "%d versions of %s have come since; the first is taken for this bundle's", len(found), progress.name
            )
        first = min(found, key=lambda version: version.version)
        journal.note(step="there", version_id=str(first.id), version=first.version)
        return True

    return _until(new, until, f"whether the server has a version of {progress.name} by now")


def _enter(server: SeasonServer, journal: SubmissionJournal, season: str) -> tuple[str, ...]:
    """Enters a version in a season, unless it is in: completing the upload may have done so unheard."""
    progress = journal.progress

    def is_in() -> bool:
        return any(name.partition(":")[0] == season for name in server.memberships().get(progress.version_id, ()))

    pools: tuple[str, ...] = ()
    completed_for_it = progress.season == season and not progress.seasons
    if not _until(is_in, _settled_at(journal) if completed_for_it else 0.0, f"whether it is in {season} by now"):
        try:
            pools = server.submit(season, progress.version_id)
        except SeasonServerError as error:
            if error.status != 409:  # which says that it is in
                raise
    journal.note(seasons=(*progress.seasons, season))
    return pools


def _until(found: Callable[[], bool], until: float, what: str) -> bool:
    """Whether something is found, looked for until a time, and at least once."""
    told = False
    while not found():
        left = until - time.time()
        if left <= 0:
            return False
        if not told:
            log.info("looking for up to %.0f s %s", left, what)
            told = True
        time.sleep(min(POLL_S, left))
    return True


def _check_still_there(server: SeasonServer, journal: SubmissionJournal) -> None:
    progress = journal.progress
    if progress.version_id not in {str(version.id) for version in server.versions(progress.name)}:
        raise DAFError(
            f"{progress.name}:v{progress.version}, which was made of this bundle, is no longer among your versions at "
            f"{progress.server}. To send it again, remove {journal.path}"
        )
