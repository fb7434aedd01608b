"""Plays episodes as the season does: a policy server, the simulator in a child, and WebSockets in between.

``python -m daf.bridge.isolated`` runs inside `daf.bridge.jail`, reads a job from standard input and writes a JSON line
for every episode as it ends. Nothing of a policy is ever loaded in the process of `play_isolated` or in this one.
"""

import contextlib
import dataclasses
import json
import logging
import math
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TextIO

import psutil

from daf.bridge import telltale
from daf.bridge.jail import Jailed, JailLimits, hide_from_others, living, run_jailed
from daf.bridge.mission_names import is_mission_file
from daf.records import MissionSpec

if TYPE_CHECKING:
    from mettagrid import MettaGridConfig
    from mettagrid.runner.policy_server.manager import LocalPolicyServerHandle
    from mettagrid.runner.types import PureSingleEpisodeResult

NOOP = "mettagrid.policy.noop.NoopPolicy"
#: Of an agent's log the end is kept, which is where it says what went wrong.
LOG_BYTES = 64 * 1024
MOST_NAMED = 20
START_S = 120.0
SERVER = "mettagrid.runner.policy_server.server"
ERROR_LINE = re.compile(
    r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Iteration)\b.*$|returned unknown action .*$", re.M
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class IsolatedPolicy:
    """A policy as the season's runner takes it.

    Attributes:
        folder: an unpacked bundle, which is copied into the jail; or None.
        class_path: of a policy that is installed, where there is no bundle.
    """

    folder: Path | None = None
    class_path: str = ""


@dataclass(frozen=True, kw_only=True)
class IsolatedEpisode:
    """One episode to be played.

    Attributes:
        label: names it among the others of a job.
        assignments: for each agent the index of its policy.
        limit_s: seconds after which it is ended.
        tested: index of the policy whose latency, log and attempts are told.
        local: whether it is played without servers, in the jail's first process: CoGames' own policies only.
    """

    label: str
    assignments: tuple[int, ...]
    seed: int
    limit_s: float
    tested: int = 0
    local: bool = False


@dataclass(frozen=True, kw_only=True)
class IsolatedJob:
    """Episodes of one mission that are played one after the other in one jail.

    Attributes:
        policies: whom the episodes' assignments index.
        latency_ms: longest time for one action, after which the runner takes noop instead and counts a timeout.
        trusted: whether files of weights may be pickles of anything.
    """

    mission: MissionSpec
    policies: tuple[IsolatedPolicy, ...]
    episodes: tuple[IsolatedEpisode, ...]
    latency_ms: int
    trusted: bool = False


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Times of single actions of the policy under test in milliseconds, as the simulator waited for them.

    Attributes:
        slowest_step, slowest_agent: where `max_ms` was measured.
    """

    actions: int
    p50_ms: float
    p95_ms: float
    max_ms: float
    slowest_step: int
    slowest_agent: int


@dataclass(frozen=True, kw_only=True)
class PlayedEpisode:
    """What became of one episode.

    Attributes:
        error_kind: ``policy_error``, ``config_error``, ``time`` or ``unknown``, or None where it was played.
        error: why, in a sentence.
        steps: that were played; None after an error.
        rewards, timeouts: for every agent.
        stats: ``{"game": {...}, "agent": [{...}, ...]}``.
        latency: None where nothing acted, or where the episode was local.
        log: the end of the log of the policy under test.
        noticed: what it tried that it must not do, left behind, or wrote, in sentences.
        exit_code: with which its server had ended by itself, or None.
    """

    label: str
    seed: int
    assignments: tuple[int, ...]
    error_kind: str | None = None
    error: str = ""
    steps: int | None = None
    rewards: tuple[float, ...] = ()
    timeouts: tuple[int, ...] = ()
    stats: dict[str, Any] = dataclasses.field(default_factory=dict)
    latency: Latency | None = None
    log: str = ""
    noticed: tuple[str, ...] = ()
    exit_code: int | None = None


def play_isolated(
    job: IsolatedJob, *, memory_bytes: int, stop: threading.Event | None = None
) -> tuple[list[PlayedEpisode], Jailed]:
    """Plays a job's episodes in a jail; those that it did not come to have ``error_kind`` set as well.

    Args:
        memory_bytes: that each policy's process may allocate.
        stop: ends it, from another thread.
    """
    copies = {f"policies/{i}": p.folder for i, p in enumerate(job.policies) if p.folder is not None}
    mission = job.mission
    if is_mission_file(mission.name):
        name = f"mission/{Path(mission.name).name}"
        copies[name] = Path(mission.name).absolute()
        mission = dataclasses.replace(mission, name=name)
    switches = {} if job.trusted else {"TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1"}
    jailed = run_jailed(
        [sys.executable, "-m", "daf.bridge.isolated"],
        JailLimits(
            seconds=START_S + sum(episode.limit_s for episode in job.episodes),
            memory_bytes=memory_bytes,
            total_bytes=(len(job.policies) + 2) * memory_bytes,
        ),
        copies=copies,
        given=json.dumps(asdict(dataclasses.replace(job, mission=mission)), default=str).encode(),
        environment={"EPISODE_RUNNER_USE_ISOLATED_VENVS": "0", **switches},
        stop=stop,
    )
    played = [_episode(json.loads(line)) for line in jailed.output.splitlines() if line.startswith(b"{")]
    missing = job.episodes[len(played) :]
    return [*played, *(_unplayed(episode, jailed) for episode in missing)], jailed


def _episode(told: dict[str, Any]) -> PlayedEpisode:
    latency = told.pop("latency")
    return PlayedEpisode(**_tuples(told), latency=Latency(**latency) if latency else None)


def _unplayed(episode: IsolatedEpisode, jailed: Jailed) -> PlayedEpisode:
    """An episode that did not end, because the whole jail did."""
    if jailed.broken:
        kind, why = ("time" if jailed.broken == "time" else "policy_error"), f"all of it used too much {jailed.broken}"
    elif jailed.returncode is None:
        kind, why = "policy_error", "the process that watches over it was killed"
    elif jailed.returncode < 0:
        kind, why = "policy_error", f"the season's runner was killed (signal {-jailed.returncode})"
    else:
        ends = f"the season's runner ended with exit code {jailed.returncode}"
        kind, why = "unknown", f"{ends}: {_reason(jailed.errors) or 'it says nothing'}"
    return PlayedEpisode(
        label=episode.label, seed=episode.seed, assignments=episode.assignments, error_kind=kind, error=why,
        log=jailed.errors[-LOG_BYTES:],
    )  # fmt: skip


def _reason(log: str) -> str:
    """The last line of a log that names an error."""
    found = ERROR_LINE.findall(log)
    return found[-1].strip()[:500] if found else ""


def main() -> None:
    """Plays the job on standard input, inside the jail."""
    hide_from_others()
    told = os.fdopen(os.dup(1), "w")  # os.dup is not inheritable: no policy gets hold of it
    os.dup2(2, 1)
    given = json.load(sys.stdin)
    job = IsolatedJob(
        mission=MissionSpec(**_tuples(given["mission"])),
        policies=tuple(IsolatedPolicy(**policy) for policy in given["policies"]),
        episodes=tuple(IsolatedEpisode(**_tuples(episode)) for episode in given["episodes"]),
        latency_ms=given["latency_ms"],
    )
    player = _Player(job, Path(os.environ["TMPDIR"]))
    for episode in job.episodes:
        _tell(told, player.play(episode))


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _tell(told: TextIO, played: PlayedEpisode) -> None:
    told.write(json.dumps(asdict(played)) + "\n")
    told.flush()


class _Player:
    """Plays episodes in this process's jail."""

    def __init__(self, job: IsolatedJob, inside: Path) -> None:
        if is_mission_file(job.mission.name):
            job = dataclasses.replace(
                job, mission=dataclasses.replace(job.mission, name=str(inside / job.mission.name))
            )
        self.job, self.inside = job, inside
        # mettagrid's own log lines, beside a handler of the root logger, would be printed twice.
        logging.basicConfig(level=logging.WARNING)
        from daf.bridge.missions import build_mission

        self.config = build_mission(job.mission)[1]

    def play(self, episode: IsolatedEpisode) -> PlayedEpisode:
        blank = PlayedEpisode(label=episode.label, seed=episode.seed, assignments=episode.assignments)
        if episode.local:
            return dataclasses.replace(blank, **_facts(self._locally(episode)))
        trace = self.inside / "debug" / "trace.json"
        trace.unlink(missing_ok=True)
        ours = [agent for agent, index in enumerate(episode.assignments) if index == episode.tested]
        with _kept_servers() as servers, _ended_after(episode.limit_s) as late:
            try:
                facts = _facts(self._isolated(episode))
            except Exception as error:  # whatever a policy does to the runner
                facts = {"error": str(error), "error_kind": _kind(error)}
        latency = _latency(trace, ours)
        server = servers.get(self._uri(episode.tested), _Server())
        log = server.log or str(facts.get("error", ""))
        if "error_kind" in facts:
            facts |= _explained(facts, server, late.is_set(), latency, self.job.latency_ms)
        noticed = (*server.noticed, *_left_behind(), *self._written())
        return dataclasses.replace(
            blank, **facts, latency=latency, log=log[-LOG_BYTES:], noticed=noticed, exit_code=server.exit_code
        )

    def _isolated(self, episode: IsolatedEpisode) -> "PureSingleEpisodeResult":
        from mettagrid.runner.episode_runner import run_episode_isolated
        from mettagrid.runner.types import EpisodeSpec

        spec = EpisodeSpec(
            policy_uris=[self._uri(index) for index in range(len(self.job.policies))],
            assignments=list(episode.assignments),
            env=self.config,
            seed=episode.seed,
            max_action_time_ms=self.job.latency_ms,
        )
        return run_episode_isolated(spec, self.inside / "result.json", debug_dir=self.inside / "debug")

    def _uri(self, index: int) -> str:
        policy = self.job.policies[index]
        if policy.folder is None:
            return f"mock://{policy.class_path}"
        return (self.inside / "policies" / str(index)).as_uri()

    def _locally(self, episode: IsolatedEpisode) -> "PureSingleEpisodeResult":
        """The same episode without servers: the same configuration, which has been JSON in between."""
        from mettagrid.policy.loader import load_symbol
        from mettagrid.policy.policy_env_interface import PolicyEnvInterface
        from mettagrid.runner.rollout import resolve_env_for_seed, single_episode_rollout

        config = resolve_env_for_seed(self._travelled(), episode.seed)
        interface = PolicyEnvInterface.from_mg_cfg(config)
        policies = [load_symbol(policy.class_path)(interface) for policy in self.job.policies if not policy.folder]
        offset = sum(policy.folder is not None for policy in self.job.policies)
        return single_episode_rollout(
            policies, [index - offset for index in episode.assignments], config, seed=episode.seed,
            max_action_time_ms=self.job.latency_ms, render_mode="none", autostart=False, capture_replay=False,
        )[0]  # fmt: skip

    def _travelled(self) -> "MettaGridConfig":
        return type(self.config).model_validate(json.loads(json.dumps(self.config.model_dump(warnings=False))))

    def _written(self) -> list[str]:
        """What lies in the home folder and the working directory, which nothing of DAF's writes to."""
        places = [self.inside / "home", self.inside / "work"]
        found = [path for place in places for path in place.rglob("*") if not path.is_dir()]
        names = ", ".join(str(path.relative_to(self.inside)) for path in found[:MOST_NAMED])
        for path in found:  # the next episode is told of its own
            path.unlink(missing_ok=True)
        return (
            []
            if not found
            else [f"it wrote {len(found)} files outside of a temporary folder ({names}), which nobody will find"]
        )


@dataclass(frozen=True)
class _Server:
    """What is left of a policy's server: the end of its log, what it told of attempts, and how it ended by itself."""

    log: str = ""
    noticed: tuple[str, ...] = ()
    exit_code: int | None = None


@contextlib.contextmanager
def _kept_servers() -> Iterator[dict[str, _Server]]:
    """What is left of servers, by address: CoGames throws it away when an episode has failed. They tell more, too."""
    from mettagrid.runner.policy_server import manager

    kept: dict[str, _Server] = {}
    handle, original = manager.LocalPolicyServerHandle, manager.LocalPolicyServerHandle.shutdown

    def shutdown(ended: "LocalPolicyServerHandle") -> None:
        log, noticed = _read_log(ended._log_file)
        kept[ended.policy_uri] = _Server(log, noticed, ended.process.poll())
        original(ended)

    def launch(command: list[str], **options: Any) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([telltale.__name__ if part == SERVER else part for part in command], **options)

    handle.shutdown = shutdown
    manager.subprocess = SimpleNamespace(**{**vars(subprocess), "Popen": launch})
    try:
        yield kept
    finally:
        handle.shutdown, manager.subprocess = original, subprocess


def _read_log(path: Path) -> tuple[str, tuple[str, ...]]:
    """The end of a log, and what the telltale noticed, wherever in it that stands."""
    mark = telltale.MARK.encode()
    told: list[str] = []
    with contextlib.suppress(OSError), path.open("rb") as file:
        for line in file:
            if line.startswith(mark) and len(told) < MOST_NAMED:
                told.append(line[len(mark) :][:200].decode(errors="replace").strip())
        file.seek(max(0, path.stat().st_size - LOG_BYTES))
        return file.read(LOG_BYTES).decode(errors="replace"), tuple(dict.fromkeys(told))
    return "", ()


@contextlib.contextmanager
def _ended_after(seconds: float) -> Iterator[threading.Event]:
    """Ends all that was started inside it once the time is up: the runner itself waits for ever."""
    late = threading.Event()

    def end() -> None:
        late.set()
        for process in _others():
            with contextlib.suppress(psutil.Error):
                process.kill()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def _others() -> list[psutil.Process]:
    """All other processes in this jail: each has come from this one, which inherits them when their parent ends."""
    return living(psutil.Process().children(recursive=True))


def _left_behind() -> list[str]:
    """Ends what still runs after an episode, and says so."""
    left = _others()
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=5)
    return [f"it left {len(left)} processes behind, which were ended"] if left else []


def _facts(result: "PureSingleEpisodeResult") -> dict[str, Any]:
    return {
        "steps": int(result.steps),
        "rewards": tuple(float(reward) for reward in result.rewards),
        "timeouts": tuple(int(count) for count in result.action_timeouts),
        "stats": {
            "game": {name: float(value) for name, value in result.stats.get("game", {}).items()},
            "agent": [{name: float(value) for name, value in agent.items()} for agent in result.stats.get("agent", [])],
        },
    }


def _kind(error: Exception) -> str:
    """CoGames' own class of an error, where it gave one."""
    told = getattr(error, "runner_error", None)
    return str(told.error_type) if told is not None else "unknown"


def _explained(
    facts: Mapping[str, Any], server: _Server, late: bool, latency: Latency | None, latency_ms: int
) -> dict[str, Any]:
    """Class and reason of a failure, from what the runner, the server and its log say of it."""
    if late:
        when = "before its first action" if latency is None else f"after {latency.actions} actions"
        return {"error_kind": "time", "error": f"the episode took too long; it stopped {when}"}
    reason = _reason(server.log) or _reason(str(facts["error"]))
    ended = f"its process ended with exit code {server.exit_code}" if server.exit_code else ""
    why = ": ".join(filter(None, (ended, reason))) or str(facts["error"])
    kind = facts["error_kind"]
    return {"error_kind": "policy_error" if kind == "unknown" and (ended or reason) else kind, "error": why}


def _latency(trace: Path, agents: Sequence[int]) -> Latency | None:
    """How long the actions of some agents took, from the trace that the season's rollout writes."""
    if not trace.is_file():
        return None
    wanted = set(agents)
    found: list[tuple[float, int, int]] = []
    with trace.open() as lines:
        for line in lines:
            span = _span(line)
            if span and span["args"]["agent"] in wanted:
                found.append((span["dur"] / 1000, span["args"]["step"], span["args"]["agent"]))
    if not found:
        return None
    times = sorted(time for time, _, _ in found)
    slowest = max(found)
    return Latency(
        actions=len(times),
        p50_ms=_quantile(times, 0.5),
        p95_ms=_quantile(times, 0.95),
        max_ms=slowest[0],
        slowest_step=slowest[1],
        slowest_agent=slowest[2],
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _span(line: str) -> dict[str, Any] | None:
    """An agent's step in a trace; None for anything else, half a line at the end of a killed simulator's included."""
    if '"agent_step"' not in line:
        return None
    try:
        span: dict[str, Any] = json.loads(line.lstrip("[,").rstrip("]\n"))
    except ValueError:
        return None
    return span


if __name__ == "__main__":
    main()
