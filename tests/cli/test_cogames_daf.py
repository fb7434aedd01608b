"""CoGames' command line with DAF's commands in it."""

import re
import subprocess
import sys
from pathlib import Path

from daf.cli.doors import FRONTS

RUN = """
import sys
from daf.cli import cogames_daf
for words in {calls!r}:
    sys.argv = ["cogames-daf", *words]
    try:
        cogames_daf.main()
    except SystemExit as ended:
        print("ENDED", ended.code, "cogames.main" in sys.modules, flush=True)
"""


def called(folder: Path, *calls: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN.format(calls=calls)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)


def test_dafs_commands_are_dispatched_without_cogames(tmp_path: Path) -> None:
    done = called(tmp_path, ["daf-train", "--help"], ["daf-compare", "task=train"])
    assert re.findall("ENDED.*", done.stdout) == ["ENDED 0 False", "ENDED 2 False"]
    assert done.stdout.startswith("daf-train: ")
    assert "daf-compare: 1 problem in the request" in done.stderr


def test_the_help_is_cogames_own_with_a_panel_and_so_are_its_commands(tmp_path: Path) -> None:
    done = called(tmp_path, ["--help"], ["version"], ["nope"])
    help_text, version, *_ = re.split("ENDED.*", done.stdout)
    panel = help_text[help_text.index(" DAF ") :]
    assert "Usage: cogames-daf" in help_text
    assert "scrimmage" in help_text[: help_text.index(" DAF ")]
    for program in FRONTS:
        assert re.search(rf"\b{program}\b", panel)
    assert "0.17.1" in version
    assert re.findall("ENDED.*", done.stdout)[-1] == "ENDED 2 True"
    assert "No such command 'nope'" in done.stderr
