"""The command that shows and clears the cache."""

from pathlib import Path

import pytest

from daf.cli.cache import main
from daf.episodes.play import daf_play_episodes
from daf.records import EpisodePlan, MissionSpec, PolicySpec


def test_show_and_clear(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mission = MissionSpec(name="cogsguard_arena.basic", cogs=2, max_steps=5)
    policies = (PolicySpec(name="still", class_path="noop"),)
    plans = [EpisodePlan(mission=mission, policies=policies, assignments=(0, 0), seed=seed) for seed in range(3)]
    daf_play_episodes(plans, cache="on", cache_dir=tmp_path)
    assert _ends(["show", "--dir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "3 episodes" in shown
    assert "still" in shown
    assert _ends(["clear", "--dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "3 episodes removed\n"
    assert _ends(["show", "--dir", str(tmp_path)]) == 0
    assert "0 episodes" in capsys.readouterr().out
    assert _ends(["drop"]) == 2


def _ends(arguments: list[str]) -> object:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code
