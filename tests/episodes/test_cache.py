"""The episode cache: what it serves, what it refuses, who may share it."""

import dataclasses
import json
import logging
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from daf.bridge.policies import code_digest
from daf.episodes.cache import EpisodeCache, cache_summary, clear_cache, default_cache_dir
from daf.episodes.outcomes import Outcome
from daf.episodes.play import Backend, CacheMode, daf_play_episodes
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec

ARENA = MissionSpec(name="cogsguard_arena.basic", cogs=2, max_steps=10)
POLICY = PolicySpec(name="candidate", class_path="random")
PLAN = EpisodePlan(mission=ARENA, policies=(POLICY,), assignments=(0, 0), seed=0)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody's policies play in this process, as in a worker: starting another takes seconds."""
    monkeypatch.setattr("daf.episodes.play.is_worker", lambda: True)


def plans(seeds: range) -> list[EpisodePlan]:
    return [dataclasses.replace(PLAN, seed=seed) for seed in seeds]


def play(
    todo: list[EpisodePlan],
    cache_dir: Path,
    cache: CacheMode = "on",
    *,
    backend: Backend = "official",
    meanwhile: Callable[[], object] = lambda: None,
) -> tuple[list[Outcome], list[bool]]:
    """Plays plans; returns outcomes, and for each of them in order of arrival whether the cache had it.

    Args:
        meanwhile: is called after every episode.
    """
    cached: list[bool] = []

    def on_episode(_: Outcome, from_cache: bool) -> None:
        cached.append(from_cache)
        meanwhile()

    outcomes = daf_play_episodes(todo, backend=backend, cache=cache, cache_dir=cache_dir, on_episode=on_episode)
    return outcomes, cached


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> EpisodeRecord:
    outcome = play([PLAN], tmp_path_factory.mktemp("cache"))[0][0]
    assert isinstance(outcome, EpisodeRecord)
    return outcome


def test_ten_added_to_twenty_plays_ten(tmp_path: Path) -> None:
    first, cached = play(plans(range(20)), tmp_path)
    assert cached == [False] * 20
    again, cached = play(plans(range(30)), tmp_path)
    assert sorted(cached) == [False] * 10 + [True] * 20
    assert again[:20] == first  # wall time included: nobody played them again
    assert len(files(tmp_path)) == 30
    third, cached = play(plans(range(30)), tmp_path)
    assert cached == [True] * 30
    assert third == again


def test_read_writes_nothing_and_off_reads_nothing(tmp_path: Path) -> None:
    assert play(plans(range(1)), tmp_path)[1] == [False]
    assert sorted(play(plans(range(2)), tmp_path, "read")[1]) == [False, True]
    assert len(files(tmp_path)) == 1
    assert play(plans(range(2)), tmp_path, "off")[1] == [False, False]
    assert len(files(tmp_path)) == 1


def test_names_are_those_that_were_asked_for(tmp_path: Path, record: EpisodeRecord) -> None:
    cache = EpisodeCache(tmp_path)
    cache.add(PLAN, record)
    renamed = dataclasses.replace(PLAN, policies=(dataclasses.replace(POLICY, name="champion"),))
    assert cache.find(renamed, "official") == dataclasses.replace(record, policies=("champion",))
    # `standard` changes nothing but the mission's label.
    labelled = dataclasses.replace(PLAN, mission=dataclasses.replace(ARENA, variants=("standard",)))
    found = cache.find(labelled, "official")
    assert found
    assert found.mission != record.mission
    assert found.rewards == record.rewards


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(PLAN, seed=1),
        dataclasses.replace(PLAN, mission=dataclasses.replace(ARENA, max_steps=11)),
        dataclasses.replace(PLAN, policies=(PolicySpec(name="candidate", class_path="noop"),)),
        dataclasses.replace(PLAN, policies=(dataclasses.replace(POLICY, init_kwargs={"vibe_action_p": 0.1}),)),
        dataclasses.replace(PLAN, policies=(POLICY, POLICY), assignments=(0, 1)),
        dataclasses.replace(PLAN, max_action_time_ms=5),
        dataclasses.replace(PLAN, device="cuda"),
    ],
)
def test_whatever_decides_the_outcome_is_in_the_key(tmp_path: Path, record: EpisodeRecord, other: EpisodePlan) -> None:
    cache = EpisodeCache(tmp_path)
    cache.add(PLAN, record)
    assert cache.find(PLAN, "official") == record
    assert cache.find(PLAN, "batched") is None
    assert cache.find(other, "official") is None


def test_versions_are_in_the_key(tmp_path: Path, record: EpisodeRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = EpisodeCache(tmp_path)
    cache.add(PLAN, record)
    monkeypatch.setattr("daf.episodes.cache._versions", lambda: {"cogames": "0.17.2"})
    assert cache.find(PLAN, "official") is None


def test_other_weights_at_the_same_path_are_another_policy(tmp_path: Path) -> None:
    import torch

    from daf.bridge.episode import policy_interface
    from daf.bridge.policies import policy_class

    network = policy_class("stateless")(policy_interface(ARENA)).network()
    weights = tmp_path / "model.pt"
    spec = PolicySpec(name="mine", class_path="stateless", weights=str(weights))
    plan = dataclasses.replace(PLAN, policies=(spec,))
    torch.save(network.state_dict(), weights)
    assert play([plan], tmp_path / "cache")[1] == [False]
    assert play([plan], tmp_path / "cache")[1] == [True]
    for parameter in network.parameters():
        parameter.data.zero_()
    torch.save(network.state_dict(), weights)
    assert play([plan], tmp_path / "cache")[1] == [False]


def test_edited_code_is_another_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    single, package = tmp_path / "daf_test_single.py", tmp_path / "daf_test_package"
    package.mkdir()
    for file in (single, package / "__init__.py", package / "features.py"):
        file.write_text("FACTOR = 1\n")
    before = [code_digest("daf_test_single.Policy"), code_digest("daf_test_package.agent.Policy")]
    for file in (single, package / "features.py"):
        file.write_text("FACTOR = 2\n")
    after = [code_digest("daf_test_single.Policy"), code_digest("daf_test_package.agent.Policy")]
    assert len({*before, *after}) == 4
    assert code_digest("noop") == ""  # its version is in the key


def test_code_that_a_policy_imports_is_a_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package, installed = tmp_path / "daf_test_helpers", tmp_path / "site-packages"
    package.mkdir()
    installed.mkdir()
    monkeypatch.syspath_prepend(installed)
    (tmp_path / "daf_test_importer.py").write_text(
        "import torch, daf_test_installed\nfrom daf_test_sibling import x\nclass Policy:\n    pass\n"
    )
    (tmp_path / "daf_test_sibling.py").write_text("def f():\n    import daf_test_helpers.deep\n")
    (tmp_path / "daf_test_stranger.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "deep.py").write_text("from . import other\nimport daf_test_importer")
    (package / "broken.py").write_text("this is no Python")
    (installed / "daf_test_installed.py").write_text("")

    def changes(file: Path) -> bool:
        before = code_digest("daf_test_importer.Policy")
        file.write_text(f"{file.read_text()}\n# edited\n")
        return code_digest("daf_test_importer.Policy") != before

    for file in (tmp_path / "daf_test_sibling.py", package / "deep.py", package / "broken.py"):
        assert changes(file), file
    for file in (tmp_path / "daf_test_stranger.py", installed / "daf_test_installed.py"):
        assert not changes(file), file


SELF_EDITING = """
from pathlib import Path
from mettagrid.policy.noop import NoopAgentPolicy, NoopPolicy

class Agent(NoopAgentPolicy):
    def step(self, obs):
        Path(__file__).write_text(Path(__file__).read_text() + "# edited")
        return super().step(obs)

class Policy(NoopPolicy):
    def agent_policy(self, agent_id):
        return Agent(self._policy_env_info)
"""


def test_code_that_is_edited_while_it_is_played_is_not_the_edited_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "daf_test_self_editing.py"
    path.write_text(SELF_EDITING)
    plan = dataclasses.replace(PLAN, policies=(PolicySpec(name="p", class_path="daf_test_self_editing.Policy"),))
    assert play([plan], tmp_path / "cache")[1] == [False]
    edited = path.read_text()
    assert edited != SELF_EDITING
    assert play([plan], tmp_path / "cache", "read")[1] == [False]
    path.write_text(SELF_EDITING)
    assert play([plan], tmp_path / "cache", "read")[1] == [True]


def test_a_class_without_a_file_is_played_but_not_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As in a notebook, or in a script's ``__main__``."""
    from mettagrid.policy.noop import NoopPolicy

    module = types.ModuleType("daf_test_notebook")
    module.Policy = type("Policy", (NoopPolicy,), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "daf_test_notebook", module)
    plan = dataclasses.replace(PLAN, policies=(PolicySpec(name="p", class_path="daf_test_notebook.Policy"),))
    for _ in range(2):
        (outcome,), cached = play([plan], tmp_path / "cache")
        assert isinstance(outcome, EpisodeRecord)
        assert cached == [False]
    assert files(tmp_path / "cache") == []
    assert "the code of a policy cannot be found again" in caplog.text


@pytest.mark.parametrize("backend", ["official", "batched"])
def test_weights_that_are_replaced_in_between_file_nothing_under_the_wrong_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, backend: Backend
) -> None:
    import torch

    from daf.bridge.episode import policy_interface
    from daf.bridge.policies import policy_class

    weights, cache = tmp_path / "model.pt", tmp_path / "cache"
    states = []
    for factor in (1.0, 0.0):
        network = policy_class("stateless")(policy_interface(ARENA)).network()
        for parameter in network.parameters():
            parameter.data *= factor
        torch.save(network.state_dict(), weights)
        states.append(weights.read_bytes())
    old, new = states
    weights.write_bytes(old)
    spec = PolicySpec(name="mine", class_path="stateless", weights=str(weights))
    todo = [dataclasses.replace(plan, policies=(spec,)) for plan in plans(range(3))]
    # The official backend loads them for every episode, the batched one once.
    outcomes, _ = play(todo, cache, backend=backend, meanwhile=lambda: weights.write_bytes(new))
    digests = {outcome.policy_digests for outcome in outcomes if isinstance(outcome, EpisodeRecord)}
    if backend == "official":
        assert len(digests) == 2
        assert play(todo, cache, "read")[1] == [True, True, False]
    else:
        assert len(digests) == 1
        assert "weights, or the mission's file, changed" in caplog.text
        assert caplog.text.count("are not being cached") == 1
        assert play(todo, cache, "read", backend=backend)[1] == [False] * 3
    weights.write_bytes(old)
    assert sorted(play(todo, cache, "read", backend=backend)[1]) == [False, False, True]


def test_weights_that_are_replaced_during_an_episode_keep_its_record_out(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.write_text("old")
    module = tmp_path / "daf_test_replacing.py"
    module.write_text("""
from pathlib import Path
from mettagrid.policy.noop import NoopPolicy

class Policy(NoopPolicy):
    def load_policy_data(self, path):
        Path(path).write_text("new")
""")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        spec = PolicySpec(name="p", class_path="daf_test_replacing.Policy", weights=str(weights))
        (outcome,), _ = play([dataclasses.replace(PLAN, policies=(spec,))], tmp_path / "cache")
    assert isinstance(outcome, EpisodeRecord)
    assert weights.read_text() == "new"
    assert files(tmp_path / "cache") == []


def test_a_timed_out_action_keeps_a_record_out(tmp_path: Path, record: EpisodeRecord) -> None:
    EpisodeCache(tmp_path).add(PLAN, dataclasses.replace(record, action_timeouts=(0, 1)))
    assert files(tmp_path) == []


def test_a_plan_that_asks_for_a_replay_gets_one(tmp_path: Path) -> None:
    with_replay = dataclasses.replace(PLAN, replay_dir=str(tmp_path / "replays"))
    assert play([PLAN], tmp_path / "cache")[1] == [False]
    (first,), cached = play([with_replay], tmp_path / "cache")
    assert cached == [False]
    assert isinstance(first, EpisodeRecord)
    assert first.replay_path
    assert play([with_replay], tmp_path / "cache") == ([first], [True])
    assert play([PLAN], tmp_path / "cache") == ([dataclasses.replace(first, replay_path=None)], [True])
    Path(first.replay_path).unlink()
    assert play([with_replay], tmp_path / "cache")[1] == [False]


@pytest.mark.parametrize("damage", ["cut", "empty", "changed", "swapped", "foreign"])
def test_a_damaged_entry_is_reported_and_played_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    (before, _), _ = play(plans(range(2)), tmp_path)
    entry, other = files(tmp_path)
    text = entry.read_text()
    rewards = json.loads(text.splitlines()[1])["rewards"]
    damaged = {
        "cut": text[:-20],
        "empty": "",
        "changed": text.replace(json.dumps(rewards), json.dumps([reward + 1 for reward in rewards])),
        "swapped": other.read_text(),
        "foreign": '{"rewards": [1.0, 1.0]}',
    }[damage]
    assert damaged != text
    entry.write_text(damaged)
    assert (cache_summary(tmp_path).entries, cache_summary(tmp_path).damaged) == (1, 1)
    with caplog.at_level(logging.WARNING):
        (after, _), cached = play(plans(range(2)), tmp_path)
    assert sorted(cached) == [False, True]
    assert str(entry) in caplog.text
    assert isinstance(before, EpisodeRecord)
    assert isinstance(after, EpisodeRecord)
    assert after.rewards == before.rewards
    assert play(plans(range(2)), tmp_path)[1] == [True, True]


def test_two_processes_share_a_cache(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
sys.path[:0] = {[str(Path.cwd()), str(Path(__file__).parent)]!r}
from test_cache import play, plans
outcomes, cached = play(plans(range(20)), Path({str(tmp_path)!r}))
print(len(outcomes), len(cached))
"""
    both = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=100)[0] for process in both] == ["20 20\n"] * 2
    summary = cache_summary(tmp_path)
    assert (summary.entries, summary.damaged, len(files(tmp_path))) == (20, 0, 20)
    assert play(plans(range(20)), tmp_path)[1] == [True] * 20


def test_summary_and_clear(tmp_path: Path, record: EpisodeRecord) -> None:
    cache = EpisodeCache(tmp_path)
    for seed in range(3):
        cache.add(dataclasses.replace(PLAN, seed=seed), dataclasses.replace(record, seed=seed))
    keep = tmp_path / "notes.json"
    keep.touch()
    leftover = files(tmp_path)[0].with_name(".abc.partial")
    leftover.touch()
    summary = cache_summary(tmp_path)
    assert (summary.directory, summary.entries, summary.damaged) == (tmp_path, 3, 0)
    assert summary.bytes == sum(path.stat().st_size for path in files(tmp_path))
    assert summary.by_mission == {record.mission: 3}
    assert summary.by_policy == {"candidate": 3}
    assert clear_cache(tmp_path) == 3
    assert files(tmp_path) == [keep]
    assert cache_summary(tmp_path).entries == clear_cache(tmp_path) == 0
    assert cache_summary(tmp_path / "nowhere").entries == 0


def test_the_default_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "daf" / "episodes"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / ".cache" / "daf" / "episodes"


def test_a_write_that_fails_later_costs_no_episode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with caplog.at_level(logging.WARNING):
        outcomes, _ = play(plans(range(2)), tmp_path)
    assert all(isinstance(outcome, EpisodeRecord) for outcome in outcomes)
    assert caplog.text.count("No space left on device") == 1
