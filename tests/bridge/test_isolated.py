"""Hostile policies, really played by the season's runner in one jail: none gets out, and each is named."""

import os
import pickle
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from daf.bridge.isolated import NOOP, IsolatedEpisode, IsolatedJob, IsolatedPolicy, PlayedEpisode, play_isolated
from daf.bridge.jail import FILES, NETWORK, PROCESSES, Jailed, JailLimits, run_jailed
from daf.records import MissionSpec

AGENTS = 2
HEAD = """
import os, random, subprocess, sys, time
from mettagrid.policy.policy import AgentPolicy, MultiAgentPolicy
from mettagrid.simulator import Action


class Agent(AgentPolicy):
    count = 0

    def step(self, obs):
        Agent.count += 1
        return self.act(Agent.count)

    def act(self, count):
        return Action(name="move_north")


class Policy(MultiAgentPolicy):
    def agent_policy(self, agent_id):
        return Agent(self.policy_env_info)
"""
#: What a policy does, by name; `count` is the number of the action, over both agents.
HOSTILE = {
    "busy": """
        if count == 1:
            print("environment", dict(os.environ))
            for place in os.listdir("/proc"):
                if place.isdigit():
                    try: print("others", open(f"/proc/{place}/environ").read())
                    except OSError: pass
            import ctypes
            runner = os.getppid()
            print("traced", ctypes.CDLL(None, use_errno=True).ptrace(16, runner, 0, 0))
            for name in ("environ", "mem", "fd", "root"):
                try: print("runner's", name, os.listdir(f"/proc/{runner}/{name}") if name in ("fd", "root")
                           else open(f"/proc/{runner}/{name}", "rb").read(1))
                except OSError: pass
            try: print("reached", __import__("socket").create_connection(("192.0.2.1", 80), 1))
            except OSError: pass
            open(os.path.expanduser("~/note"), "w").write("mine")
            open("here", "w").write("mine")
            child = os.fork()
            if child == 0:
                os.setsid()
                time.sleep(99)
            try: os.kill(os.getppid(), 9)
            except OSError: pass
            print("x" * 20_000)
        if count == 3:
            time.sleep(1.5)
        return Action(name="move_north")
    """,
    "raises at step 3": "    if count > 4: raise RuntimeError('I do not like step 3')\n    return Action(name='noop')",
    "garbage": "    return Action(name='fly')",
    "leaves": "    os._exit(7)",
    "sleeps": "    time.sleep(99)",
    "noops": "    return Action(name='noop')",
}


def bundle(folder: Path, act: str, above: str = "") -> Path:
    """An unpacked bundle whose agents do something."""
    folder.mkdir()
    body = textwrap.indent(textwrap.dedent(act).strip("\n"), " " * 8)
    code = HEAD.replace('        return Action(name="move_north")\n', f"{body}\n") + above
    (folder / "hostile.py").write_text(code)
    (folder / "policy_spec.json").write_text('{"class_path": "hostile.Policy"}')
    return folder


class _Code:
    """What runs when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch $HOME/unpickled; echo unpickled",)


def pickled(folder: Path) -> Path:
    """A bundle of CoGames' own class with weights that are a program."""
    folder.mkdir()
    (folder / "weights.pt").write_bytes(pickle.dumps({"w": _Code()}))
    (folder / "policy_spec.json").write_text(
        '{"class_path": "mettagrid.policy.stateless.StatelessPolicy", "data_path": "weights.pt"}'
    )
    return folder


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, PlayedEpisode], Jailed, Path]:
    """All of them, one after the other in one jail, so that each has met what the one before left."""
    folder = tmp_path_factory.mktemp("hostile")
    walls = run_jailed([sys.executable, "-S", "-c", "pass"], JailLimits(seconds=20)).walls
    kill = "os.kill(os.getppid(), 9)"  # where nothing protects the runner, this ends all of them
    forms = {
        name: act if PROCESSES in walls else act.replace(kill, "os.kill(os.getpid(), 0)")
        for name, act in HOSTILE.items()
    }
    bundles = {name: bundle(folder / name.replace(" ", "-"), act) for name, act in forms.items()}
    bundles["raises when loaded"] = bundle(folder / "load", HOSTILE["noops"], "raise ValueError('not here')\n")
    bundles["weights with code"] = pickled(folder / "pickle")
    limits = {"sleeps": 4.0}
    episodes = tuple(
        IsolatedEpisode(
            label=name, assignments=(index,) * AGENTS, seed=5, limit_s=limits.get(name, 120.0), tested=index
        )
        for index, name in enumerate(bundles)
    )
    noop = IsolatedEpisode(label="noop", assignments=(len(bundles),) * AGENTS, seed=5, limit_s=60, local=True)
    job = IsolatedJob(
        mission=MissionSpec(name="cogsguard_arena.basic", cogs=AGENTS, max_steps=4),
        policies=(*(IsolatedPolicy(folder=path) for path in bundles.values()), IsolatedPolicy(class_path=NOOP)),
        episodes=(*episodes, noop),
        latency_ms=1000,
    )
    secret = pytest.MonkeyPatch()
    secret.setenv("MY_API_TOKEN", "not-for-you")
    secret.setenv("HOME", str(folder))
    found, jailed = play_isolated(job, memory_bytes=4 * 2**30)
    secret.undo()
    return {episode.label: episode for episode in found}, jailed, folder


Played = tuple[dict[str, PlayedEpisode], Jailed, Path]


def test_one_that_takes_liberties_gets_nothing_and_each_is_named(played: Played) -> None:
    episodes, jailed, folder = played
    busy = episodes["busy"]
    assert (busy.error_kind, busy.steps) == (None, 4), busy.error
    assert "not-for-you" not in busy.log and "not-for-you" not in jailed.output.decode() + jailed.errors
    named = "; ".join(busy.noticed)
    for attempt in ("it tried to reach 192.0.2.1", "it started another process", "it sent a signal to a process"):
        assert attempt in named
    assert "left 1 processes behind" in named
    assert "it wrote 2 files outside" in named and "home/note" in named and "work/here" in named
    assert "reached" not in busy.log or NETWORK not in jailed.walls
    if FILES in jailed.walls:
        assert "traced -1" in busy.log and "runner's" not in busy.log
        assert not (folder / "note").exists()
    children = [child for child in psutil.Process().children(recursive=True) if child.name().startswith("python")]
    assert not [child for child in children if "isolated" in " ".join(child.cmdline())]


def test_one_that_is_slow_once_is_timed_out_there(played: Played) -> None:
    busy = played[0]["busy"]
    assert sum(busy.timeouts) >= 1
    assert busy.latency is not None and busy.latency.actions == 4 * AGENTS
    assert busy.latency.max_ms >= 1500 and (busy.latency.slowest_step, busy.latency.slowest_agent) in ((0, 0), (1, 0))
    assert busy.latency.p50_ms < 1000


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("raises at step 3", "policy_error", "RuntimeError: I do not like step 3"),
        ("raises when loaded", "policy_error", "ValueError: not here"),
        ("garbage", "policy_error", "returned unknown action Action(name='fly'"),
        ("leaves", "policy_error", "its process ended with exit code 7"),
        ("sleeps", "time", "took too long"),
        ("weights with code", "policy_error", "Weights only load failed"),
    ],
)
def test_one_that_breaks_off_is_named_with_its_reason_and_log(
    played: Played, name: str, kind: str, reason: str
) -> None:
    episode = played[0][name]
    assert (episode.error_kind, episode.steps) == (kind, None)
    assert reason in episode.error
    assert episode.log or name == "sleeps"


def test_one_that_only_noops_is_seen_to(played: Played) -> None:
    stats = played[0]["noops"].stats["agent"]
    assert [sorted(name for name in agent if name.startswith("action.")) for agent in stats] == [
        ["action.noop.success"]
    ] * AGENTS


def test_noop_is_played_beside_them_as_the_season_would(played: Played) -> None:
    """Here without servers: what it scores must not depend on that."""
    local, served = played[0]["noop"], played[0]["noops"]
    assert local.rewards == served.rewards
    own = {name for name in served.stats["game"] if not name.startswith("tokens_")}
    assert {n: local.stats["game"][n] for n in own} == {n: served.stats["game"][n] for n in own}
    assert local.stats["agent"] == served.stats["agent"]


def test_nobody_ended_the_rest(played: Played) -> None:
    episodes, jailed, _ = played
    assert list(episodes) == [*HOSTILE, "raises when loaded", "weights with code", "noop"]
    assert "unpickled" not in episodes["weights with code"].log + "".join(episodes["weights with code"].noticed)
    assert jailed.broken is None and (jailed.returncode == 0 or PROCESSES not in jailed.walls)
    assert jailed.survivors == 0 or PROCESSES not in jailed.walls
