"""`task=submit`: what it asks for before, what it shows after, and what it says where it cannot."""

import hashlib
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psutil
import pytest

import daf.bridge.season as bridge
from daf.config import DAFConfig
from daf.deployment import DeploymentResult, daf_submit_policy
from daf.deployment.submit import submit_problems
from daf.deployment.validations import record_validation
from daf.errors import DAFConfigError, DAFError
from daf.tracking import Tracker
from tests.cli.support import run
from tests.deployment.season_server import ACCOUNT, SIGNATURE, TOKEN, SeasonServer, html, season

Submit = Callable[..., DeploymentResult]


def passes(bundle: Path) -> str:
    """Notes that a bundle passed a validation; returns its digest."""
    digest = hashlib.sha256(bundle.read_bytes()).hexdigest()
    record_validation(digest, "smoke", run_id="0" * 32, figures={})
    return digest


@pytest.fixture
def logged_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAF_AUTH_TOKEN", TOKEN)
    monkeypatch.setattr(bridge, "_FIRST_PAUSE_S", 0.01)


@pytest.fixture
def submit(logged_in: None, asked: Callable[..., DAFConfig], bundle: Path, tracker: Tracker) -> Submit:
    """Runs the task's function on a validated bundle."""
    passes(bundle)

    def once(*overrides: str) -> DeploymentResult:
        config = asked("task=submit", *overrides)
        deployment = config.deployment.model_copy(update={"bundle": str(bundle)})
        return daf_submit_policy(config.model_copy(update={"deployment": deployment}), tracker)

    return once


def shown_tables(result: DeploymentResult) -> dict[str, list[dict[str, str]]]:
    return {table.title: [dict(zip(table.columns, row, strict=True)) for row in table.rows] for table in result.tables}


def test_a_submitted_policy_is_found_on_the_leaderboard(
    submit: Submit, season_server: SeasonServer, bundle: Path, tracker: Tracker
) -> None:
    result = submit()
    assert (result.name, result.version, result.location, result.target) == (
        "idle",
        "1.2.0",
        "idle:v1",
        "season spring",
    )
    assert (result.digest, result.bundle) == (hashlib.sha256(bundle.read_bytes()).hexdigest(), bundle)
    assert result.notes == (f"idle:v1 of {ACCOUNT} is in the season spring (pools: qualifying).",)
    tables = shown_tables(result)
    assert [row["season"] for row in tables["Seasons"] if row["chosen"] == "*"] == ["spring"]
    assert [row["policy"] for row in tables["Season leaderboard"] if row["this bundle"] == "*"] == ["idle:v1"]
    assert [(row["policy"], row["seasons"]) for row in tables["My submissions"]] == [("idle:v1", "spring")]
    assert tables["Matches"][0]["players"] == "idle:v1 x4: 2.500, idle:v1 x4: 2.500"
    tracker.close("FINISHED")
    kept = tracker.client.get_run(tracker.run_id).data
    assert kept.metrics["season/rank"] == 1 and kept.metrics["season/score"] == 10.0
    expected = {"daf.season": "spring", "daf.season_policy": "idle:v1", "daf.bundle": result.digest}
    assert expected.items() <= kept.tags.items()


def test_a_dry_run_does_all_but_the_upload(submit: Submit, season_server: SeasonServer) -> None:
    result = submit("tournament.season.dry_run=true")
    assert "Nothing was sent" in result.notes[0] and list(shown_tables(result)) == ["Seasons", "My submissions"]
    assert not season_server.counts.keys() & {"presign", "put", "complete", "enter"}
    assert {"whoami", "seasons", "versions"} <= season_server.counts.keys()


def test_the_season_can_be_chosen_and_the_name_too(submit: Submit, season_server: SeasonServer) -> None:
    result = submit("tournament.season.name=autumn", "deployment.name=lazy")
    assert (result.location, result.target) == ("lazy:v1", "season autumn")
    assert season_server.entries == [("autumn", season_server.versions[0]["id"])]


@pytest.mark.parametrize(
    ("seasons", "asked_for", "told"),
    [
        (None, "sprin", r"there is no season 'sprin'. Known: spring, autumn"),
        ([], "null", "Known: none"),
        (
            [season("old", compat_version="0.3")],
            "null",
            "is played with CoGames 0.3, and here is CoGames 0.17",
        ),
    ],
)
def test_a_season_that_cannot_be_entered_is_told_before_anything_is_sent(
    seasons: list[Any] | None, asked_for: str, told: str, submit: Submit, season_server: SeasonServer
) -> None:
    season_server.seasons = season_server.seasons if seasons is None else seasons
    with pytest.raises(DAFConfigError, match=told):
        submit(f"tournament.season.name={asked_for}")
    assert not season_server.counts["presign"]


def test_without_a_passed_validation_of_the_same_bytes_nothing_is_sent(
    submit: Submit, asked: Callable[..., DAFConfig], season_server: SeasonServer, bundle: Path
) -> None:
    assert submit_problems(asked("task=submit", f"deployment.bundle={bundle}")) == []
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr("more.txt", "changed since")
    with pytest.raises(DAFConfigError, match=r"has passed no validation as it is now.*task=validate"):
        submit()
    assert not season_server.counts
    (problem,) = submit_problems(asked("task=submit", f"deployment.bundle={bundle}"))
    assert problem.where == "deployment.bundle"
    assert submit("tournament.season.unvalidated=true").location == "idle:v1"


@pytest.mark.parametrize(
    ("name", "size", "told"),
    [
        ("none.zip", None, "there is no bundle"),
        ("big.zip", 501 * 2**20, "has 501 MB, and the season takes 500 MB"),
        ("packed.tar.gz", 10, "is no .zip"),
        ("text.zip", 10, "text.zip"),
    ],
)
def test_what_is_no_bundle_for_a_season_is_told(
    name: str, size: int | None, told: str, asked: Callable[..., DAFConfig], tmp_path: Path
) -> None:
    if size is not None:
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    own = (f"deployment.bundle={tmp_path / name}", "tournament.season.unvalidated=true")
    (problem,) = submit_problems(asked("task=submit", *own))
    assert told in str(problem)


@pytest.mark.parametrize(
    ("step", "fault", "told"),
    [
        ("whoami", 401, "daf_account login"),
        ("seasons", 403, "daf_account login"),
        ("complete", 413, "too large for the season"),
        ("complete", 409, "It has this already"),
        ("seasons", html(), "answers in another form"),
        ("seasons", 404, "Is tournament.season.server the address"),
        ("presign", 500, "Run the same command again later"),
        ("versions", "cut before", "was cut off"),
        ("put", 403, "Nothing was submitted. Run the same command again"),
    ],
)
def test_what_the_server_refuses_is_told_with_what_to_do(
    step: str, fault: Any, told: str, submit: Submit, season_server: SeasonServer
) -> None:
    season_server.faults[step] = [fault] * 2
    with pytest.raises(DAFError, match=told):
        submit()
    assert not season_server.versions


def test_what_cannot_be_shown_does_not_fail_a_submission(
    submit: Submit, season_server: SeasonServer, caplog: pytest.LogCaptureFixture
) -> None:
    season_server.faults |= {"leaderboard": [html()], "matches": [500, 500]}
    assert list(shown_tables(submit())) == ["Seasons", "My submissions"]
    assert caplog.text.count("the policy is in the season, but not all of it can be shown") == 2


def test_what_a_server_says_cannot_act_on_the_terminal(submit: Submit, season_server: SeasonServer) -> None:
    season_server.seasons[0]["display_name"] = "red \x1b[31m\x07 and\nlong " + "x" * 500
    title = shown_tables(submit())["Seasons"][0]["title"]
    assert title.isprintable() and len(title) == 100


# --- from the command line, where everything that could hold a secret is looked through ---


SECRETS = (TOKEN, *SIGNATURE.values(), *map(unquote, SIGNATURE.values()))


def leaks(*places: Path, told: str) -> list[str]:
    """Where a secret stands, in files, in MLflow's database, or in what was told."""
    found = [f"terminal: {secret}" for secret in SECRETS if secret in told]
    files = [file for place in places for file in place.rglob("*") if file.is_file() and file.name != "cogames.yaml"]
    assert any(file.name == "mlflow.db" for file in files) and any(file.suffix == ".log" for file in files)
    return found + [f"{file}: {s}" for file in files for s in SECRETS if s.encode() in file.read_bytes()]


@pytest.fixture
def options(season_server: SeasonServer, bundle: Path, store: str, tmp_path: Path) -> list[str]:
    address = season_server.address
    keys = {
        "task": "submit",
        "deployment.bundle": bundle,
        "deployment.retries": 2,
        "tournament.season.server": address,
        "tournament.season.login_server": address,
        "tracking.uri": store,
        "hydra.job_logging.root.level": "DEBUG",
        "hydra.job_logging.loggers.httpx.level": "DEBUG",  # the worst that a user can do
        "output_dir": f"{tmp_path}/out/" + "${now:%H-%M-%S-%f}",
    }
    return [f"{key}={value}" for key, value in keys.items()]


def test_the_commands_exit_codes_and_that_no_secret_is_written_anywhere(
    options: list[str],
    bundle: Path,
    tmp_path: Path,
    home: Path,
    season_server: SeasonServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(bridge, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.chdir(tmp_path)
    passes(bundle)
    assert run(monkeypatch, *options) == 2  # nobody is logged in
    assert not (tmp_path / "out").exists()
    assert_login_shows_no_token(season_server)
    season_server.faults["put"] = ["cut before", 403]
    assert run(monkeypatch, *options) == 1
    assert run(monkeypatch, *options) == 0
    monkeypatch.setattr("daf.deployment.submission.submit_bundle", crash)
    assert run(monkeypatch, *options, "tournament.season.name=autumn") == 1
    monkeypatch.setenv("DAF_AUTH_TOKEN", TOKEN)
    assert run(monkeypatch, *options, "--cfg", "job") == 0
    assert run(monkeypatch, *options, "tournament.season.server=http://example.org") == 2
    told = "".join(capfd.readouterr())
    words = ("nobody is logged in", "storage answers 403", "idle:v1 of", "crashed with ***", "without encryption")
    assert [word for word in words if word not in told] == []
    assert leaks(tmp_path, told=told) == []
    logs = "".join(file.read_text() for file in (tmp_path / "out").rglob("*.log"))
    assert "HTTP Request: PUT ***" in logs  # httpx's own lines are there, without the signed address
    (entered,) = season_server.versions
    assert [entry[1] for entry in season_server.entries] == [entered["id"]]
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        statuses = database.execute("select status from runs order by start_time").fetchall()
    assert statuses == [("FAILED",), ("FINISHED",), ("FAILED",)]


def crash(server: bridge.SeasonServer, *_: object) -> None:
    """An error that nobody thought of, with all that is secret in it."""
    server._client.begin_upload(_Nobody())
    signed = server._client.get_presigned_upload_url()
    raise RuntimeError(f"crashed with {server._client._token} at {signed}")


class _Nobody:
    def uploading(self, upload_id: str) -> None: ...
    def completing(self, upload_id: str) -> None: ...


def assert_login_shows_no_token(server: SeasonServer) -> None:
    """Logs in with a token on standard input, in a process whose arguments are watched as long as it lives."""
    keys = [f"tournament.season.{key}={server.address}" for key in ("server", "login_server")]
    server.faults["whoami"] = [0.3]
    with subprocess.Popen(
        [sys.executable, "-m", "daf.cli.account", "login", *keys],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdin and process.stdout
        process.stdin.write(TOKEN + "\n")
        process.stdin.close()
        seen = {" ".join(each) for each in _arguments(process)}
        told = process.stdout.read()
    assert process.returncode == 0, told
    assert f"as {ACCOUNT}" in told
    assert any("daf.cli.account" in each for each in seen)
    assert TOKEN not in told + "".join(seen)


def _arguments(process: "subprocess.Popen[str]") -> Iterator[list[str]]:
    """The arguments of a process and its children, again and again until it ends."""
    while process.poll() is None:
        try:
            own = psutil.Process(process.pid)
            for each in (own, *own.children(recursive=True)):
                yield each.cmdline()
        except psutil.Error:
            return
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
