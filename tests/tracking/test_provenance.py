"""What is told about a run, and what never is."""

import subprocess
from pathlib import Path

import pytest

from daf.config.override_secrets import override_without_secrets
from daf.redaction import redactor
from daf.tracking.provenance import git_state


def test_secrets_are_blanked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOURNAMENT_TOKEN", "sesame-open-123")
    redact = redactor()
    assert redact.value("policy.init_kwargs.api_key", "abc") == "***"
    assert redact.value("note", "it is sesame-open-123!") == "it is ***!"
    assert redact.text("http://user:pass@host/x") == "http://***@host/x"
    assert redact.text("db://host/x?password=abc&user=me") == "db://host/x?password=***&user=me"
    assert redact.tree({"a": {"password": "x"}, "b": ["sesame-open-123"]}) == {"a": {"password": "***"}, "b": ["***"]}
    assert override_without_secrets("+policy.init_kwargs.token=abc") == "+policy.init_kwargs.token=***"


def test_a_secret_that_comes_later_is_blanked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARMLESS", "sesame-open-456")
    assert redactor().text("sesame-open-456") == "sesame-open-456"
    assert redactor() is redactor()
    monkeypatch.setenv("LATE_TOKEN", "sesame-open-456")
    assert redactor().text("sesame-open-456") == "***"


def test_what_only_sounds_secret_is_kept() -> None:
    assert redactor().value("policy.init_kwargs.token_dim", 3) == "3"
    assert redactor().tree({"tokens_dropped": 5.0, "token": None}) == {"tokens_dropped": 5.0, "token": None}


def test_git_state_holds_commit_and_difference(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None
    run = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "file").write_text("one\n")
    for command in (["init", "-q"], ["add", "file"], ["commit", "-qm", "first"]):
        subprocess.run([*run, *command], check=True)
    (tmp_path / "file").write_text("two\n")
    (tmp_path / "new").write_text("content stays private\n")
    state = git_state(tmp_path)
    assert state is not None
    commit, diff = state
    assert len(commit) == 40
    assert "-one\n+two\n" in diff
    assert "# untracked: new" in diff
    assert "private" not in diff
