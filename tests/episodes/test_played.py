"""What every task tells about the episodes that it played."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from daf.config import DAFConfig
from daf.episodes.played import Played, play_with_progress
from daf.records import EpisodePlan
from daf.tasks import find_task
from daf.tracking.tracker import Tracker

Load = Callable[..., DAFConfig]


@pytest.mark.parametrize(
    "options",
    [
        ("task=vor", "vor.pool=[noop]"),
        ("task=tournament", "tournament.policies=[stateless,noop]", "tournament.seeds=1"),
        ("task=benchmark", "benchmark.suite=integrated", "benchmark.scripted=[starter]", "mission.cogs=null"),
        ("task=ablation", "+ablation.parts.network.set={policy:noop}"),
        ("task=missions", "evaluation.baselines=[]"),
    ],
    ids=lambda options: options[0],
)
def test_slow_actions_and_missing_weights_are_noted(
    tiny: Load,
    tracker: Tracker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    options: tuple[str, ...],
) -> None:
    """Policies that play below their strength are not compared in silence."""

    def slowly(config: DAFConfig, plans: Sequence[EpisodePlan], folder: str) -> Played:
        played = play_with_progress(config, plans, folder)
        first, *others = played.records
        return replace(played, records=(replace(first, action_timeouts=(7,)), *others))

    monkeypatch.setattr("daf.episodes.played.play_with_progress", slowly)
    monkeypatch.setattr("daf.mission_analysis.task._listings", lambda mission, everything: [])
    config = tiny("policy=stateless", *options, "mission.max_steps=5", "evaluation.episodes=1")
    result = find_task(config.task).run(config, tracker)
    assert sum("actions took longer than evaluation.max_action_time_ms" in note for note in result.notes) == 1
    assert "has no weights" in caplog.text
