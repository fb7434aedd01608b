"""What a policy reads is a part of what it is: the cache serves nothing that was played with something else."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from daf.bridge.file_digests import MOST_FILES, path_digest
from daf.bridge.reads import current_value, reads_of, watching
from daf.episodes.cache import EpisodeCache
from daf.episodes.play import daf_play_episodes
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec

ARENA = MissionSpec(name="cogsguard_arena.basic", cogs=2, max_steps=5)
HEAD = """
import importlib, json, os, pathlib, socket, subprocess, sys, tempfile, ctypes
from mettagrid.policy.noop import NoopAgentPolicy, NoopPolicy
HERE = pathlib.Path(__file__).parent
"""
BODY = """
class Agent(NoopAgentPolicy):
    def step(self, obs):
        {step}
        return super().step(obs)

class Policy(NoopPolicy):
    def __init__(self, info, device="cpu", **kwargs):
        super().__init__(info, device=device)
        {init}

    def agent_policy(self, agent_id):
        return Agent(self._policy_env_info)
"""


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """These policies play in this process: they do no harm, and starting another takes seconds."""
    monkeypatch.setattr("daf.episodes.play.is_worker", lambda: True)
    monkeypatch.syspath_prepend(tmp_path)


@dataclass(frozen=True)
class Played:
    """A policy of this test, and the folder in which it lies."""

    folder: Path
    plan: EpisodePlan

    def cached(self) -> bool:
        """Plays, or takes from the cache; whether it was there."""
        came: list[bool] = []
        (outcome,) = daf_play_episodes(
            [self.plan],
            backend="official",
            cache="on",
            cache_dir=self.folder / "cache",
            on_episode=lambda _, cached: came.append(cached),
        )
        assert isinstance(outcome, EpisodeRecord), outcome
        return came[0]


Make = Callable[..., Played]


@pytest.fixture
def make(tmp_path: Path, request: pytest.FixtureRequest) -> Make:
    """Writes a policy into a module of its own."""

    def write(*, top: str = "", step: str = "pass", init: str = "pass", **kwargs: object) -> Played:
        name = f"daf_test_reads_{abs(hash((request.node.name, top, step, init)))}"
        (tmp_path / f"{name}.py").write_text(HEAD + top + BODY.format(step=step, init=init))
        spec = PolicySpec(name="reader", class_path=f"{name}.Policy", init_kwargs=kwargs)
        return Played(tmp_path, EpisodePlan(mission=ARENA, policies=(spec,), assignments=(0, 0), seed=0))

    return write


@pytest.mark.parametrize(
    "code",
    [
        {"step": "os.environ.get('DAF_TEST_MODE')"},
        {"step": "os.getenv('DAF_TEST_MODE', 'x')"},
        {"step": "'DAF_TEST_MODE' in os.environ"},
        {"init": "os.environb.get(b'DAF_TEST_MODE')"},
        {"init": "os.path.expandvars('$DAF_TEST_MODE')"},
        {"top": "MODE = os.environ['DAF_TEST_MODE']"},
    ],
    ids=lambda code: next(iter(code.values())),
)
def test_a_variable_that_is_read_is_a_part_of_the_key(
    make: Make, monkeypatch: pytest.MonkeyPatch, code: dict[str, str]
) -> None:
    monkeypatch.setenv("DAF_TEST_MODE", "a")
    monkeypatch.setenv("DAF_TEST_OTHER", "a")
    played = make(**code)
    assert [played.cached(), played.cached()] == [False, True]
    monkeypatch.setenv("DAF_TEST_OTHER", "b")
    assert played.cached()
    monkeypatch.setenv("DAF_TEST_MODE", "b")
    assert not played.cached()
    if "top" not in code:  # this process has read it once and for all
        assert played.cached()
        monkeypatch.delenv("DAF_TEST_MODE")
        assert not played.cached()
    monkeypatch.setenv("DAF_TEST_MODE", "a")
    assert played.cached()


FILE_READS = {
    "beside its module": {"step": "(HERE / 'data.json').read_text()"},
    "where it stands": {"step": "open('data.json').close()"},
    "if it is there": {"init": "(HERE / 'data.json').exists() and open(HERE / 'data.json').read()"},
    "low level": {"init": "os.close(os.open(HERE / 'data.json', os.O_RDONLY))"},
    "imported by name": {
        "init": "importlib.import_module('daf_test_helper_by_name')",
        "file": "daf_test_helper_by_name.py",
    },
    "imported by path": {
        "init": "spec = importlib.util.spec_from_file_location('daf_test_by_path', HERE / 'by_path.py');"
        " spec.loader.exec_module(importlib.util.module_from_spec(spec))",
        "top": "import importlib.util",
        "file": "by_path.py",
    },
    "listed": {"step": "os.listdir(HERE / 'sub')", "file": "sub/new"},
}


@pytest.mark.parametrize("kind", FILE_READS)
def test_a_file_that_is_read_is_a_part_of_the_key(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    code = dict(FILE_READS[kind])
    file = tmp_path / code.pop("file", "data.json")
    file.parent.mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path)
    file.write_text("1")
    played = make(**code)
    assert [played.cached(), played.cached()] == [False, True]
    (tmp_path / "unrelated.json").write_text("1")
    assert played.cached()
    if kind == "listed":
        file.unlink()
    else:
        file.write_text("2")
    assert not played.cached()
    file.write_text("1")
    assert played.cached()


def test_a_file_that_was_missing_matters_once_it_is_there(make: Make, tmp_path: Path) -> None:
    played = make(init="import contextlib\n        with contextlib.suppress(OSError): open(HERE / 'extra.json')")
    assert [played.cached(), played.cached()] == [False, True]
    (tmp_path / "extra.json").write_text("1")
    assert not played.cached()


def test_what_an_argument_names_is_a_part_of_the_key(make: Make, tmp_path: Path) -> None:
    table, folder = tmp_path / "table.bin", tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    for file in (table, folder / "deep" / "weights"):
        file.write_text("1")
    played = make(table=str(table), nested={"list": [str(folder)]}, text="x" * 5000, bad="a\0b")
    assert [played.cached(), played.cached()] == [False, True]
    for file in (table, folder / "deep" / "weights"):
        file.write_text("2")
        assert not played.cached()
        assert played.cached()


def test_every_file_of_the_package_counts_behind_links_too(tmp_path: Path) -> None:
    package, elsewhere = tmp_path / "daf_test_linked_package", tmp_path / "elsewhere"
    for folder in (package, elsewhere, package / "__pycache__", package / "outputs"):
        folder.mkdir()
    (package / "linked").symlink_to(elsewhere, target_is_directory=True)
    (elsewhere / "back").symlink_to(package, target_is_directory=True)
    code = HEAD + BODY.format(step="pass", init="pass")
    for file in (package / "__init__.py", elsewhere / "table.bin"):
        file.write_text("")
    (package / "agent.py").write_text(code)
    spec = PolicySpec(name="p", class_path="daf_test_linked_package.agent.Policy")
    played = Played(tmp_path, EpisodePlan(mission=ARENA, policies=(spec,), assignments=(0, 0), seed=0))
    assert [played.cached(), played.cached()] == [False, True]
    (package / "outputs" / "episodes.jsonl").write_text("1")
    assert played.cached()
    (elsewhere / "table.bin").write_text("2")
    cache = EpisodeCache(tmp_path / "cache")
    assert cache.find(played.plan, "official") is None


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("socket.socket().connect_ex(('127.0.0.1', 9))", "it uses the network"),
        ("socket.getaddrinfo('127.0.0.1', 9)", "it uses the network"),
        ("subprocess.run(['true'])", "it starts other processes"),
        ("os.system('true')", "it starts other processes"),
        ("dict(os.environ)", "it reads the whole environment"),
        (
            "fifo = tempfile.mkdtemp() + '/f'; os.mkfifo(fifo); os.close(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK))",
            "no file",
        ),
    ],
)
def test_what_nobody_can_compare_is_not_cached_and_the_user_told(
    make: Make, caplog: pytest.LogCaptureFixture, code: str, reason: str
) -> None:
    played = make(init=code)
    with caplog.at_level(logging.WARNING):
        assert [played.cached(), played.cached()] == [False, False]
    assert reason in caplog.text
    assert "reader" in caplog.text


def test_what_a_policy_wrote_itself_does_not_matter(make: Make) -> None:
    code = (
        "with tempfile.TemporaryDirectory() as folder:\n"
        "            (pathlib.Path(folder) / 'a').write_text('1')\n"
        "            os.rename(folder + '/a', folder + '/b')\n"
        "            (pathlib.Path(folder) / 'b').read_text(); os.listdir(folder)\n"
        "        os.environ['DAF_TEST_SET_HERE'] = '1'; os.environ.pop('DAF_TEST_SET_HERE')"
    )
    played = make(step=code)
    assert [played.cached(), played.cached()] == [False, True]


def test_cogames_own_policies_are_not_watched_and_nothing_stays_behind(make: Make) -> None:
    environment = type(os.environ)
    with watching(["mettagrid.policy.noop.NoopPolicy"]):
        assert type(os.environ) is environment
    make(step="os.environ.get('X')").cached()
    assert type(os.environ) is environment
    assert reads_of(["mettagrid.policy.noop.NoopPolicy"]).values == {}


def test_a_damaged_entry_in_a_chain_of_reads_is_played_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    played = make(step="os.environ.get('DAF_TEST_MODE')")
    for mode in "ab":
        monkeypatch.setenv("DAF_TEST_MODE", mode)
        assert [played.cached(), played.cached()] == [False, True]
    entries = sorted((played.folder / "cache").rglob("*.json"))
    assert len(entries) == 2
    for content in (b"", b"\xff\xfe", b'{"key": 1}\n{}', entries[0].read_bytes()[:-9], b"[]\n[]", b"\0" * 300):
        for entry in entries:
            entry.write_bytes(content)
        assert [played.cached(), played.cached()] == [False, True]
    for entry in entries:
        entry.unlink(missing_ok=True)
        entry.mkdir()
    assert not played.cached()


def test_digests_of_folders_are_bounded_and_follow_changes(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(3):
        (folder / str(number)).write_text("1")
    before = path_digest(folder)
    (folder / "2").write_text("2")
    after = path_digest(folder)
    assert len({before, after}) == 2
    (folder / "2").rename(folder / "3")
    assert path_digest(folder) != after
    assert path_digest(tmp_path / "nothing") is None
    assert current_value(f"file {tmp_path / 'nothing'}") is None
    assert MOST_FILES <= 10_000
