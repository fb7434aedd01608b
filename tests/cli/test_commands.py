"""The commands that are fronts of the one entrypoint: what each says in advance, and what it refuses."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import daf.run
from daf import environment_checks
from daf.cli import commands
from daf.cli.command_line import CommandLine
from daf.cli.doors import FRONTS, OTHER_COMMANDS, tasks_in
from daf.sweeps import hydra_sweep
from tests.cli.support import ends
from tests.conftest import TINY

ROOT = Path(__file__).parents[2]
SCRIPTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


def command(name: str) -> Callable[[], None]:
    """What a command's script calls."""
    module, _, function = SCRIPTS[name].partition(":")
    found: Callable[[], None] = getattr(import_module(module), function)
    return found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[CommandLine]:
    """What would be done."""
    seen: list[CommandLine] = []
    monkeypatch.setattr(daf.run, "_single", seen.append)
    monkeypatch.setattr(daf.run, "_sweep", seen.append)
    return seen


@pytest.mark.parametrize("program", FRONTS)
def test_a_front_says_its_task_or_its_sweep(
    program: str, monkeypatch: pytest.MonkeyPatch, asked: list[CommandLine]
) -> None:
    assert ends(command(program), monkeypatch, "seed=7", "--json", "policy=noop") == 0
    (line,) = asked
    task = [f"task={FRONTS[program].task}"] if FRONTS[program].task else []
    assert list(line.overrides) == [*task, "seed=7", "result_format=json", "policy=noop"]
    assert line.multirun == (program == "daf-sweep")


@pytest.mark.parametrize("program", [name for name, door in FRONTS.items() if door.task])
@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["task=evaluate"], "write: daf evaluate ..."),
        (["seed=1", "+task=evaluate"], "write: daf evaluate ..."),
        (["evaluate"], "write: daf evaluate ..."),
        (["task.name=mine", "task.function=mine.task"], "write: daf_run task.name=mine ..."),
        (["task=mine"], "write: daf_run task=mine ..."),
        (["-m", "task=train,vor"], "write: daf_run task=train,vor ..."),
        (["~task"], "is task="),
    ],
)
def test_a_second_task_is_refused_with_the_right_command(
    program: str,
    words: list[str],
    hint: str,
    monkeypatch: pytest.MonkeyPatch,
    asked: list[CommandLine],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ends(command(program), monkeypatch, *words) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"{program}: ")
    assert hint in told
    assert asked == []


@pytest.mark.parametrize(("program", "task"), [("daf-train", "compare"), ("daf-compare", "train")])
def test_the_front_of_another_task_is_named(
    program: str, task: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(command(program), monkeypatch, f"task={task}") == 2
    assert f"write: daf-{task} ..." in capsys.readouterr().err
    assert ends(command(program), monkeypatch, f"task={FRONTS[program].task}") == 2
    assert "Leave it out." in capsys.readouterr().err


@pytest.mark.parametrize("task", tasks_in())
def test_daf_has_a_command_for_every_task(task: str, monkeypatch: pytest.MonkeyPatch, asked: list[CommandLine]) -> None:
    assert ends(commands.daf, monkeypatch, task, "seed=7") == 0
    assert [line.overrides for line in asked] == [(f"task={task}", "seed=7")]


def test_flags_may_stand_anywhere(monkeypatch: pytest.MonkeyPatch, asked: list[CommandLine], tmp_path: Path) -> None:
    words = ["train", "-m", "seed=1,2", "--config-dir", str(tmp_path), "optimizer.lr=0.1"]
    assert ends(commands.daf, monkeypatch, *words) == 0
    (line,) = asked
    assert line.overrides == ("task=train", "seed=1,2", "optimizer.lr=0.1")
    assert (line.multirun, line.extra_config_dir) == (True, tmp_path)
    assert sys.argv[1:] == ["task=train", "seed=1,2", "optimizer.lr=0.1", "-m", "--config-dir", str(tmp_path)]


def test_daf_without_a_command_is_the_entrypoint(monkeypatch: pytest.MonkeyPatch, asked: list[CommandLine]) -> None:
    assert ends(commands.daf, monkeypatch, "task=train", "seed=7") == 0
    assert ends(commands.daf, monkeypatch, "-m", "task=train", "seed=7,8") == 0
    assert ends(commands.daf, monkeypatch, "sweep", "task=train", "seed=7,8") == 0
    assert [(line.overrides[0], line.multirun) for line in asked] == [
        ("task=train", False),
        ("task=train", True),
        ("task=train", True),
    ]


def test_a_sweeps_config_is_shown_as_a_jobs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(command("daf-sweep"), monkeypatch, "seed=7", "--cfg", "job", "-p", "seed") == 0
    assert capsys.readouterr().out == "7\n"


@pytest.mark.parametrize(
    ("word", "meant"), [("evalute", "evaluate"), ("sweep_stop", "sweep-stop"), ("trian", "train"), ("", "Known:")]
)
def test_a_command_that_is_none_is_refused(
    word: str, meant: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(commands.daf, monkeypatch, word, "seed=7") == 2
    assert meant in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["evaluate"], "evaluate: is no key=value. Did you mean task=evaluate?"),
        (["evalute"], "Did you mean task=evaluate?"),
        (["miner"], "Did you mean policy=miner or variant=miner?"),
        (["seed=1", "lstm", "optimizer.lrr=1"], "Did you mean policy=lstm?\n  - optimizer.lrr: there is no such key."),
    ],
)
def test_a_word_of_which_the_group_was_forgotten(
    words: list[str], meant: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(daf.run.main, monkeypatch, *words) == 2
    assert meant in capsys.readouterr().err


LONG = "x" * 10_000
BAD: list[list[str]] = [
    *([word] for word in ("", " ", "-", "--foo", "-sc", "~", "../../etc", "TRAIN", "train ", LONG, "\x00", "é")),
    *(["train", word] for word in ("", "é", "\n", "\x00=1", LONG, f"task={LONG}", "task", "task@x=vor", "~task")),
    *(["train", flag] for flag in ("--json=1", "--cfg", "-1", "--config-dir", "--config-name")),
    *(["train", flag, "nope"] for flag in ("--cfg", "--config-dir", "--config-name", "--config-path", "--json", "--")),
    *(["train", "-m", "nope"], ["task=train", "train"], ["train", "-m", "--cfg", "job"], ["sweep", "--run"]),
    *(["sweep", "nope"], ["sweep", "seed="], ["sweep", "task=train,evaluate", "policy=nope"]),
    *(["completion"], ["completion", "fish"], ["completion", "bash", "zsh"], ["cache"], ["account"], ["cache", "nope"]),
]


@pytest.mark.parametrize("words", BAD, ids=lambda words: " ".join(words)[:30].encode().hex())
def test_what_nobody_can_mean_is_refused_in_a_sentence(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("the request was taken for a good one")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment_checks, "daf_check_environment", started)
    monkeypatch.setattr(hydra_sweep, "daf_launch_sweep", started)
    assert ends(commands.daf, monkeypatch, *words) == 2
    told = capsys.readouterr().err
    assert told.strip()
    assert "Traceback" not in told
    assert len(told) < 3000
    assert list(tmp_path.iterdir()) == []


def test_a_task_of_ones_own_has_a_command(
    monkeypatch: pytest.MonkeyPatch, asked: list[CommandLine], tmp_path: Path
) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "nightly.yaml").write_text("# Mine.\nname: nightly\nfunction: mine.task\n")
    assert ends(commands.daf, monkeypatch, "nightly", "--config-dir", str(tmp_path)) == 0
    assert asked[0].overrides == ("task=nightly",)
    assert ends(commands.daf, monkeypatch, "nightly") == 2


@pytest.mark.parametrize(
    ("name", "module", "function"),
    [("watch", "watch", "main"), ("sweep-stop", "steer", "stop"), ("sweep-enqueue", "steer", "enqueue")],
)
def test_what_is_no_task_is_handed_on(name: str, module: str, function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[list[str]] = []
    made_up = ModuleType(f"daf.cli.{module}")
    setattr(made_up, function, handed.append)
    monkeypatch.setitem(sys.modules, f"daf.cli.{module}", made_up)
    commands.daf([name, "mine", "--help"])
    assert handed == [["mine", "--help"]]


def test_the_cache_and_the_account_are_commands_of_daf(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(commands.daf, monkeypatch, "cache", "show", "--dir", str(tmp_path)) == 0
    assert "0 episodes" in capsys.readouterr().out
    assert ends(commands.daf, monkeypatch, "account", "nope") == 2
    assert "daf account: error: " in capsys.readouterr().err
    assert ends(commands.daf, monkeypatch, "account", "--help") == 0
    assert "daf account login < file" in capsys.readouterr().out
    assert ends(commands.daf, monkeypatch, "cache", "nope") == 2
    assert "daf cache: error: " in capsys.readouterr().err
    assert set(OTHER_COMMANDS) >= {"watch", "sweep", "cache", "account", "completion"}


@pytest.mark.parametrize("name", ["daf", "daf-check", "daf_run"])
def test_the_versions(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(command(name), monkeypatch, "--version") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _ in lines] == ["daf", "cogames", "hydra"]
    assert lines[0][1] == daf.__version__


def test_a_task_is_done_and_tracked_as_by_the_entrypoint(
    monkeypatch: pytest.MonkeyPatch, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*TINY, "policy=noop", f"tracking.uri={store}", f"output_dir={tmp_path / 'out'}"]
    assert ends(commands.daf, monkeypatch, "evaluate", *words) == 0
    assert "noop" in capsys.readouterr().out
    assert (tmp_path / "out" / "overrides.yaml").read_text().startswith("- task=evaluate\n")


@pytest.mark.parametrize("program", [name for name, door in FRONTS.items() if door.task])
def test_hydra_composes_the_fronts_task(
    program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(command(program), monkeypatch, "seed=7", "--cfg", "job", "-p", "task.name") == 0
    assert capsys.readouterr().out == f"{FRONTS[program].task}\n"


def test_daf_check_says_what_it_found(
    monkeypatch: pytest.MonkeyPatch, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*TINY, "check.missions=false", f"tracking.uri={store}", f"output_dir={tmp_path / 'out'}"]
    assert ends(command("daf-check"), monkeypatch, *words) in (0, 1)
    shown = capsys.readouterr()
    assert "disk" in shown.out
    assert "Traceback" not in shown.err


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["completion", "bash"]])
def test_what_reads_may_have_seen_enough(words: list[str], tmp_path: Path) -> None:
    shell = f"{sys.executable} -m daf.cli.commands {' '.join(words)} | head -1"
    done = subprocess.run(shell, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.stdout
    assert done.stderr == ""


def test_ctrl_c_ends_a_command_with_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: CommandLine) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(daf.run, "_single", interrupted)
    assert ends(command("daf-train"), monkeypatch, "seed=1") == 130
    assert "Traceback" not in capsys.readouterr().err
