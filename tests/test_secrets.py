"""Secrets of all kinds in all places where a user may put one: none is found again, and the policy gets its own."""

import hashlib
import html
import json
import os
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest
import yaml

import daf.run
from daf.config import DAFConfig, daf_load_config, daf_save_config
from daf.errors import DAFConfigError
from daf.redaction import redactor
from tests.conftest import TINY

MARK = "Pl4nted"

PLANTED = """
import hashlib, json, logging, os, random, sys, warnings
from cogames.cli.mission import get_mission
from mettagrid.policy.noop import NoopPolicy
from daf.results import TaskResult

MINE = "MARK-in-the-mission-file"

def known(kwargs):
    return hashlib.sha256(json.dumps(kwargs, sort_keys=True).encode()).hexdigest()

class Planted(NoopPolicy):
    short_names = None
    def __init__(self, policy_env_info, device="cpu", digest="", fails=False, n=0, **kwargs):
        super().__init__(policy_env_info)
        if known(kwargs) != digest:
            raise SystemError("the policy did not get what it was given")
        self.told = kwargs
        self.fails = fails
        print("printed", kwargs, file=sys.stdout)
        print("printed", json.dumps(kwargs), file=sys.stderr)
        logging.getLogger("planted").warning("logged %s", kwargs)
        warnings.warn(f"warned {kwargs}")
    def agent_policy(self, agent_id):
        if self.fails and random.random() < 0.5:
            raise RuntimeError(f"refused {self.told['plain']} and {self.told} and {dict(os.environ)}")
        return super().agent_policy(agent_id)

def get_config():
    logging.getLogger("planted").warning("mission token=%s", MINE)
    return get_mission("cogsguard_arena.basic", cogs=2, steps=20)[1]

def task(config, tracker):
    told = config.policy.init_kwargs
    tracker.set_tags({"mlflow.note.content": f"note {told}", "auth": told["plain"]})
    tracker.log_params({"found": told, told["plain"]: 1})
    tracker.log_metrics({f"metric {told['plain']}": 1.0, "objective": 1.0})
    (tracker.output_dir / "mine.json").write_text(json.dumps(told))
    tracker.log_file(tracker.output_dir / "mine.json")
    tracker.warn(f"warned {told}")
    return TaskResult(objective=float(config.seed), notes=(f"noted {told}", f"in {config.policy.weights}"))
""".replace("MARK", MARK)


def words(text: str) -> list[str]:
    return text.split()


def secret(name: str) -> str:
    """A text that nobody else has."""
    return f"{MARK}-{name}"


def arguments() -> dict[str, Any]:
    """What the policy is given: secrets of every type under telling keys, and one that another key repeats."""
    names = words(
        "pwd passwd auth bearer token token_value api_key api_key_2 apiKey client_secret signature private-key jwt "
        "cookie access_tokens db_pass aws_secret_access_key passphrase ssh_key github_pat login.password creds otp "
        "apikey accessToken refresh_token secretKey signing_key X-Auth-Token db.password smtp_password client-secret "
        "session_key wandb_key"
    )
    odd = {"password": "a b/\"c'@%=,;{é}\\", "auth_token": "x://u:p@h?token=1"}
    return {
        **{name: secret(name) for name in names},
        **{name: secret(name + text) for name, text in odd.items()},
        "credentials": {"value": secret("deep"), "list": [secret("list"), {"user": secret("deeper")}], "n": 48484848},
        "secrets": [secret("first"), secret("second")],
        "wandb": {"key": secret("parent")},
        "plain": f"see {secret('token')}",
        "address": f"https://me:{secret('p/q@r')}@host/x?X-Amz-Signature={secret('signed')}&sig={secret('sas')}&se=1",
        "headers": {"Authorization": f"Bearer {secret('header')}", "text": f"Cookie: {secret('line')}"},
        "notation": f"class=x,kw.api_key={secret('notation')}",
    }


VARIABLES = "A_TOKEN A_PASS A_KEY A_PAT A_PWD A_SECRET AWS_SECRET_ACCESS_KEY MYSQL_PASSWORD HF_TOKEN GH_PAT SSH_KEY"
ENVIRONMENT = {
    **{name: secret(name) for name in words(VARIABLES)},
    "DATABASE_URL": f"postgres://me:{secret('in/env@url')}@host/x",
}


def digest_of(kwargs: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(kwargs, sort_keys=True).encode()).hexdigest()


@pytest.fixture
def folder(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with a policy, a mission and a task of their own, and an experiment that holds secrets."""
    own = tmp_path / "own"
    (own / "conf" / "experiment").mkdir(parents=True)
    (own / "planted.py").write_text(PLANTED)
    told = arguments()
    policy = {"class_path": "planted.Planted", "init_kwargs": {**told, "digest": digest_of(told), "fails": False}}
    listed = {"token": secret("in-a-list")}
    baseline = f"class=planted.Planted,name=also,kw.token={listed['token']},kw.digest={digest_of(listed)}"
    experiment = {
        "policy": policy,
        "mission": {"name": "planted.py", "cogs": None, "max_steps": None},
        "evaluation": {"baselines": [baseline]},
    }
    (own / "conf" / "experiment" / "planted.yaml").write_text(
        "# @package _global_\n" + yaml.safe_dump(experiment, allow_unicode=True)
    )
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(own)
    monkeypatch.syspath_prepend(str(own))
    return own


def options(store: str) -> list[str]:
    own = ["experiment=planted", "mission.cogs=null", "mission.max_steps=null", "evaluation.cache=on"]
    return [*TINY[:1], "evaluation.episodes=2", "evaluation.workers=1", *own, f"tracking.uri={store}"]


def everything_written(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below the test's folder but those that the secrets were planted in, and every name of one."""
    root = folder.parent
    for path in root.rglob("*"):
        if (
            path.is_file()
            and path.parent != folder / "conf" / "experiment"
            and path.stem.partition(".")[0] != "planted"
        ):
            content = path.read_bytes()
            yield str(path), zlib.decompress(content) if path.suffix == ".z" else content
        yield f"the name {path}", str(path.relative_to(root)).encode()


def found_in(content: bytes) -> list[str]:
    """What of the planted secrets stands in some bytes, in any spelling."""
    text = content.decode("utf-8", errors="replace")
    marks = {MARK, "48484848", "p/q@r", quote("p/q@r", safe=""), "in/env@url", html.escape("c'@%=,;{")}
    return [text[max(0, text.find(mark) - 60) : text.find(mark) + 60] for mark in sorted(marks) if mark in text]


def leaks(folder: Path, *told: str) -> dict[str, list[str]]:
    """Where secrets are found, in files or in what was told on the terminal."""
    places = [*everything_written(folder), *((f"terminal {i}", text.encode()) for i, text in enumerate(told))]
    return {place: found for place, content in places if (found := found_in(content))}


def run(monkeypatch: pytest.MonkeyPatch, *asked: str) -> int:
    monkeypatch.setattr("sys.argv", ["daf_run", "--config-dir", "conf", *asked])
    with pytest.raises(SystemExit) as ended:
        daf.run.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_as_many_are_planted_as_was_promised() -> None:
    def leaves(node: Any) -> Iterator[Any]:
        for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from leaves(item)
        if isinstance(node, str | int):
            yield node

    assert len([*leaves(arguments()), *ENVIRONMENT]) >= 60


def test_an_evaluation_leaves_none(
    folder: Path, store: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    more = [f"+tracking.token={secret('no-such-key')}"]
    assert run(monkeypatch, "task=evaluate", *options(store), "output_dir=refused", *more) == 2
    assert not (folder / "refused").exists()
    kwargs = f"+policy.init_kwargs={{api_key_3: '{secret('given, here')}', auth2: [{secret('as')}, 1]}}"
    told = {**arguments(), "api_key_3": secret("given, here"), "auth2": [secret("as"), 1]}
    asked = [*options(store), kwargs, f"policy.init_kwargs.digest={digest_of(told)}"]
    assert run(monkeypatch, "task=evaluate", *asked, "output_dir=out", "evaluation.replays=1") == 0
    few = ["evaluation.baselines=[noop]", "evaluation.backend=official", "evaluation.episodes=4"]
    failing = [*asked, "policy.init_kwargs.fails=true", "hydra.output_subdir=.hydra", "hydra.verbose=true"]
    assert run(monkeypatch, "task=evaluate", *failing, "output_dir=failed", *few) == 1
    assert "RuntimeError: refused see ***" in (folder / "failed" / "evaluation" / "failures.txt").read_text()
    own = ["task=evaluate", "task.name=planted", "task.function=planted.task", "output_dir=mine"]
    assert run(monkeypatch, *asked, *own) == 0
    assert run(monkeypatch, "task=evaluate", *asked, "--cfg", "all") == 0
    told_out, told_err = capfd.readouterr()
    assert "noted" in told_out and "planted.Planted" in told_out
    assert yaml.safe_load((folder / "out" / "config.yaml").read_text())["policy"]["init_kwargs"]["auth"] == "***"
    assert "+policy.init_kwargs={api_key_3:'***',auth2:'***'}" in yaml.safe_load(
        (folder / "out" / "overrides.yaml").read_text()
    )
    assert not list(folder.rglob(".hydra"))
    assert leaks(folder, told_out, told_err) == {}


def test_a_multirun_of_hydras_leaves_none(
    folder: Path, store: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    own = ["task=evaluate", "task.name=planted", "task.function=planted.task"]
    own += ["hydra/sweeper=basic", "hydra.output_subdir=.hydra"]
    asked = ["-m", *options(store), *own, "hydra.sweep.dir=many"]
    assert run(monkeypatch, *asked, "seed=1,2", f"+policy.init_kwargs.more={secret('token')}") == 2
    assert run(monkeypatch, *asked, f"+policy.init_kwargs.otp={secret('one')},{secret('two')}") == 2
    assert run(monkeypatch, *asked, "seed=1,2") == 0
    told = capfd.readouterr()
    assert "a secret cannot be swept" in told.err
    assert "'***'" in (folder / "many" / "multirun.yaml").read_text()
    assert (folder / "many" / "1" / "config.yaml").is_file()
    assert not list(folder.rglob(".hydra"))
    assert leaks(folder, *told) == {}


class _ProcessList(threading.Thread):
    """What stood in the process list while a command ran: the arguments of it and of all its children."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        super().__init__(daemon=True)
        self._of = psutil.Process(process.pid)
        self.seen: dict[int, str] = {}
        self.start()

    def run(self) -> None:
        while self._of.is_running() and self._of.status() != psutil.STATUS_ZOMBIE:
            try:
                for process in [self._of, *self._of.children(recursive=True)]:
                    self.seen[process.pid] = " ".join(process.cmdline())
            except psutil.Error:
                continue
            time.sleep(0.1)


@pytest.mark.slow
def test_a_sweep_of_the_command_line_leaves_none(folder: Path, store: str) -> None:
    sweep = ["-m", "task=evaluate", *options(store), "policy.init_kwargs.fails=false,true", "sweep.max_failure_rate=1"]
    sweep += ["sweep.name=planted-sweep", "sweep.confirm=off", "sweep.max_retries=0", "output_dir=swept"]
    sweep += ["evaluation.backend=official", "evaluation.episodes=4"]
    process = subprocess.Popen(
        [sys.executable, "-m", "daf.run", "--config-dir", "conf", *sweep],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{Path(daf.run.__file__).parents[1]}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    listed = _ProcessList(process)
    told = process.communicate(timeout=500)
    assert process.returncode == 0, told
    listed.join()
    assert len(listed.seen) >= 2
    journal = (folder.parent / "studies").glob("*.journal")
    assert any('"api_key":"***"' in path.read_text() for path in journal)
    assert "refused see ***" in "".join(path.read_text() for path in folder.rglob("traceback.txt"))
    assert leaks(folder, *told, *listed.seen.values()) == {}


def test_a_secret_in_the_place_of_a_choice_is_refused(
    folder: Path, store: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    swept = f"policy.init_kwargs.token={secret('choice-1')},{secret('choice-2')}"
    assert run(monkeypatch, "-m", "task=evaluate", *options(store), swept, "output_dir=swept") == 2
    told = capfd.readouterr()
    assert "policy.init_kwargs.token - a secret cannot be swept" in told.err
    assert not (folder / "swept").exists()
    assert leaks(folder, *told) == {}


def test_a_config_is_written_without_and_says_so_when_it_is_read(tmp_path: Path, tiny: Any) -> None:
    config: DAFConfig = tiny("policy=noop", f"+policy.init_kwargs.api_key={secret('saved')}")
    for name in ("config.yaml", "config.json"):
        path = daf_save_config(config, tmp_path / name)
        assert found_in(path.read_bytes()) == []
        with pytest.raises(DAFConfigError, match=r"policy.init_kwargs.api_key - was blanked"):
            daf_load_config(path)
        again = daf_load_config(path, [f"+policy.init_kwargs.api_key={secret('saved')}"])
        assert again.policy == config.policy
    assert redactor().text(secret("saved")) == "***"
