"""Whom DAF tells of the end of a run, on a local server; and that nobody else learns how they are reached."""

import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from daf.notification import Notifier, body, title
from daf.redaction import redactor
from daf.results import Outcome, ResultTable, TaskResult
from daf.sweeps.conclude import sweep_facts
from daf.sweeps.judge import Confirmation
from daf.sweeps.status import SweepStatus
from daf.tasks.outcome import RESULT_FILE
from tests.cli.support import run
from tests.ended import asked

#: A user, a password and a token, as they stand in addresses of chats.
USER, PASSWORD, TOKEN = "someb0dy", "s3cret-pass-phrase", "T1JJ3T3L2ABCDE"


class Inbox:
    """A server that keeps what is posted to it."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.status = 200
        messages, own = self.messages, self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(own.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://{USER}:{PASSWORD}@127.0.0.1:{self.server.server_port}/{TOKEN}"
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    own = Inbox()
    yield own
    own.server.shutdown()
    own.server.server_close()


@pytest.mark.parametrize(
    ("how", "headline", "said"),
    [
        ("ok", "DAF: ends finished", "winner: a"),
        ("fails", "DAF: ends failed", "it did not work"),
        ("interrupted", "DAF: ends was interrupted", "Interrupted after 3 steps."),
        ("refuses", "DAF: ends says no", "the champion stays"),
    ],
)
def test_the_end_is_told_once_and_the_address_to_nobody(
    how: str,
    headline: str,
    said: str,
    inbox: Inbox,
    tmp_path: Path,
    store: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    own = [f"output_dir={tmp_path / 'out'}", f"tracking.uri={store}", f"notify.urls=['{inbox.url}']"]
    run(monkeypatch, *asked(how, *own))
    (message,) = inbox.messages
    told = json.loads((tmp_path / "out" / RESULT_FILE).read_text())
    assert message["title"] == headline
    for line in (said, f"run: {told['run_id']}", f"files: {tmp_path / 'out'}"):
        assert line in message["message"]
    if how == "ok":
        for line in ("objective: 1.5", "Found\npolicy | reward\na | 1.0", "next: python -m daf.run task=compare"):
            assert line in message["message"]
    seen = capfd.readouterr()
    kept = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    for secret in (PASSWORD, TOKEN, inbox.url):
        assert secret not in seen.out + seen.err + kept + json.dumps(message)


def test_an_address_that_takes_nothing_is_a_warning(
    inbox: Inbox, tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    inbox.status = 500
    urls = f"notify.urls=['{inbox.url}','nonsense://{TOKEN}','json://127.0.0.1:1/{TOKEN}']"
    assert run(monkeypatch, *asked("ok", f"output_dir={tmp_path / 'out'}", f"tracking.uri={store}", urls)) == 0
    said = (tmp_path / "out" / "daf.log").read_text() + capfd.readouterr().err
    for line in ("notify.urls.0 was not told", "notify.urls.1 is no address", "notify.urls.2 was not told"):
        assert line in said
    assert TOKEN not in said
    assert PASSWORD not in said


def test_without_apprise_one_sentence_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with caplog.at_level(logging.WARNING):
        Notifier(["json://127.0.0.1"]).tell(Outcome(task="train", status="ok", exit_code=0))
    (record,) = caplog.records
    assert "notify.urls needs apprise, which is not installed. Install it: " in record.message


def test_a_long_table_is_cut_and_says_so() -> None:
    table = ResultTable("Trials", ("trial",), tuple((f"number {i}",) for i in range(14)))
    outcome = Outcome(task="sweep", status="ok", exit_code=0, result=TaskResult(objective=None, tables=(table,)))
    told = body(outcome)
    assert title(outcome) == "DAF: sweep finished"
    assert "number 9" in told
    assert "number 10" not in told
    assert "... 4 more rows" in told


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#chan", ("T1JJ3T3L2", "TIiajkdnlazkcOXrIdevi7FQ")),
        ("tgram://123456789:AAE9bc4def8_x/12315544/", ("AAE9bc4def8_x",)),
        ("mailto://me:hunter2hunter2@example.com", ("hunter2hunter2",)),
    ],
)
def test_the_parts_of_an_address_are_secrets_by_themselves(
    url: str, secrets: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = redactor()
    monkeypatch.setattr(known, "_registered", {})
    monkeypatch.setattr(known, "_spellings", ())
    known.learn({"notify": {"urls": [url]}})
    for secret in (url, *secrets):
        assert secret not in known.text(f"apprise could not reach https://hooks.example/{secret} today")
    assert known.text("example.com and localhost are no secrets") == "example.com and localhost are no secrets"


@pytest.mark.slow
def test_a_sweep_tells_its_best_once(inbox: Inbox, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not its trials: they have no end of their own to tell."""
    own = (f"output_dir={tmp_path / 'out'}", f"tracking.uri={store}", f"notify.urls=['{inbox.url}']")
    task = ("task.name=quadratic", "task.function=tests.sweeps.tasks.quadratic", "policy=noop")
    swept = ("optimizer.lr=1e-5,1e-3", "sweep.confirm=off", "sweep.n_jobs=1", "mission.cogs=2", "sweep=grid")
    assert run(monkeypatch, "-m", *task, *swept, *own) == 0
    (message,) = inbox.messages
    assert message["title"] == "DAF: sweep finished"
    assert "best: 1\nbest_name: lr=0.001\n" in message["message"]


def test_a_winner_is_told_with_what_speaks_for_it() -> None:
    status = SweepStatus(
        name="lr", n_trials=4, running=0, interrupted=0, complete=4, pruned=0, failed=0, best=1, best_values=(0.4,),
        best_name="lr=0.001", front=(), seconds_left=None, verdict=None,
    )  # fmt: skip
    table = ResultTable("Confirmation", ("trial",), ())
    said = "trial 3 is better than the baseline"
    confirmation = Confirmation(best=3, measured=3, winner=3, verdict=said, table=table, mean=0.5, interval=None)
    result = TaskResult(objective=0.5, facts=sweep_facts(status, confirmation))
    told = body(Outcome(task="sweep", status="ok", exit_code=0, result=result))
    assert f"best: 1\nbest_name: lr=0.001\nconfirmed_best: 3\nverdict: {said}\nwinner: 3\n" in told
    undecided = sweep_facts(status, replace(confirmation, winner=None))
    assert "winner" not in undecided
