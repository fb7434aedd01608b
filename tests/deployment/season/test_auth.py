"""Tokens: how they come, where they are kept, and where they may go."""

import io
import os
import socket
import stat
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cogames.cli.login import CoGamesAuthenticator
from starlette.responses import JSONResponse, RedirectResponse

import daf.auth_integration as auth
from daf.auth_integration import daf_check_auth_status, daf_get_auth_token, daf_login, daf_logout
from daf.bridge.trust import why_untrusted
from daf.cli.account import main
from daf.config import DAFConfig
from daf.environment_checks import daf_check_auth
from daf.errors import DAFConfigError, DAFError
from daf.redaction import redactor
from tests.deployment.season_server import ACCOUNT, TOKEN, SeasonServer, html, serving

Asked = Callable[..., DAFConfig]


def token_file(home: Path) -> Path:
    return home / ".metta" / "cogames.yaml"


def write_tokens(home: Path, text: str, mode: int = 0o600) -> None:
    token_file(home).parent.mkdir(exist_ok=True)
    token_file(home).write_text(text)
    token_file(home).chmod(mode)


def command(monkeypatch: pytest.MonkeyPatch, server: SeasonServer, action: str, typed: str | None = None) -> int:
    """The exit code of `daf_account`."""
    keys = [f"tournament.season.{key}={server.address}" for key in ("server", "login_server")]
    monkeypatch.setattr("sys.stdin", io.StringIO(typed or ""))
    with pytest.raises(SystemExit) as ended:
        main([action, *keys])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def browser_that(monkeypatch: pytest.MonkeyPatch, does: Callable[[str], Any]) -> list[str]:
    """Stands in for the user's browser; returns the addresses that it is sent to."""
    opened: list[str] = []

    def open_page(url: str) -> bool:
        opened.append(url)
        threading.Thread(target=does, args=(url,), daemon=True).start()
        return True

    monkeypatch.setattr(webbrowser, "open", open_page)
    return opened


def follow(url: str) -> None:
    httpx.get(url, follow_redirects=True)


def test_a_login_in_the_browser_ends_in_the_file_of_cogames(
    home: Path, asked: Asked, season_server: SeasonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = browser_that(monkeypatch, follow)
    status = daf_login(asked())
    assert (status.account, status.logged_in, status.source) == (ACCOUNT, True, "file")
    # CoGames' own reader finds it.
    assert CoGamesAuthenticator().load_token(season_server.address) == TOKEN == daf_get_auth_token(asked())
    assert stat.S_IMODE(token_file(home).stat().st_mode) == 0o600
    assert stat.S_IMODE(token_file(home).parent.stat().st_mode) == 0o700
    assert TOKEN not in opened[0]
    port = int(opened[0].rpartition("%3A")[2].partition("%2F")[0])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)
    assert not [thread for thread in threading.enumerate() if "_run_server" in thread.name]


def test_a_browser_that_does_not_come_back_is_waited_for_only_so_long(
    home: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "LOGIN_LIMIT_S", 0.2)
    browser_that(monkeypatch, lambda url: None)
    with pytest.raises(DAFError, match="no token came back within 0 s"):
        daf_login(asked())
    assert not token_file(home).exists()


def test_a_browser_that_brings_nothing_logs_nobody_in(
    home: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser_that(monkeypatch, lambda url: httpx.get(httpx.URL(url).params["callback"]))
    with pytest.raises(DAFError, match="No token received in callback"):
        daf_login(asked())
    assert not token_file(home).exists()


def test_what_the_server_does_not_know_is_not_saved(
    home: Path, asked: Asked, season_server: SeasonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser_that(
        monkeypatch, lambda url: httpx.get(httpx.URL(url).params["callback"], params={"token": "planted-by-x"})
    )
    with pytest.raises(DAFError, match="401") as error:
        daf_login(asked())
    assert "planted-by-x" not in str(error.value)
    assert season_server.heard["whoami"] == ["planted-by-x"]
    assert not token_file(home).exists()
    season_server.faults["whoami"] = [JSONResponse({"user_email": "unknown"})]
    with pytest.raises(DAFError, match="knows nobody with this token"):
        daf_login(asked(), "planted-by-x")


def test_the_command_line_from_login_to_logout(
    home: Path, season_server: SeasonServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, season_server, "status") == 1
    assert "nobody is logged in" in capfd.readouterr().err
    assert command(monkeypatch, season_server, "login") == 1
    assert "standard input is no terminal" in capfd.readouterr().err
    assert command(monkeypatch, season_server, "login", f"  {TOKEN}\n") == 0
    told = capfd.readouterr().out
    assert f"as {ACCOUNT}" in told and "daf_account logout" in told
    assert command(monkeypatch, season_server, "status") == 0
    assert f"as {ACCOUNT} (by CoGames' token file)" in capfd.readouterr().out
    assert command(monkeypatch, season_server, "logout") == 0
    assert command(monkeypatch, season_server, "logout") == 0
    out = capfd.readouterr().out
    assert "Logged out of" in out and "Nobody was logged in at" in out
    assert TOKEN not in token_file(home).read_text() + told
    monkeypatch.setattr("sys.stdin", io.StringIO(TOKEN))
    with pytest.raises(SystemExit) as ended:
        main(["login", "tournament.season.nope=1"])
    assert ended.value.code == 2


def test_the_environment_goes_before_the_file(
    home: Path, asked: Asked, season_server: SeasonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    daf_login(asked(), TOKEN)
    season_server.tokens["t0ken-of-the-cron-job"] = "cron@example.org"
    monkeypatch.setenv("DAF_AUTH_TOKEN", " t0ken-of-the-cron-job\n")
    status = daf_check_auth_status(asked())
    assert (status.source, status.account) == ("environment", "cron@example.org")


def test_the_token_is_private_from_the_first_byte_and_what_else_is_there_stays(
    home: Path, asked: Asked, season_server: SeasonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tokens(home, "login_tokens: {https://other.example: f0rmer-t0ken}\nmine: 1\n", 0o644)
    modes: list[int] = []
    sync = os.fsync

    def watched(handle: int) -> None:
        modes.append(stat.S_IMODE(os.fstat(handle).st_mode))
        sync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    daf_login(asked(), TOKEN)
    assert modes == [0o600] == [stat.S_IMODE(token_file(home).stat().st_mode)]
    tokens = {"https://other.example": "f0rmer-t0ken", season_server.address: TOKEN}
    assert yaml.safe_load(token_file(home).read_text()) == {"login_tokens": tokens, "mine": 1}
    assert redactor().text("of f0rmer-t0ken") == "of ***"
    assert daf_logout(asked())
    assert CoGamesAuthenticator().load_token("https://other.example") == "f0rmer-t0ken"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("login_tokens: {x: 's3cret-t0ken", "line 1 is no YAML"),
        ("- s3cret-t0ken", "it holds no keys"),
        ("login_tokens: s3cret-t0ken", "does not name one token for each server"),
        ("login_tokens: {https://softmax.com/api: [s3cret-t0ken]}", "does not name one token for each server"),
        ("login_tokens: {https://softmax.com/api: 's3cret t0ken'}", "cannot be one"),
        ("\x00s3cret-t0ken", "is damaged"),
    ],
)
def test_a_damaged_token_file_is_named_and_not_quoted(home: Path, asked: Asked, content: str, told: str) -> None:
    write_tokens(home, content)
    with pytest.raises(DAFError, match=told) as error:
        daf_get_auth_token(asked())
    assert str(token_file(home)) in str(error.value)
    assert "s3cret" not in str(error.value) and error.value.__cause__ is None
    with pytest.raises(DAFError):
        daf_login(asked(), TOKEN)
    assert token_file(home).read_text() == content
    assert daf_check_auth(asked()).errors


def test_somebody_elses_token_file_is_not_used(home: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tokens(home, "login_tokens: {}")
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(DAFError, match="belongs to somebody else"):
        daf_get_auth_token(asked())


def test_an_open_token_file_is_told(home: Path, asked: Asked, caplog: pytest.LogCaptureFixture) -> None:
    write_tokens(home, "login_tokens: {}", 0o640)
    assert not daf_check_auth_status(asked()).logged_in
    assert "chmod 600" in caplog.text


def test_a_pipe_in_the_place_of_the_token_file_holds_nobody_up(home: Path, asked: Asked) -> None:
    token_file(home).parent.mkdir()
    os.mkfifo(token_file(home))
    with pytest.raises(DAFError, match="is no file"):
        daf_get_auth_token(asked())


SOFTMAX, OBSERVATORY = "https://softmax.com/api", "https://api.observatory.softmax-research.net"


@pytest.mark.parametrize(
    ("server", "login_server", "trust", "why"),
    [
        (OBSERVATORY, SOFTMAX, False, None),
        ("https://API.observatory.softmax-research.net.:443/x", SOFTMAX, False, None),
        ("https://mine.example:8443/api", "https://mine.example/login", False, None),
        ("http://127.0.0.1:8000", "http://127.0.0.1:9000", False, None),
        ("http://[::1]:8000", "http://[::1]:9000", False, None),
        ("https://mine.example", SOFTMAX, True, None),
        ("http://127.0.0.1:8000", SOFTMAX, True, None),
        ("http://127.0.0.1:8000", SOFTMAX, False, "does not belong"),
        ("https://mine.example", SOFTMAX, False, "does not belong"),
        ("https://softmax.com.evil.example", SOFTMAX, False, "does not belong"),
        ("https://evil-softmax.com", SOFTMAX, False, "does not belong"),
        ("https://softmax-research.net", SOFTMAX, False, "does not belong"),
        ("http://api.observatory.softmax-research.net", SOFTMAX, False, "without encryption"),
        ("http://mine.example", "http://mine.example", True, "without encryption"),
        ("http://127.0.0.1.evil.example", SOFTMAX, True, "without encryption"),
        ("http://localhost.evil.example", SOFTMAX, True, "without encryption"),
    ],
)
def test_where_a_token_may_go(server: str, login_server: str, trust: bool, why: str | None) -> None:
    found = why_untrusted(server, login_server, trust)
    assert (found is None) if why is None else (why in str(found))


@pytest.mark.parametrize(
    "server",
    [
        "softmax.com",
        "ftp://x",
        "https://",
        "https://u:p4ssword@softmax.com",
        "https://softmax.com?x=1",
        "https://x y",
        "/",
    ],
)
def test_an_address_that_is_none_is_refused_before_anything_is_sent(asked: Asked, server: str) -> None:
    with pytest.raises(DAFConfigError, match=r"tournament\.season\.server") as error:
        daf_login(asked(f"tournament.season.server='{server}'"), TOKEN)
    assert "p4ssword" not in str(error.value)


def test_no_token_is_sent_to_a_server_that_does_not_belong_to_its_login_server(
    home: Path, asked: Asked, season_server: SeasonServer
) -> None:
    write_tokens(home, f"login_tokens: {{{SOFTMAX}: {TOKEN}}}")
    config = asked(f"tournament.season.login_server={SOFTMAX}")
    assert "does not belong" in daf_check_auth_status(config).problem
    assert "does not belong" in str(daf_check_auth(config).errors[0])
    assert not season_server.counts
    trusted = asked(f"tournament.season.login_server={SOFTMAX}", "tournament.season.trust_server=true")
    assert daf_check_auth_status(trusted).account == ACCOUNT


def test_no_token_follows_a_redirect(asked: Asked, season_server: SeasonServer) -> None:
    with serving(SeasonServer()) as other:
        for status in (301, 302, 303, 307, 308):
            season_server.faults["whoami"] = [RedirectResponse(f"{other.address}/whoami", status_code=status)]
            with pytest.raises(DAFError, match="no token follows"):
                daf_login(asked(), TOKEN)
        assert not other.counts
    assert season_server.heard["whoami"] == [TOKEN] * 5


def test_on_this_machine_no_token_goes_through_a_proxy(
    asked: Asked, season_server: SeasonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(SeasonServer()) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.address)
        monkeypatch.setenv("ALL_PROXY", proxy.address)
        assert daf_login(asked(), TOKEN).account == ACCOUNT
        assert not proxy.counts


def test_a_check_tells_a_refused_token_from_a_server_that_is_away(
    home: Path, asked: Asked, season_server: SeasonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "nobody is logged in" in str(daf_check_auth(asked()).errors[0])
    monkeypatch.setenv("DAF_AUTH_TOKEN", TOKEN)
    assert daf_check_auth(asked()) == daf_check_auth(asked())
    assert daf_check_auth(asked()).passed and not daf_check_auth(asked()).warnings
    season_server.faults["whoami"] = [401]
    assert "Log in again" in str(daf_check_auth(asked()).errors[0])
    season_server.faults["whoami"] = [html()]
    found = daf_check_auth(asked())
    assert found.passed and "another form" in found.warnings[0]
    season_server.faults["whoami"] = [500, 500]
    assert "answers 500" in daf_check_auth(asked()).warnings[0]
    monkeypatch.setenv("DAF_AUTH_TOKEN", "two words")
    assert "DAF_AUTH_TOKEN cannot be one" in str(daf_check_auth(asked()).errors[0])


def test_a_server_that_cannot_be_reached_is_told_after_the_configured_attempts(
    asked: Asked, season_server: SeasonServer
) -> None:
    season_server.faults["whoami"] = ["cut before", "cut before"]
    with pytest.raises(DAFError, match="cut off"):
        daf_login(asked(), TOKEN)
    season_server.faults["whoami"] = [503]
    assert daf_login(asked(), TOKEN).account == ACCOUNT
    assert season_server.counts["whoami"] == 4
    with pytest.raises(DAFError, match="cannot be reached"):
        daf_login(asked("tournament.season.server=http://127.0.0.1:1", "tournament.season.trust_server=true"), TOKEN)
    season_server.faults["whoami"] = [2.0, 2.0]
    with pytest.raises(DAFError, match="ReadTimeout"):
        daf_login(asked("deployment.timeout_s=0.2"), TOKEN)
