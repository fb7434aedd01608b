"""Every command of the README, in small: what is written there exists, is not refused, and does its work.

The blocks of commands are run line by line in one folder, as a reader pastes them, with overrides behind each that make
it small. A line that no table below knows fails, and so does a command that is refused.
"""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

import daf.run
from daf.cli import commands
from tests.conftest import TINY

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = [block.strip().splitlines() for block in re.findall(r"^```bash\n(.*?)^```", README, re.MULTILINE | re.DOTALL)]

PLAY = tuple(override for override in TINY if not override.startswith("training."))
SWEEP = (*TINY, "training.num_steps=256", "sweep.n_trials=2", "sweep.n_jobs=1", "sweep.confirm=off")
#: How a command is made small, by its task.
SMALL = {
    "quickstart": (*TINY, "evaluation.baselines=[noop]"),
    "train": TINY,
    "evaluate": PLAY,
    "compare": PLAY,
    "pipeline": (*TINY, "evaluation.baselines=[noop]"),
    "package": PLAY,
    "validate": PLAY,
    "sweep": SWEEP,
    "watch": (),
}
#: What is only looked at: the first words of a line, and why.
ONLY_READ = {
    "source": "it changes the reader's own shell",
    "./scripts/setup": "tests/test_setup.py runs it",
    "./scripts/test": "it would run this test",
    "./scripts/mlflow-ui": "below",
    "cat": "the lines of the script are run one by one",
    "set": "of the script",
    "END": "of the script",
    "bash": "of the script",
}


def words_of(line: str) -> list[str]:
    return shlex.split(line, comments=True)


def task_of(words: list[str]) -> str:
    """The task that a command does; a `watch` and a `sweep` have names of their own."""
    if words[0] == "daf":
        return words[1]
    named = [word.removeprefix("task=") for word in words if word.startswith("task=")]
    return "sweep" if "-m" in words[3:] else (named or ["quickstart"])[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, fresh_database: Path) -> Path:
    """The reader's folder: one for all blocks, with a store and a cache of its own."""
    own = tmp_path_factory.mktemp("readme")
    shutil.copyfile(fresh_database, own / "mlflow.db")
    return own


@pytest.fixture(autouse=True)
def _in_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))


def do(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs one command in this process, in small."""
    line, _, written = line.partition(" > ")
    words = words_of(line)
    if words == ["./scripts/daf-run"]:  # ./scripts/setup, and then this
        words = ["python", "-m", "daf.run"]
    assert words[0] == "daf" or words[:3] == ["python", "-m", "daf.run"], f"no test knows how to run this: {line}"
    task = task_of(words)
    assert task in SMALL, f"no test says how this is made small: {line}"
    given = [*words[1 if words[0] == "daf" else 3 :], *SMALL[task]]
    monkeypatch.setattr("sys.argv", [words[0], *given])
    with pytest.raises(SystemExit) as ended:
        commands.daf() if words[0] == "daf" else daf.run.main()
    told = capsys.readouterr()
    assert ended.value.code in (None, 0), f"{line}\n{told.out}\n{told.err}"
    if written:
        assert json.loads(told.out)["status"] == "ok"


def is_run(line: str) -> bool:
    return bool(words_of(line)) and words_of(line)[0] not in ONLY_READ


def _as_test(block: list[str]) -> ParameterSet:
    """Named after its first command. A sweep takes longer than ten seconds."""
    first = next(line for line in block if is_run(line) or line == block[-1])
    marks = [pytest.mark.slow] if any(is_run(line) and task_of(words_of(line)) == "sweep" for line in block) else []
    return pytest.param(block, id="-".join(re.findall(r"[\w.=]+", first)[:4]), marks=marks)


@pytest.mark.parametrize("block", [_as_test(block) for block in BLOCKS])
def test_a_block_of_commands_runs(
    block: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line for line in block if is_run(line)]
    if any("outputs/first" in line for line in lines) and not (folder / "outputs" / "first").exists():
        # This block alone was asked for: what it goes on from is made by the command that the README has for it.
        (training,) = [line for block in BLOCKS for line in block if "output_dir=outputs/first" in line]
        if training not in lines:
            do(training, monkeypatch, capsys)
    for line in lines:
        do(line, monkeypatch, capsys)


def test_what_is_only_read_is_there() -> None:
    scripts = {words_of(line)[0] for block in BLOCKS for line in block if words_of(line)[0].startswith("./")}
    assert {"./scripts/daf-run", "./scripts/test", "./scripts/mlflow-ui"} <= scripts
    for script in scripts:
        assert os.access(ROOT / script, os.X_OK), script


def test_the_three_ways_of_use_stand_there() -> None:
    lines = [line for block in BLOCKS for line in block]
    assert "python -m daf.run -m optimizer.lr=1e-4,3e-4" in lines
    assert "./scripts/mlflow-ui" in lines
    assert sum(line.startswith("python -m daf.run task=") and line.count("=") > 3 for line in lines) >= 3


def test_every_page_that_is_linked_is_there() -> None:
    """In the README and in docs/; and no page of docs/ is left out of the README's map."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"
    for page in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{page.name})" in README, page.name


@pytest.mark.slow
def test_the_mlflow_ui_shows_its_page(folder: Path, tmp_path: Path) -> None:
    """The script itself, beside an environment that is set up already."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "mlflow-ui", tmp_path / "scripts")
    (tmp_path / "scripts" / "setup").write_text("#!/bin/sh\n")
    (tmp_path / "scripts" / "setup").chmod(0o755)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(tmp_path / "scripts" / "mlflow-ui"), "--port", str(port)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    log = (tmp_path / "ui.log").open("w")
    with log, subprocess.Popen(command, stdout=log, stderr=log, env=environment, process_group=0) as server:
        try:
            page = _answer(f"http://127.0.0.1:{port}/", server)
        finally:
            os.killpg(server.pid, 15)
    assert "<title>MLflow</title>" in page
    assert f"http://127.0.0.1:{port}/#/experiments/" in (tmp_path / "ui.log").read_text()


def _answer(address: str, server: "subprocess.Popen[bytes]") -> str:
    """What the server answers, as soon as it does."""
    until = time.monotonic() + 120
    while server.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(address, timeout=5) as page:
                text: str = page.read().decode()
                return text
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(f"no answer from {address}")
