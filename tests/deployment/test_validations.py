"""Passed validations are found again by digest and level, and only notes of this user's count."""

from pathlib import Path

import pytest

from daf.deployment.validations import passed_validation, record_validation, validations_folder

DIGEST = "ab" * 32


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_a_passed_validation_is_found_by_digest_and_level() -> None:
    assert passed_validation(DIGEST) is None
    noted = record_validation(DIGEST, "smoke", run_id="r1", figures={"latency_ms_p95": 3.5})
    assert passed_validation(DIGEST) == noted
    assert passed_validation(DIGEST, "qualifying") is None
    assert passed_validation("cd" * 32) is None


def test_a_higher_level_counts_for_a_lower_one() -> None:
    record_validation(DIGEST, "qualifying", run_id="r2", figures={})
    found = passed_validation(DIGEST, "smoke")
    assert found is not None and (found.level, found.run_id) == ("qualifying", "r2")


def test_a_note_that_others_could_write_does_not_count() -> None:
    record_validation(DIGEST, "smoke", run_id="r1", figures={})
    note = next(validations_folder().glob("*.json"))
    note.chmod(0o666)
    assert passed_validation(DIGEST) is None
    note.chmod(0o600)
    assert passed_validation(DIGEST) is not None
    validations_folder().chmod(0o777)
    assert passed_validation(DIGEST) is None
    with pytest.raises(OSError, match="0700"):
        record_validation(DIGEST, "smoke", run_id="r1", figures={})


def test_a_note_of_another_bundle_does_not_count() -> None:
    record_validation(DIGEST, "smoke", run_id="r1", figures={})
    note = next(validations_folder().glob("*.json"))
    other = note.with_name(note.name.replace("ab" * 32, "cd" * 32))
    note.rename(other)
    assert passed_validation("cd" * 32) is None
