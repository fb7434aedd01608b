"""A submission that is cut off at every step, and repeated: nothing is lost, nothing is there twice."""

import hashlib
import json
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse

import daf.bridge.season as bridge
from daf.deployment import journal as journals
from daf.deployment import submission as submissions
from daf.deployment.journal import submission_journal
from daf.deployment.submission import Submission, submit_bundle
from daf.errors import DAFError
from daf.files import user_state, write_whole
from tests.deployment.season_server import ACCOUNT, LATE_S, SIGNATURE, TOKEN, SeasonServer, html

Submit = Callable[..., Submission]


@pytest.fixture
def submit(season_server: SeasonServer, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Submit]:
    """Submits the bundle to a season, as the task does it; every call is a process of its own as far as DAF knows."""
    monkeypatch.setattr(submissions, "SETTLE_S", LATE_S + 0.4)
    monkeypatch.setattr(submissions, "POLL_S", 0.05)
    monkeypatch.setattr(bridge, "_FIRST_PAUSE_S", 0.01)
    digest = hashlib.sha256(bundle.read_bytes()).hexdigest()

    def once(season: str = "spring") -> Submission:
        address = season_server.address
        with (
            bridge.SeasonServer(address, TOKEN, address, 2, 5.0) as server,
            submission_journal(address, ACCOUNT, "idle", digest) as journal,
        ):
            return submit_bundle(server, journal, bundle, season)

    yield once
    assert stat.S_IMODE(user_state("submissions").stat().st_mode) == 0o700


def until_done(submit: Submit, at_most: int = 4) -> tuple[Submission, list[str]]:
    """Repeats the command until it succeeds; returns what it came to, and the errors before."""
    errors: list[str] = []
    while len(errors) < at_most:
        try:
            return submit(), errors
        except DAFError as error:
            errors.append(str(error))
    raise AssertionError(errors)


def assert_once(server: SeasonServer, bundle: Path, done: Submission) -> None:
    """One version of the whole bundle, entered once, and it is the one that is told."""
    assert [version["name"] for version in server.versions] == ["idle"]
    assert server.entries == [("spring", server.versions[0]["id"])]
    assert done.progress.version_id == server.versions[0]["id"] and done.progress.version == 1
    assert [server.uploads[upload] for upload in server.completed] == [bundle.read_bytes()]


STEPS = ("versions", "presign", "put", "complete")
FAULTS = (
    "cut before",
    "cut after",
    "late",
    "500 after",
    500,
    429,
    408,
    401,
    403,
    404,
    409,
    413,
    "html",
    "list",
    "null",
)
BODIES = {"html": html(), "list": JSONResponse([1]), "null": JSONResponse(None)}


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("step", STEPS)
def test_a_fault_at_any_step_costs_a_repeat_and_nothing_else(
    step: str, fault: Any, submit: Submit, season_server: SeasonServer, bundle: Path
) -> None:
    season_server.faults[step] = [BODIES.get(fault, fault)] * 2  # as many as there are attempts
    done, errors = until_done(submit)
    assert_once(season_server, bundle, done)
    time.sleep(LATE_S * (fault == "late"))
    assert_once(season_server, bundle, submit())
    told = " ".join(errors)
    assert not [value for value in SIGNATURE.values() if value in told]
    assert errors or step == "put" or fault in ("late", "cut after", "500 after")
    assert isinstance(fault, str) or not errors or str(fault) in told


@pytest.mark.parametrize("once", [True, False], ids=["careful server", "careless server"])
@pytest.mark.parametrize("fault", ["cut before", "cut after", "late", "500 after", 409])
def test_whatever_the_server_makes_of_a_second_completion(
    fault: Any, once: bool, submit: Submit, season_server: SeasonServer, bundle: Path
) -> None:
    season_server.once = once
    season_server.faults["complete"] = [fault]
    done, errors = until_done(submit)
    time.sleep(LATE_S * (fault == "late"))
    assert_once(season_server, bundle, done)
    assert len(errors) == (fault in ("cut before", "late", 409))
    assert fault not in ("cut before", "late") or "Run the same command again: it looks" in errors[0]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("note", range(1, 7))
def test_a_process_that_is_ended_at_any_note_is_gone_on_with(
    note: int, moment: str, submit: Submit, season_server: SeasonServer, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0

    def ended(path: Path, content: str) -> None:
        nonlocal count
        count += 1
        if count != note or moment == "after":
            write_whole(path, content)
        if count == note:
            raise KeyboardInterrupt

    monkeypatch.setattr(journals, "write_whole", ended)
    if note <= 5:
        with pytest.raises(KeyboardInterrupt):
            submit()
    assert_once(season_server, bundle, submit())


@pytest.mark.parametrize("fault", ["cut before", "cut after", "late", "500 after", 500, 409, "html"])
def test_a_version_that_was_completed_unheard_and_not_entered_is_entered_once(
    fault: Any, submit: Submit, season_server: SeasonServer, bundle: Path
) -> None:
    season_server.enters_on_complete = False
    season_server.faults["complete"] = ["cut after"]
    season_server.faults["enter"] = [BODIES.get(fault, fault)]
    done, errors = until_done(submit)
    if fault == 409:  # is believed
        assert (season_server.counts["enter"], season_server.entries, errors) == (1, [], [])
        return
    assert_once(season_server, bundle, done)
    assert len(errors) == 1


def test_an_answered_completion_enters_the_season_and_nothing_else_does(
    submit: Submit, season_server: SeasonServer, bundle: Path
) -> None:
    done = submit()
    assert_once(season_server, bundle, done)
    assert (done.pools, done.notes) == (("qualifying",), ())
    again = submit()
    assert again.notes == ("The bundle was at the server already; it was not sent again.",)
    assert (season_server.counts["enter"], season_server.counts["complete"], season_server.counts["put"]) == (0, 1, 1)


def test_another_season_gets_the_version_that_is_there(submit: Submit, season_server: SeasonServer) -> None:
    first = submit()
    assert submit("autumn").progress.seasons == ("spring", "autumn")
    assert season_server.entries == [(name, first.progress.version_id) for name in ("spring", "autumn")]
    assert (season_server.counts["put"], len(season_server.versions)) == (1, 1)
    season_server.entries.append(("winter", first.progress.version_id))  # by the user's own hand
    submit("winter")
    assert season_server.counts["enter"] == 1


def test_what_was_under_the_name_before_is_told_and_is_not_taken_for_the_bundles(
    submit: Submit, season_server: SeasonServer
) -> None:
    season_server.add_version("idle")
    season_server.add_version("other")
    season_server.faults["complete"] = ["cut after"]
    done = submit()
    assert done.progress.version == 2
    assert "idle:v1 was at the server before. Whether it holds the same bundle cannot be asked" in done.notes[0]


def test_a_version_that_is_gone_from_the_server_is_told(submit: Submit, season_server: SeasonServer) -> None:
    submit()
    season_server.versions.clear()
    with pytest.raises(DAFError, match=r"no longer among your versions.*remove .*\.json"):
        submit()


def test_the_file_goes_again_under_the_same_id_and_after_a_refusal_under_a_new_one(
    submit: Submit, season_server: SeasonServer
) -> None:
    season_server.faults["put"] = ["cut after"]
    submit()
    assert (season_server.counts["put"], season_server.counts["presign"]) == (2, 1)
    season_server.versions.clear()
    next(iter(user_state("submissions").glob("*.json"))).unlink()
    season_server.faults["put"] = [403]
    submit()
    assert (season_server.counts["put"], season_server.counts["presign"]) == (4, 3)


def test_a_bundle_is_not_sent_without_encryption(submit: Submit, season_server: SeasonServer) -> None:
    season_server.upload_host = "http://storage.example"
    with pytest.raises(DAFError, match="without encryption"):
        submit()
    assert not season_server.counts["put"]


def test_the_storage_gets_no_token(submit: Submit, season_server: SeasonServer) -> None:
    submit()
    assert season_server.heard["put"] == [""]
    assert set(season_server.heard["complete"]) == {TOKEN}


def test_two_at_once_are_one(submit: Submit, season_server: SeasonServer, bundle: Path) -> None:
    digest = hashlib.sha256(bundle.read_bytes()).hexdigest()
    with (
        submission_journal(season_server.address, ACCOUNT, "idle", digest),
        pytest.raises(DAFError, match="another process is submitting this bundle"),
    ):
        submit()
    assert not season_server.counts["presign"]
    submit()


def test_a_damaged_journal_is_named(submit: Submit, season_server: SeasonServer) -> None:
    submit()
    path = next(iter(user_state("submissions").glob("*.json")))
    noted = json.loads(path.read_text())
    assert noted["step"] == "there" and noted["server"] == season_server.address
    assert not [value for value in (TOKEN, *SIGNATURE.values()) if value in path.read_text()]
    path.write_text('{"step": "the')
    with pytest.raises(DAFError, match=f"{path}.* is damaged"):
        submit()


def test_nothing_is_sent_that_could_not_be_noted(
    submit: Submit, season_server: SeasonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: str) -> None:
        if '"completing"' in content:
            raise OSError(28, "No space left on device")
        write_whole(path, content)

    monkeypatch.setattr(journals, "write_whole", full)
    with pytest.raises(DAFError, match="No space left"):
        submit()
    assert not season_server.counts["complete"]
