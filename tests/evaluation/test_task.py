"""The evaluate task, end to end on real episodes."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from daf.config import DAFConfig
from daf.episodes.plans import unique_names
from daf.episodes.played import Played
from daf.errors import DAFError
from daf.evaluation.task import daf_evaluate
from daf.records import EpisodePlan, EpisodeRecord, PolicySpec
from daf.tracking.tracker import Tracker
from tests.made_up import made_up_episode
from tests.promised_results import keeps_promises

Load = Callable[..., DAFConfig]


def test_policies_share_seeds_and_everything_is_logged(tiny: Load, tracker: Tracker, store: str) -> None:
    config = tiny(
        "task=evaluate",
        "policy=starter",
        "variant=credit",
        "evaluation.policies=[starter,random,'class=random,kw.vibe_action_p=0']",
    )
    result = daf_evaluate(config, tracker)
    keeps_promises("evaluate", result)
    assert result.policies == ("starter", "random", "random (2)")
    assert [record.seed for record in result.records] == [1_000_000, 1_000_001] * 3
    assert result.objective == pytest.approx(sum(r.reward() for r in result.records[:2]) / 2)
    seeds = result.rewards("random", "cogsguard_arena.basic")
    assert list(seeds) == [1_000_000, 1_000_001]
    (table,) = result.tables
    assert [row[0] for row in table.rows] == ["starter", "random", "random (2)"]
    tracker.close("FINISHED")
    stored = [EpisodeRecord.from_dict(json.loads(line)) for line in result.records_path.read_text().splitlines()]
    assert tuple(stored) == result.records
    frame = pd.read_csv(result.records_path.with_suffix(".csv"))
    assert frame["reward"].tolist() == pytest.approx([record.reward() for record in result.records])
    assert "agent/action.move.success" in frame
    client = MlflowClient(store)
    metrics = client.get_run(tracker.run_id).data.metrics
    assert metrics["evaluation/reward/random _2_/cogsguard_arena.basic"] == pytest.approx(
        result.records[4].reward() / 2 + result.records[5].reward() / 2
    )
    assert metrics["evaluation/failed_episodes"] == 0
    names = {item.path for item in client.list_artifacts(tracker.run_id, "evaluation")}
    assert names >= {"evaluation/episodes.jsonl", "evaluation/episodes.csv"}


def test_many_missions(tiny: Load, tracker: Tracker) -> None:
    config = tiny(
        "task=evaluate",
        "policy=noop",
        "mission.cogs=4",
        "evaluation.episodes=1",
        "evaluation.missions=[cogsguard_arena.basic,'evals.diagnostic_chest_navigation*']",
    )
    result = daf_evaluate(config, tracker)
    assert len(result.missions) == len({record.mission for record in result.records}) == 7
    assert result.tables[0].columns[1] == "mission"


def test_the_level_of_the_config_is_that_of_the_intervals(
    tiny: Load, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made_up(config: DAFConfig, plans: Sequence[EpisodePlan], folder: str) -> Played:
        return Played.of(
            replace(made_up_episode(plan.seed, reward=plan.seed % 7), mission_name=plan.mission.name) for plan in plans
        )

    monkeypatch.setattr("daf.evaluation.task.play_with_progress", made_up)
    options = ("task=evaluate", "evaluation.policies=['class=noop,name=p']", "evaluation.episodes=20")
    bounds = {}
    for level in ("0.99", "0.6"):
        (table,) = daf_evaluate(tiny(*options, f"level={level}"), tracker).tables
        assert table.columns[3] == f"{100 * float(level):g}% interval"
        bounds[level] = [float(bound) for bound in table.rows[0][3].split(" to ")]
    assert bounds["0.99"][0] < bounds["0.6"][0] < bounds["0.6"][1] < bounds["0.99"][1]


def test_failed_episodes_are_noted_and_the_others_kept(tiny: Load, tracker: Tracker, store: str) -> None:
    """CoGames' chaos monkey raises at step 10 by design."""
    result = daf_evaluate(tiny("task=evaluate", "evaluation.policies=[noop,chaos-monkey]"), tracker)
    assert [record.policies for record in result.records] == [("noop",)] * 2
    assert len(result.failures) == 2
    assert "2 episodes failed" in result.notes[0]
    assert "RuntimeError" in (result.records_path.parent / "failures.txt").read_text()
    tracker.close("FINISHED")
    assert MlflowClient(store).get_run(tracker.run_id).data.metrics["evaluation/failed_episodes"] == 2


def test_nothing_but_failures_is_a_failure(tiny: Load, tracker: Tracker) -> None:
    with pytest.raises(DAFError, match=r"no episode could be played[\s\S]*RuntimeError"):
        daf_evaluate(tiny("task=evaluate", "evaluation.policies=[chaos-monkey]"), tracker)


def test_a_baseline_does_not_stand_in_for_the_policy_under_test(tiny: Load, tracker: Tracker, store: str) -> None:
    config = tiny("task=evaluate", "policy.class_path=chaos-monkey", "evaluation.baselines=[noop]")
    with pytest.raises(DAFError, match=r"no episode could be played by chaos-monkey[\s\S]*step 10"):
        daf_evaluate(config, tracker)
    tracker.close("FAILED")
    metrics = MlflowClient(store).get_run(tracker.run_id).data.metrics
    assert metrics["evaluation/failed_episodes"] == 2
    assert "evaluation/reward/noop/cogsguard_arena.basic" in metrics


@pytest.mark.parametrize("relative", [False, True])
def test_a_mission_file_has_its_metrics_wherever_it_lies(
    tiny: Load, tracker: Tracker, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, relative: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.py"
    path.write_text(
        "from cogames.cli.mission import get_mission\n"
        "def get_config():\n    return get_mission('cogsguard_arena.basic', cogs=2, steps=20)[1]\n"
    )
    name = f"../{tmp_path.name}/./mine.py" if relative else str(path)
    options = ("task=evaluate", "policy=noop", "mission.cogs=null", "evaluation.episodes=1")
    daf_evaluate(tiny(*options, f"evaluation.missions=[{name}]"), tracker)
    tracker.close("FINISHED")
    metrics = MlflowClient(store).get_run(tracker.run_id).data.metrics
    assert metrics["evaluation/failed_episodes"] == 0
    assert [key for key in metrics if key.startswith("evaluation/reward/noop/") and key.endswith("/mine.py")]


def test_an_untrained_network_is_warned_about(tiny: Load, tracker: Tracker, store: str) -> None:
    daf_evaluate(tiny("task=evaluate", "policy=stateless", "evaluation.episodes=1"), tracker)
    tracker.close("FINISHED")
    assert "no weights" in MlflowClient(store).get_run(tracker.run_id).data.tags["daf.warning"]


def test_names_are_unique() -> None:
    specs = [PolicySpec(name=name, class_path="noop") for name in ("a", "b", "a", "a")]
    assert [spec.name for spec in unique_names(specs)] == ["a", "b", "a (2)", "a (3)"]
    taken = [PolicySpec(name=name, class_path="noop") for name in ("a", "a", "a (2)")]
    assert [spec.name for spec in unique_names(taken)] == ["a", "a (2)", "a (2) (2)"]
