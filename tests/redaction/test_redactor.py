"""What tells that something is a secret, and what becomes of it."""

import contextlib
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from daf.config import daf_load_config
from daf.config.override_secrets import learn_overrides, override_without_secrets, swept_secrets
from daf.redaction import HIDDEN, Redactor, guarded, is_telling, redacted, redactor, restored


def words(text: str) -> list[str]:
    return text.split()


@pytest.mark.parametrize(
    "name",
    [
        "pwd",
        "passwd",
        "password",
        "auth",
        "bearer",
        "token",
        "token_value",
        "api_key",
        "api_key_2",
        "apiKey",
        "API-KEY",
        "apikey",
        "credentials",
        "secret",
        "client_secret",
        "privateKey",
        "signature",
        "user_token",
        "access_tokens",
        "secret_key_base",
        "AWSAccessKeyId",
        "dbPassword",
        "db_pass",
        "policy.init_kwargs.api_key",
        "credentials.value",
        "api.key",
        "+policy.init_kwargs.token",
        "x-auth",
        "Authorization",
        "DB_PASS",
        "GH_PAT",
        "SOME_KEY",
        "MY_PWD",
        "X_TOKEN",
        "MY_SECRET",
    ],
)
def test_a_name_tells(name: str) -> None:
    assert is_telling(name)


@pytest.mark.parametrize(
    "name",
    [
        "key",
        "keys",
        "author",
        "authors",
        "keep",
        "monkey",
        "hotkey",
        "keyboard",
        "tokens",
        "num_tokens",
        "max_token",
        "token_dim",
        "token_value_base",
        "tokens_dropped",
        "compass",
        "bypass_weight",
        "first_pass",
        "passive",
        "path",
        "pattern",
        "sort_key",
        "auth_url",
        "token_type",
        "signal",
        "PATH",
        "OLDPWD",
        "SSH_AUTH_SOCK",
        "TokenError",
    ],
)
def test_a_name_only_sounds_so(name: str) -> None:
    assert not is_telling(name)


def _keys(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield str(key)
            yield from _keys(value)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _keys(item)


def test_no_key_of_dafs_own_tells() -> None:
    config = daf_load_config().model_dump(mode="json")
    assert [key for key in _keys(config) if is_telling(key)] == []
    assert Redactor({}).tree(config) == config


@pytest.mark.parametrize("mission", ["cogsguard_arena.basic", "cogsguard_machina_1.basic"])
def test_no_key_of_a_mission_tells(mission: str) -> None:
    from cogames.cli.mission import get_mission

    config = get_mission(mission)[1].model_dump(mode="json")
    assert len(set(_keys(config))) > 200
    assert [key for key in _keys(config) if is_telling(key)] == []


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("api_key='x y' b", "api_key='***' b"),
        ('{"api_key": "x", "api_key_2": 77, "n": 2}', '{"api_key": "***", "api_key_2": "***", "n": 2}'),
        ('{"credentials": {"value": "}", "l": [1]}, "n": 2}', '{"credentials": "***", "n": 2}'),
        (r'"{\"token\": \"x\", \"n\": 1}"', r'"{\"token\": \"***\", \"n\": 1}"'),
        ("Spec(kwargs={'auth': ['a', 'b'], 'n': 3})", "Spec(kwargs={'auth': '***', 'n': 3})"),
        ("password=SecretStr('abc') x", "password=*** x"),
        ("Authorization: Bearer xyz", "Authorization: ***"),
        ("'Authorization: Bearer xyz' -x", "'Authorization: ***' -x"),
        ("sent bearer abcdefgh", "sent bearer ***"),
        ("--api-key abc --n 3", "--api-key *** --n 3"),
        ("class=lstm,kw.api_key=abc,kw.n=1", "class=lstm,kw.api_key=***,kw.n=1"),
        ("a:\n  credentials:\n    value: x\n    l:\n    - 1\n  n: 3\n", "a:\n  credentials: ***\n  n: 3\n"),
        ("api_keys:\n- a\n- b\nn: 1", "api_keys: ***\nn: 1"),
        ("secret: |\n  abc\n  def\nn: 1", "secret: ***\nn: 1"),
        ("pwd: correct horse\nn: 2", "pwd: ***\nn: 2"),
        ("postgres://me:pa/ss@wo@host:5/db", "postgres://***@host:5/db"),
        ("https://tok@host/a https://host/x@y", "https://***@host/a https://host/x@y"),
        ("s3://b/k.pt?X-Amz-Signature=a%2F&se=2024&sp=r&sig=z", "s3://b/k.pt?X-Amz-Signature=***&se=2024&sp=r&sig=***"),
        ("https://h/?AWSAccessKeyId=A&GoogleAccessId=m@x&n=1", "https://h/?AWSAccessKeyId=***&GoogleAccessId=***&n=1"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nn", "***\nn"),
    ],
)
def test_a_text_is_blanked(text: str, clean: str) -> None:
    assert Redactor({}).text(text) == clean
    assert Redactor({}).text(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        '{"tokens_written": 5.0, "token.gained": 5.0, "auth": null}',
        "TokenError: EOF in multi-line statement",
        "auth=true, token=None, secret=",
        "https://github.com/a/b?page=2#x",
        "key: value, monkey=7, author: me",
    ],
)
def test_a_harmless_text_is_left_alone(text: str) -> None:
    assert Redactor({}).text(text) == text


def test_a_tree_is_blanked_as_whole_values() -> None:
    tree = {"credentials": {"value": 1}, "auth": [1, 2], "api_key": 7, "wandb": {"key": "x"}, "key": "a", "token": None}
    blanked = dict.fromkeys(("credentials", "auth", "api_key"), HIDDEN)
    assert Redactor({}).tree(tree) == {**blanked, "wandb": {"key": HIDDEN}, "key": "a", "token": None}


def test_what_is_known_is_blanked_however_it_is_spelled() -> None:
    redact = Redactor({"DATABASE": "db://me:p%40ss/w0rd@host", "X_PAT": "q\"u'o/ü"})
    redact.register("line one is long\nline two is long", 87654321, "true", "abc", "default")
    redact.learn({"policy": {"auth": {"user": "somebody", "n": [12345678]}}})
    for secret in (
        "q\"u'o/ü",
        json.dumps("q\"u'o/ü"),
        repr("q\"u'o/ü"),
        "p%40ss/w0rd",
        "p@ss/w0rd",
        "q%22u%27o%2F%C3%BC",
    ):
        assert HIDDEN in redact.text(f"({secret})")
        assert "ss/w0rd" not in redact.text(f"({secret})") and "q" not in redact.text(f"({secret})")
    assert redact.text("line two is long, somebody, 12345678, 87654321.") == "***, ***, ***, ***."
    assert redact.text("true abc default 1876543210 0.87654321") == "true abc default 1876543210 0.87654321"


@pytest.mark.parametrize(
    ("override", "clean"),
    [
        ("+policy.init_kwargs={api_key:abc,n:1}", "+policy.init_kwargs={api_key:'***',n:1}"),
        ("evaluation.policies=[{class_path:x,auth:[1,2]}]", "evaluation.policies=[{class_path:x,auth:'***'}]"),
        ("~policy.api_key=abc", "~policy.api_key=***"),
        ("++a.token=x,y", "++a.token=***"),
        ("a.note='my api_key=abc here'", "a.note='my api_key=*** here'"),
        ("a.credentials={b:{c:1}}", "a.credentials=***"),
        ("a.api_key='broken", "a.api_key=***"),
        ("optimizer.lr=1e-4,3e-4", "optimizer.lr=1e-4,3e-4"),
        ("~policy.api_key", "~policy.api_key"),
    ],
)
def test_an_override_is_read_before_it_is_blanked(override: str, clean: str) -> None:
    assert override_without_secrets(override) == clean


def test_the_secrets_of_overrides_are_known_from_then_on() -> None:
    learn_overrides(
        ["+a.b={api_key:'from, an override'}", "a.token=choice(first-token,other-token)", "a.pwd='brok,en0"]
    )
    assert redactor().text("<from, an override> <first-token> <other-token>") == "<***> <***> <***>"


def test_a_secret_cannot_be_swept() -> None:
    found = swept_secrets({"+policy.init_kwargs.api_key": ["a", "b"], "policy": [{"auth": 1}], "optimizer.lr": [1, 2]})
    assert [problem.where for problem in found] == ["+policy.init_kwargs.api_key", "policy"]


def test_blanked_values_come_back_from_the_original() -> None:
    original = {"a": {"token": "x"}, "b": [{"auth": 1}], "c": 1}
    assert restored(Redactor({}).tree(original), original) == original


def test_logs_and_streams_pass_a_gate(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    redactor().register("sesame-open-789")
    with guarded():
        try:
            raise ValueError("sesame-open-789")
        except ValueError:
            logging.getLogger("any").exception("it is %s", "sesame-open-789")
        logging.getLogger("any").warning("%d", "sesame-open-789")
        print("it is", "sesame-open-789")
    assert "sesame" not in caplog.text
    assert "ValueError: ***" in caplog.text
    assert capsys.readouterr().out == "it is ***\n"
    stream = io.StringIO()
    print("token=abc", file=redacted(stream))
    assert stream.getvalue() == "token=***\n"


def test_a_log_that_takes_no_more_prints_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    full = logging.FileHandler("/dev/full")
    log = logging.getLogger("full")
    log.addHandler(full)
    try:
        with guarded():
            log.warning("told")
    finally:
        log.removeHandler(full)
        with contextlib.suppress(OSError):
            full.close()
    assert capsys.readouterr().err == ""
    assert logging.raiseExceptions
