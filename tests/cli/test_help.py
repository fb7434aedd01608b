"""What the helps say, how wide they are, and what they do without."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from daf.cli.completion import PROGRAMS
from daf.cli.conf_comments import Key, about, choices, first_sentence, keys
from daf.cli.doors import DAF, FRONTS, OTHER_COMMANDS, Door, tasks_in
from daf.cli.help import quick_answer
from daf.cli.task_sections import READS
from daf.config.paths import CONF_DIR

DOORS = [DAF, Door("daf_run"), *FRONTS.values(), *(Door(f"daf {task}", task=task) for task in tasks_in())]


def helped(door: Door, monkeypatch: pytest.MonkeyPatch, columns: int = 80) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    return quick_answer(door, ["--help"]) or ""


def test_every_command_stands_there_with_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(helped(DAF, monkeypatch).split())
    for name, path in tasks_in().items():
        assert f"{name} {' '.join(first_sentence(about(path)).split())}" in text
    for name, says in OTHER_COMMANDS.items():
        assert f"{name} {says}" in text
    for name in PROGRAMS[2:]:
        assert name in text


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.program)
def test_no_line_is_wider_than_the_terminal(door: Door, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = helped(door, monkeypatch, columns).splitlines()
    assert len(lines) > 10
    wide = [line for line in lines if len(line) > columns and " " in line.strip()]
    # Examples are pasted, and stay whole.
    assert [line for line in wide if "python -m" not in line] == []


@pytest.mark.parametrize("task", READS)
def test_a_tasks_help_explains_every_key_that_it_reads(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(helped(Door(f"daf {task}", task=task), monkeypatch).split())
    chosen = {**choices(CONF_DIR / "config.yaml"), **choices(CONF_DIR / "task" / f"{task}.yaml")}
    for section in READS[task]:
        explained = keys(CONF_DIR / section / f"{chosen[section]}.yaml")
        assert explained
        for key in explained:
            assert f" {section}.{key.name}=" in text
            assert " ".join(key.about.split()) in text


def test_a_tasks_own_values_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\n  mission.max_steps=200\n" in helped(Door("daf compare", task="compare"), monkeypatch)
    assert "\n  mission.max_steps=null\n" in helped(Door("daf train", task="train"), monkeypatch)
    assert "\npolicy=starter\n" in helped(Door("daf missions", task="missions"), monkeypatch)


def test_a_task_whose_sections_nobody_has_listed_shows_its_own_and_those_that_it_sets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "nightly").mkdir()
    (tmp_path / "nightly" / "default.yaml").write_text("# Mine.\n# The hour.\nhour: 3\n")
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "default.yaml").write_text("# Adam.\n# The rate.\nlr: 1\n")
    own = "# @package _global_\n# Every night.\n# It.\ntask:\n  name: nightly\n# Small.\noptimizer:\n  lr: 0.5\n"
    (tmp_path / "task" / "nightly.yaml").write_text(own)
    text = quick_answer(Door("daf nightly", task="nightly"), ["--help", "--config-path", str(tmp_path)]) or ""
    assert "daf nightly: Every night." in text
    assert "nightly=default\n  Mine.\n  nightly.hour=3\n      The hour.\n" in text
    assert "  optimizer.lr=0.5\n      The rate.\n" in text


def test_comments_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "# @package _global_\n# The file, which\n# goes on. And on.\n# The key. With\n# more.\na: 1\n\n"
        "# A section.\nb:\n  # Inner.\n  c: [1, 2]\n  d:\n    e: null\n# Empty.\nf:\ndefaults:\n  - override /g: h\n"
    )
    assert about(path) == "The file, which goes on. And on."
    assert first_sentence(about(path)) == "The file, which goes on."
    assert keys(path) == (
        Key("a", "1", "The key. With more."),
        Key("b.c", "[1, 2]", "Inner."),
        Key("b.d.e", "null", ""),
        Key("f", "", "Empty."),
    )
    assert choices(path) == {"g": "h"}
    assert (about(tmp_path / "gone.yaml"), keys(tmp_path / "gone.yaml")) == ("", ())


@pytest.mark.parametrize("flags", [["--config-path"], ["--config-dir", "nope"], ["--config-path", "nope"]])
def test_a_folder_that_is_not_there_does_not_break_the_help(flags: list[str]) -> None:
    assert "Usage:" in (quick_answer(DAF, ["--help", *flags]) or "")
    assert "Usage:" in (quick_answer(FRONTS["daf-train"], ["--help", *flags]) or "")


@pytest.mark.parametrize("call", ["daf()", "check()", "train()"])
def test_the_help_needs_neither_hydra_nor_schemas(call: str, tmp_path: Path) -> None:
    script = (
        f"import sys\nfrom daf.cli import commands\ntry: commands.{call}\nexcept SystemExit: pass\n"
        "slow = {'hydra', 'omegaconf', 'pydantic', 'yaml', 'numpy', 'rich', 'torch', 'mlflow', 'cogames'}\n"
        "print('IMPORTED', sorted(slow & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert re.search(r"^Usage: daf", done.stdout, re.MULTILINE)
    assert done.stdout.endswith("IMPORTED []\n")
