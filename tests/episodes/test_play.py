"""Many episodes: the same records however they are played, and failures that cost nothing else."""

import dataclasses
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from daf.episodes.limits import Limits, default_limit_s
from daf.episodes.outcomes import EpisodeFailure, Outcome
from daf.episodes.play import EpisodeWorkers, _Evaluation, _make_chunks, daf_play_episodes
from daf.episodes.worker import Chunk
from daf.errors import DAFConfigError
from daf.execution.executor import JobFailed
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec

ARENA = MissionSpec(name="cogsguard_arena.basic", cogs=2, max_steps=20)
# How long a hanging episode is waited for. The others take a tenth of a second, on a quiet machine.
LIMIT_S = 3.0
TROUBLE = '''
import os, random, signal, sys, time
from pathlib import Path
import torch
from mettagrid.policy.noop import NoopAgentPolicy, NoopPolicy
from mettagrid.policy.policy import MultiAgentPolicy

class Agent(NoopAgentPolicy):
    def __init__(self, info, what, folder):
        super().__init__(info)
        self.what, self.folder, self.steps = what, Path(folder), 0

    def step(self, obs):
        self.steps += 1
        if self.steps == 5:
            (self.folder / f"{os.getpid()}-{torch.get_num_threads()}-{time.time_ns()}").touch()
            if self.what == "die once" and len(list(self.folder.iterdir())) == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.what == "hang":
                loop_for_ever()
            if self.what == "exit":
                sys.exit(0)
            if self.what == "exit at once":
                os._exit(0)
            if self.what == "interrupt":
                raise KeyboardInterrupt
            if self.what == "sleep":
                time.sleep(1000)
            if self.what == "misbehave":
                misbehave(self.folder)
        return super().step(obs)

def misbehave(folder):
    os.chdir("/")
    torch.set_num_threads(2)
    random.seed(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.excepthook = print
    print("x" * 1_000_000, file=sys.stderr)
    sys.stdout.close()
    if os.fork() == 0:
        (folder / "forked").touch()

def loop_for_ever():
    while True:
        pass

class Trouble(MultiAgentPolicy):
    def __init__(self, info, what, folder, device="cpu"):
        super().__init__(info, device=device)
        if what == "sleep at the start":
            time.sleep(1000)
        self.what, self.folder = what, folder

    def agent_policy(self, agent_id):
        return Agent(self._policy_env_info, self.what, self.folder)

class BatchTrouble(NoopPolicy):
    """Dies once, in a step that comes after those in which the batched backend tries it out."""

    def __init__(self, info, flag, device="cpu"):
        super().__init__(info, device=device)
        self.flag, self.steps = Path(flag), 0

    def step_batch(self, observations, actions):
        self.steps += 1
        if self.steps == 30 and not self.flag.exists():
            self.flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        super().step_batch(observations, actions)
'''


def plan(policy: str, seed: int = 0, **kwargs: str) -> EpisodePlan:
    spec = PolicySpec(name=policy, class_path=policy, init_kwargs=kwargs)
    return EpisodePlan(mission=ARENA, policies=(spec,), assignments=(0, 0), seed=seed)


def trouble(what: str, folder: Path) -> EpisodePlan:
    """A plan whose agents leave a file in `folder` in step 5, and then do `what`."""
    folder.mkdir(parents=True, exist_ok=True)
    return plan("daf_test_trouble.Trouble", what=what, folder=str(folder))


def test_episodes_that_end_together_say_meanwhile_how_far_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    monkeypatch.setattr("daf.episodes.worker.SECONDS_BETWEEN_REPORTS", -1.0)
    monkeypatch.setattr("daf.episodes.play.moved", told.append)
    daf_play_episodes([plan("noop", seed) for seed in range(2)], backend="batched")
    assert told == pytest.approx([step * 2 / 20 for step in range(1, 21)])


def timeless(outcomes: list[Outcome]) -> list[EpisodeRecord]:
    """Records that can be compared; fails where one is a failure."""
    records = [outcome for outcome in outcomes if isinstance(outcome, EpisodeRecord)]
    assert len(records) == len(outcomes), outcomes
    return [dataclasses.replace(record, wall_time_s=0.0) for record in records]


def failure(outcome: Outcome) -> EpisodeFailure:
    assert isinstance(outcome, EpisodeFailure), outcome
    return outcome


PLANS = [
    plan("random", seed=1),
    plan("chaos-monkey", seed=1),
    plan("starter", seed=2),
    plan("random", seed=3),
    *(plan("noop", seed=seed) for seed in range(4, 9)),
    plan("nonexistent"),
]
GOOD = [0, *range(2, 9)]
MONKEY, NONEXISTENT = 1, 9


def batch_trouble(flag: Path) -> list[EpisodePlan]:
    """Plans that are played side by side, and kill their worker unless `flag` exists."""
    one = plan("daf_test_trouble.BatchTrouble", flag=str(flag))
    mission = dataclasses.replace(ARENA, max_steps=40)
    return [dataclasses.replace(one, mission=mission, seed=seed) for seed in range(3)]


@dataclasses.dataclass
class Disturbed:
    """What a run on two workers gave, in which some episodes killed or blocked their worker."""

    folder: Path
    came: list[Outcome]
    die_once: Outcome
    hang: Outcome
    batch: list[Outcome]
    others: list[Outcome]


@pytest.fixture(scope="module", autouse=True)
def trouble_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "daf_test_trouble.py").write_text(TROUBLE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder


@pytest.fixture(scope="module")
def undisturbed() -> list[Outcome]:
    return daf_play_episodes(PLANS)


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Disturbed:
    folder = tmp_path_factory.mktemp("trouble")
    troubles = [trouble(what, folder / what) for what in ("die once", "hang")]
    came: list[Outcome] = []
    die_once, hang, *rest = daf_play_episodes(
        [*troubles, *batch_trouble(folder / "flag"), *PLANS],
        workers=2,
        limits=Limits(LIMIT_S),
        on_episode=lambda outcome, _: came.append(outcome),
    )
    return Disturbed(folder=folder, came=came, die_once=die_once, hang=hang, batch=rest[:3], others=rest[3:])


def test_neither_workers_nor_trouble_change_a_record(undisturbed: list[Outcome], disturbed: Disturbed) -> None:
    records = timeless([disturbed.others[i] for i in GOOD])
    assert records == timeless([undisturbed[i] for i in GOOD])
    assert [record.seed for record in records] == [PLANS[i].seed for i in GOOD]
    assert [record.backend for record in records] == [*["official"] * 3, *["batched"] * 5]


def test_every_outcome_is_told_once(disturbed: Disturbed) -> None:
    outcomes = [disturbed.die_once, disturbed.hang, *disturbed.batch, *disturbed.others]
    assert sorted(map(repr, disturbed.came)) == sorted(map(repr, outcomes))


def test_an_episode_whose_worker_is_killed_once_is_played_again(disturbed: Disturbed) -> None:
    folder = disturbed.folder / "die once"
    pids = {file.name.split("-")[0] for file in folder.iterdir()}
    assert len(pids) == 2
    record, again = timeless([disturbed.die_once, *daf_play_episodes([trouble("die once", folder)])])
    # The folder is an argument, and holds more by now.
    assert record == dataclasses.replace(again, policy_digests=record.policy_digests)


def test_a_batch_whose_worker_is_killed_loses_no_episode(disturbed: Disturbed) -> None:
    flag = disturbed.folder / "flag"
    assert flag.exists()
    assert timeless(disturbed.batch) == timeless(daf_play_episodes(batch_trouble(flag), backend="batched"))


def test_an_episode_that_always_hangs_fails_after_one_retry(disturbed: Disturbed) -> None:
    hung = failure(disturbed.hang)
    assert hung.attempts == 2
    assert "loop_for_ever" in hung.traceback
    assert hung.reason == "The worker process was ended: no sign of life for 3 s."
    processes = {tuple(file.name.split("-")[:2]) for file in (disturbed.folder / "hang").iterdir()}
    assert len(processes) == 2
    assert {threads for _, threads in processes} == {"1"}


@pytest.mark.slow
def test_a_policy_can_end_its_own_episode_and_nothing_else(tmp_path: Path) -> None:
    """On one process, which is a child where the policy is not CoGames' own."""
    what = ("exit", "misbehave", "interrupt", "exit at once")
    plans = [*(trouble(name, tmp_path / name) for name in what), plan("noop")]
    before, handler = Path.cwd(), signal.getsignal(signal.SIGTERM)
    ended, misbehaved, interrupted, died, noop = daf_play_episodes(plans, backend="official")
    assert (Path.cwd(), signal.getsignal(signal.SIGTERM)) == (before, handler)
    assert failure(ended).reason == "SystemExit: 0"
    assert failure(interrupted).reason == "KeyboardInterrupt"
    assert failure(died).reason == "The worker process died with exit code 0."
    assert failure(died).attempts == 3
    assert (tmp_path / "misbehave" / "forked").exists()
    quiet, usual = timeless([misbehaved, noop])
    assert (quiet.rewards, quiet.steps) == (usual.rewards, usual.steps)


@pytest.mark.slow
def test_a_policy_that_sleeps_is_not_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    starting, playing = trouble("sleep at the start", tmp_path / "a"), trouble("sleep", tmp_path / "b")
    plans = [starting, *(dataclasses.replace(playing, seed=seed) for seed in range(5))]
    late, *hung = daf_play_episodes(plans, workers=2, limits=Limits(1.0, LIMIT_S))
    assert failure(late).attempts == 2
    assert "evaluation.start_limit_s" in failure(late).reason
    assert "evaluation.time_limit_s" in caplog.text
    reasons = [failure(outcome).reason for outcome in hung]
    assert "no sign of life for 1 s" in reasons[0]
    assert reasons[-1].startswith("It was not played")


def test_the_limit_grows_with_the_mission() -> None:
    short, long = (dataclasses.replace(ARENA, max_steps=steps) for steps in (20, 10_000))
    assert default_limit_s(dataclasses.replace(plan("noop"), mission=short)) == 70
    assert default_limit_s(dataclasses.replace(plan("noop"), mission=long)) == 5060


def test_when_all_episodes_of_a_policy_hang_the_others_are_not_waited_for() -> None:
    episodes = tuple(enumerate(plan("noop", seed) for seed in range(3)))
    evaluation = _Evaluation([plan for _, plan in episodes], None)
    chunks = [Chunk(episodes=(episode,), backend="official", cache_dir=None) for episode in episodes]
    hung = JobFailed(job_id=0, reason="hung", traceback="no sign of life")
    assert evaluation.fail(chunks[0], hung) == [chunks[0]]
    assert not evaluation.is_hopeless(episodes[1][1])
    assert evaluation.fail(chunks[0], hung) == []
    assert evaluation.is_hopeless(episodes[1][1])
    assert not evaluation.is_hopeless(plan("starter"))


def test_an_exception_fails_its_episode_at_once(undisturbed: list[Outcome], disturbed: Disturbed) -> None:
    for outcomes in (undisturbed, disturbed.others):
        monkey, missing = failure(outcomes[MONKEY]), failure(outcomes[NONEXISTENT])
        assert monkey.plan == PLANS[MONKEY]
        assert monkey.attempts == 1
        assert "Chaos monkey triggered at step 10" in monkey.traceback
        assert monkey.reason.startswith("RuntimeError: Chaos monkey triggered at step 10")
        assert "no policy is called 'nonexistent'" in missing.reason


def test_the_callers_own_error_is_not_an_episodes_failure() -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        daf_play_episodes(PLANS[:1], backend="official", on_episode=full)


def test_batches_give_the_records_of_single_episodes() -> None:
    plans = [plan("noop", seed) for seed in (4, 5, 4)]
    single = timeless(daf_play_episodes(plans, backend="official"))
    batched = timeless(daf_play_episodes(plans, backend="batched"))
    assert [record.backend for record in batched] == ["batched"] * 3
    assert [dataclasses.replace(record, backend="official") for record in batched] == single


def test_batched_refuses_what_it_cannot_play() -> None:
    with pytest.raises(DAFConfigError, match="batched is not possible: policy starter"):
        daf_play_episodes([plan("noop"), plan("starter")], backend="batched")


def test_arguments_out_of_range_are_all_named() -> None:
    with pytest.raises(DAFConfigError) as error:
        daf_play_episodes([], backend="fast", workers=0, cache="maybe", limits=Limits(0.0, -1.0))  # type: ignore[arg-type]
    names = ("backend", "cache", "workers", "time_limit_s", "start_limit_s")
    keys = [f"evaluation.{name}" for name in names]
    assert [problem.where for problem in error.value.problems] == keys


def test_where_records_cannot_be_kept_episodes_are_played(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    (outcome,) = daf_play_episodes([plan("noop")], cache="on", cache_dir=tmp_path / "file" / "cache")
    assert isinstance(outcome, EpisodeRecord)
    assert "Episode records are not being cached (evaluation.cache): " in caplog.text
    assert "Damaged" not in caplog.text


def test_chunks_keep_all_workers_busy_and_hold_one_kind_each() -> None:
    episodes = list(enumerate([*(plan("noop", seed) for seed in range(5)), *(plan("lstm", seed) for seed in range(4))]))
    chunks = _make_chunks({"official": [], "batched": episodes}, workers=3, cache_dir=None)
    assert [[index for index, _ in chunk.episodes] for chunk in chunks] == [[0, 2, 4], [1, 3], [5, 7], [6, 8]]
    alone = _make_chunks({"official": episodes, "batched": []}, workers=3, cache_dir=None)
    assert [len(chunk.episodes) for chunk in alone] == [1] * 9


def test_the_unfinished_episodes_of_a_lost_chunk_are_played_alone() -> None:
    episodes = tuple(enumerate(plan("noop", seed) for seed in range(3)))
    evaluation = _Evaluation([plan for _, plan in episodes], None)
    evaluation.settle(1, EpisodeFailure(plan=episodes[1][1], traceback="", attempts=1))
    chunk = Chunk(episodes=episodes, backend="batched", cache_dir=None)
    died = JobFailed(job_id=0, reason="died", traceback="SIGKILL")
    alone = evaluation.fail(chunk, died)
    assert [chunk.episodes for chunk in alone] == [(episodes[0],), (episodes[2],)]
    assert evaluation.fail(alone[0], died) == [alone[0]]
    assert evaluation.fail(alone[0], died) == []
    assert [index for index, _ in evaluation.missing()] == [2]


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path, trouble_module: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"""
import sys
sys.path[:0] = {[str(Path.cwd()), str(Path(__file__).parent), str(trouble_module)]!r}
from pathlib import Path
from daf.episodes import daf_play_episodes
from test_play import trouble
daf_play_episodes([trouble("hang", Path({str(tmp_path / "started")!r}))] * 2, backend="official", workers=2)
""")
    parent = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    started: list[str] = []
    while len(started) < 2 and time.monotonic() < end:
        time.sleep(0.05)
        started = [file.name for file in tmp_path.glob("started/*")]
    pids = [int(name.split("-")[0]) for name in started]
    assert len(set(pids)) == 2
    parent.send_signal(signal.SIGINT)
    _, errors = parent.communicate(timeout=10)
    assert parent.returncode == -signal.SIGINT  # 130 in a shell
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert not any(map(is_running, pids))


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended may wait to be reaped by nobody."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_warm_workers_serve_many_calls() -> None:
    plans = [plan("noop", seed) for seed in range(3)]
    others = {child.pid for child in psutil.Process().children()}
    with EpisodeWorkers(1) as workers:
        first = daf_play_episodes(plans[:2], workers=workers)
        processes = {child.pid for child in psutil.Process().children()} - others
        second = daf_play_episodes(plans, workers=workers)
        assert processes == {child.pid for child in psutil.Process().children()} - others
    assert not processes & {child.pid for child in psutil.Process().children()}
    assert timeless(second)[:2] == timeless(first)
    assert timeless(second) == timeless(daf_play_episodes(plans))


def test_an_error_of_the_caller_leaves_nothing_to_the_next_call() -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    todo = [plan("noop", seed) for seed in range(4)]
    with EpisodeWorkers(1) as workers:
        with pytest.raises(OSError, match="no space left"):
            daf_play_episodes(todo, backend="official", workers=workers, on_episode=full)
        came: list[Outcome] = []
        outcomes = daf_play_episodes(
            [plan("noop", 9)], backend="official", workers=workers, on_episode=lambda outcome, _: came.append(outcome)
        )
    assert came == outcomes
    assert [record.seed for record in timeless(outcomes)] == [9]
