"""Completion: what is offered, and that real shells offer it."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daf.cli.completion import completions, script
from daf.cli.doors import DAF, DAF_RUN, FRONTS, Door

ROOT = Path(__file__).parents[2]


def offered(line: str, monkeypatch: pytest.MonkeyPatch, door: Door = DAF) -> list[str]:
    monkeypatch.setenv("COMP_LINE", line)
    return completions(door)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("daf tr", ["train"]),
        ("daf sweep-", ["sweep-enqueue", "sweep-stop"]),
        ("daf cache ", ["show", "clear"]),
        ("daf cache show ", []),
        ("daf account log", ["login", "logout"]),
        ("daf --v", ["--version"]),
        ("daf train --c", ["--cfg", "--config-dir"]),
        ("daf train policy=st", ["policy=starter", "policy=stateless"]),
        ("daf train seed=1 -m sweep=a", ["sweep=asha"]),
        ("daf train --json optimizer.l", ["optimizer.lr="]),
        ("daf train optimizer=adam 'a b' optimizer.l", ["optimizer.lr="]),
        ("daf sweep sweep.n_t", ["sweep.n_trials="]),
        ("daf nope poli", ["policy.", "policy="]),
        ("daf train --foo poli", []),
        ("daf train task=vor poli", []),
        ("daf train policy=nope optimizer.l", []),
        ("daf train tas", []),
    ],
)
def test_what_is_offered(line: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert offered(line, monkeypatch) == words


def test_fronts_offer_keys_and_the_entrypoint_tasks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert offered("daf-train mission=miner", monkeypatch, FRONTS["daf-train"]) == ["mission=miner_tutorial"]
    assert offered("daf_run task=tr", monkeypatch, DAF_RUN) == ["task=train"]
    assert offered("./.venv/bin/daf_run task=tr", monkeypatch, DAF_RUN) == ["task=train"]
    assert capsys.readouterr().err == ""


def test_a_folder_of_ones_own_is_offered_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "adagrad.yaml").write_text("lr: 1\n")
    line = f"daf train --config-dir {tmp_path} optimizer=ada"
    assert offered(line, monkeypatch) == ["optimizer=adagrad", "optimizer=adam"]


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment with `daf` and `daf-train` on its path, as an installation puts them there."""
    for name, function in (("daf", "daf"), ("daf-train", "train")):
        path = tmp_path / name
        path.write_text(f"#!{sys.executable}\nfrom daf.cli.commands import {function}\n{function}()\n")
        path.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "TERM": "dumb"}


@pytest.mark.parametrize(
    ("words", "replies"),
    [
        (["daf", "eva"], ["evaluate"]),
        (["daf-train", "policy", "=", "st"], ["starter", "stateless"]),
        (["daf", "train", "optimizer.l"], ["optimizer.lr="]),
    ],
)
def test_bash_completes(words: list[str], replies: list[str], installed: dict[str, str], tmp_path: Path) -> None:
    """As bash breaks words, at = too: it replaces what stands behind that."""
    line = " ".join(words).replace(" = ", "=")
    asks = (
        f'eval "$(daf completion bash)"; COMP_LINE={line!r} COMP_POINT={len(line)} COMP_CWORD={len(words) - 1}\n'
        f"COMP_WORDS=({' '.join(map(repr, words))}); _daf_completion {words[0]}\n"
        'printf "%s\\n" "${COMPREPLY[@]}"; complete -p daf-check\n'
    )
    command = ["bash", "--norc", "-c", asks]
    done = subprocess.run(command, cwd=tmp_path, env=installed, capture_output=True, text=True, timeout=100)
    assert done.stdout.splitlines() == [*replies, "complete -o default -F _daf_completion daf-check"]


@pytest.mark.parametrize(
    "shell", [["bash", "--norc", "--noprofile", "-i"], pytest.param(["zsh", "-f", "-i"], id="zsh")], ids=["bash", "zsh"]
)
def test_the_tabulator_completes(shell: list[str], installed: dict[str, str], tmp_path: Path) -> None:
    """In a terminal: a command with its space, an option behind its =, a key without a space."""
    if shutil.which(shell[0]) is None:
        pytest.skip(f"there is no {shell[0]}")
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execvpe(shell[0], shell, installed)
    try:
        typed(terminal, f'PS1="ready> "; eval "$(daf completion {shell[0]})"; echo done-$((1 + 1))\n', "done-2")
        typed(terminal, "echo daf; \x15daf eva\tsee", "daf evaluate see")
        typed(terminal, "\x15daf evaluate policy=start\tsee", "policy=starter see")
        typed(terminal, "\x15daf evaluate evaluation.epi\t7", "evaluation.episodes=7")
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def typed(terminal: int, keys: str, awaited: str) -> None:
    """Types into a terminal and waits until it shows something."""
    os.write(terminal, keys.encode())
    shown, end = "", time.monotonic() + 60
    while awaited not in seen(shown) and time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 4096).decode(errors="replace")
    assert awaited in seen(shown)


def seen(output: str) -> str:
    """What a terminal was sent, without how; zsh takes the space behind a word back before the next."""
    return re.sub(r" +", " ", re.sub(r"\x1b\[[?\d;]*[a-zA-Z]|[\x07\x08\r]", "", output))


def test_both_scripts_name_every_command() -> None:
    for shell in ("bash", "zsh"):
        assert script(shell).rstrip().endswith("daf daf_run " + " ".join(FRONTS))
