"""Recorded episodes of an evaluation: the right ones are played again, drawn and logged."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from daf.config import DAFConfig
from daf.evaluation.task import daf_evaluate
from daf.tracking.tracker import Tracker
from daf.visualization.replays import daf_read_replay

Load = Callable[..., DAFConfig]


def test_an_evaluation_records_and_logs_its_replays(tiny: Load, tracker: Tracker, store: str) -> None:
    config = tiny(
        "task=evaluate",
        "variant=mining",
        "evaluation.policies=[starter,'class=random,name=<b>/dice']",
        "evaluation.episodes=4",
        "evaluation.replays=true",
        "mission.cogs=4",
        "mission.max_steps=60",
    )
    result = daf_evaluate(config, tracker)
    folders = sorted((tracker.output_dir / "replays").iterdir())
    assert [folder.name for folder in folders] == [
        "1-starter-cogsguard_arena.basic",
        "2-_b_dice-cogsguard_arena.basic",
    ]
    assert [note for note in result.notes if "viewer.html" in note] == [
        f"Replays: {folder / 'viewer.html'}" for folder in folders
    ]
    rewards = sorted(result.rewards("<b>/dice", "cogsguard_arena.basic").values(), reverse=True)
    for label, expected in (("best", rewards[0]), ("median", rewards[2]), ("worst", rewards[-1])):
        replay = daf_read_replay(folders[1] / f"{label}.json.z")
        assert replay.mean_reward(replay.steps - 1) == pytest.approx(expected, abs=1e-5), label
    assert rewards[0] > rewards[-1]
    tracker.close("FINISHED")
    client = MlflowClient(store)
    logged = [file.path for file in client.list_artifacts(tracker.run_id, f"replays/{folders[1].name}")]
    assert [Path(path).name for path in logged] == sorted(
        [f"{label}.{suffix}" for label in ("best", "median", "worst") for suffix in ("gif", "json.z")] + ["viewer.html"]
    )
    assert "daf.warning" not in client.get_run(tracker.run_id).data.tags
