"""`task=missions` as a whole."""

from collections.abc import Callable

import pytest
from mlflow import MlflowClient

from daf.config import DAFConfig
from daf.mission_analysis import daf_show_missions
from daf.tracking.tracker import Tracker
from tests.promised_results import keeps_promises

Load = Callable[..., DAFConfig]


def test_behaviour_is_shown_and_logged(tiny: Load, tracker: Tracker, store: str) -> None:
    config = tiny(
        "task=missions",
        "variant=mining",
        "mission.max_steps=60",
        "evaluation.episodes=10",
        "evaluation.baselines=[noop]",
        "level=0.9",
    )
    result = daf_show_missions(config, tracker)
    keeps_promises("missions", result)
    missions, variants, behaviour, *_ = result.tables
    assert len(missions.rows) == 51
    assert len(variants.rows) == 41
    assert "(90% intervals over episodes)" in behaviour.title
    assert behaviour.columns == ("behaviour", "starter", "noop")
    rows = {row[0]: row[1:] for row in behaviour.rows}
    assert rows["episodes"] == ("10", "10")
    assert rows["share of agents stuck"][1] == "1"
    success = rows["success: reward > noop's on the same seed"]
    assert success[1].endswith("0 of 10")
    assert "10 episodes a mission: intervals are only reliable from 20 on" in result.notes
    assert any("noop on cogsguard_arena.basic: reward is the same in all 10 episodes" in note for note in result.notes)
    tracker.close("FINISHED")
    client = MlflowClient(store)
    metrics = client.get_run(tracker.run_id).data.metrics
    assert metrics["behaviour/share of agents stuck/noop/cogsguard_arena.basic"] == 1
    assert "missions/episodes.jsonl" in [file.path for file in client.list_artifacts(tracker.run_id, "missions")]


def test_failures_are_named_with_the_file_that_holds_them(
    tiny: Load, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CoGames' chaos monkey raises at step 10 by design."""
    monkeypatch.setattr("daf.mission_analysis.task._listings", lambda mission, everything: [])
    result = daf_show_missions(tiny("task=missions", "policy=noop", "evaluation.baselines=[chaos-monkey]"), tracker)
    (note,) = [note for note in result.notes if "2 episodes failed, the first with chaos-monkey" in note]
    assert note.endswith("All tracebacks: missions/failures.txt")
    assert "Chaos monkey" in (tracker.output_dir / "missions" / "failures.txt").read_text()
    rows = {row[0]: row[1] for row in result.tables[0].rows}
    assert rows["success: reward > noop's on the same seed"].endswith("0 of 2")


@pytest.mark.slow
def test_everything_is_checked_on_request(tiny: Load, tracker: Tracker) -> None:
    """As measured of CoGames 0.17.1: 14 missions cannot be played as they are, and pairs fail only with multi_team."""
    config = tiny("task=missions", "analysis.check=all", "evaluation.baselines=[]")
    missions, _, conflicts, *_ = daf_show_missions(config, tracker).tables
    playable = {row[0]: row[-1] for row in missions.rows}
    assert sum(answer == "with mission.cogs=4" for answer in playable.values()) == 13
    assert playable["training_facility.easy_hearts_training"].startswith("no: ")
    assert all("multi_team" in row[:2] for row in conflicts.rows)
    assert {"caves", "city", "desert", "forest"} <= {row[1] for row in conflicts.rows}
