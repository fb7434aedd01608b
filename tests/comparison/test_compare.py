"""The compare task: what it says on real episodes, what it refuses to say, and what it leaves behind."""

import html
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from daf.comparison import PolicyComparisonResult, daf_compare_policies, paired_scores
from daf.comparison.compare import Played, conclude
from daf.config import DAFConfig, daf_load_config
from daf.environment_checks import daf_check_environment
from daf.errors import DAFConfigError, DAFError
from daf.records import EpisodeRecord
from daf.run import daf_run
from daf.tracking.tracker import Tracker
from tests.made_up import made_up_record
from tests.promised_results import keeps_promises

Load = Callable[..., DAFConfig]
MINING = ("task=compare", "variant=objective_mine", "mission.max_steps=60")


def compared(config: DAFConfig, tracker: Tracker) -> PolicyComparisonResult:
    """A comparison of policies as they are."""
    result = daf_compare_policies(config, tracker)
    keeps_promises("compare", result)
    assert isinstance(result, PolicyComparisonResult)
    return result


def record(policy: str, seed: int, *, reward: float = 1.0, **game: float) -> EpisodeRecord:
    return made_up_record((0, 0), (reward, reward), policies=(policy,), mission="m0", seed=seed, game=game, steps=9)


def test_starter_beats_both_and_everything_is_logged(tiny: Load, tracker: Tracker, store: str) -> None:
    config = tiny(*MINING, "comparison.policies=[starter,random,noop]", "evaluation.episodes=12")
    result = compared(config, tracker)
    assert result.notes[0].startswith("starter beats random by 0.0")
    assert " and noop by 0.09" in result.notes[0]
    assert result.scores.seeds == tuple(range(1_000_000, 1_000_012))
    assert result.objective == pytest.approx(result.scores.values[0].mean())
    by_hand = np.mean([r.reward() for r in result.records if r.policies == ("random",)])
    assert result.comparison.summary("random").mean.value == pytest.approx(by_hand)
    tracker.close("FINISHED")
    client = MlflowClient(store)
    run = client.get_run(tracker.run_id)
    metrics = run.data.metrics
    assert metrics["comparison/mean/random/all missions"] == pytest.approx(by_hand)
    assert metrics["comparison/mean/random/cogsguard_arena.basic"] == pytest.approx(by_hand)
    assert metrics["comparison/p/starter - noop/all missions"] < 0.05
    assert metrics["comparison/significant_pairs"] >= 2
    names = {Path(item.path).name for item in client.list_artifacts(tracker.run_id, "comparison")}
    tables = {f"{name}.csv" for name in ("summaries", "pairs", "tests", "profiles", "scores")}
    boards = {f"leaderboard.{kind}" for kind in ("json", "csv", "md")}
    assert names == {
        *tables,
        *boards,
        *("report.html", "comparison.json", "episodes.jsonl", "plots", "summary_table.json", "pairs_table.json"),
    }
    plots = {Path(item.path).name for item in client.list_artifacts(tracker.run_id, "comparison/plots")}
    assert plots == {"policies.png", "differences.png", "profiles.png"}


def test_two_comparisons_stand_side_by_side_in_mlflow(
    tiny: Load, tracker: Tracker, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's UI joins the tables of several runs that carry its tag, as `load_table` does."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    (tmp_path / "second").mkdir()
    with Tracker(tracker.client, tracker.experiment_id, "second", tmp_path / "second") as second:
        for each, policies in ((tracker, "[noop,random]"), (second, "[noop,starter]")):
            config = tiny("task=compare", f"comparison.policies={policies}", "evaluation.episodes=1")
            compared(config, each)
    tracker.close("FINISHED")
    run_ids = [tracker.run_id, second.run_id]
    for name in ("summary_table", "pairs_table"):
        frame = MlflowClient(store).load_table(
            tracker.experiment_id, f"comparison/{name}.json", run_ids=run_ids, extra_columns=["run_id"]
        )
        assert set(frame["run_id"]) == set(run_ids)
        if name == "summary_table":
            assert frame.set_index("run_id").loc[second.run_id, "policy"].tolist() == ["noop", "starter"]


def test_a_constant_reward_is_named_as_the_reason(tiny: Load, tracker: Tracker) -> None:
    config = tiny("task=compare", "comparison.policies=[starter,noop]", "evaluation.episodes=5")
    result = compared(config, tracker)
    assert result.notes[0].startswith("Nothing can be told apart: reward is constant; every policy scored exactly 1.0")
    assert "variant=objective_mine" in result.notes[0]
    assert "comparison.metric=agent/" in result.notes[0]
    assert not any(pair.significant for pair in result.comparison.pairs)


def test_any_stat_can_be_compared(tiny: Load, tracker: Tracker) -> None:
    config = tiny(
        "task=compare",
        "comparison.policies=[noop,random,noop]",
        "comparison.metric=agent/action.move.success",
        "evaluation.episodes=6",
    )
    result = compared(config, tracker)
    assert result.scores.policies == ("noop", "random", "noop (2)")
    assert not result.scores.values[[0, 2]].any()  # CoGames leaves the stat out for a policy that never moves
    assert result.notes[0].startswith("random is higher than noop by")
    assert result.comparison.pair("noop", "noop (2)").decision == "identical in every episode"


def test_missions_stay_apart(tiny: Load, tracker: Tracker, store: str) -> None:
    missions = "[cogsguard_arena.basic,evals.diagnostic_chest_navigation1]"
    config = tiny(
        *MINING,
        *("mission.cogs=4", f"evaluation.missions={missions}", "evaluation.episodes=5"),
        "comparison.policies=[starter,noop]",
    )
    result = compared(config, tracker)
    assert result.scores.values.shape == (2, 2, 5)
    by_mission = {
        mission: np.mean(
            [r.reward() for r in result.records if (r.policies, r.mission_name) == (("starter",), mission)]
        )
        for mission in result.scores.missions
    }
    for mission, mean in by_mission.items():
        assert result.comparison.summary("starter", mission).mean.value == pytest.approx(mean)
    assert result.objective == pytest.approx(np.mean(list(by_mission.values())))
    assert [row[1] for row in result.tables[1].rows] == ["all missions", *result.scores.missions]
    tracker.close("FINISHED")
    client = MlflowClient(store)
    plots = {Path(item.path).name for item in client.list_artifacts(tracker.run_id, "comparison/plots")}
    assert plots >= {"policies_cogsguard_arena.basic.png", "policies_evals.diagnostic_chest_navigation1.png"}
    name = "comparison/mean/starter/evals.diagnostic_chest_navigation1"
    assert client.get_run(tracker.run_id).data.metrics[name] == pytest.approx(
        by_mission["evals.diagnostic_chest_navigation1"]
    )


def test_rounds_end_when_every_pair_is_decided(tiny: Load, tracker: Tracker) -> None:
    options = ("comparison.stopping=sequential", "comparison.margin=0.01", "comparison.max_episodes=40")
    result = compared(tiny(*MINING, "comparison.policies=[starter,random]", *options), tracker)
    assert result.sequential is not None
    assert result.sequential.finished
    assert result.scores.seeds == tuple(range(1_000_000, 1_000_000 + len(result.scores.seeds)))
    assert len(result.scores.seeds) == 30
    assert len(result.records) == 60
    pair = result.comparison.pair("starter", "random")
    assert pair.significant
    assert pair.tests == {}
    assert result.notes[0].startswith("starter beats random")
    assert any(note.startswith("Stopped after 30 of at most 40 episodes") for note in result.notes)


def test_rounds_end_at_the_most_episodes(tiny: Load, tracker: Tracker) -> None:
    options = (
        "comparison.stopping=sequential",
        "comparison.margin=1e-6",
        "comparison.round_episodes=2",
        "comparison.max_episodes=3",
    )
    result = compared(tiny(*MINING, "comparison.policies=[random,noop]", *options), tracker)
    assert len(result.scores.seeds) == 3
    assert result.comparison.pair("random", "noop").decision == "undecided after 3 episodes per mission"
    assert any("comparison.max_episodes is reached. not enough episodes (3 of 20)" in note for note in result.notes)


def test_the_rounds_of_many_episodes_play_the_fixed_design_seeds() -> None:
    from daf.comparison.compare import _rounds

    options = ["comparison.stopping=sequential", "comparison.margin=1", "comparison.max_episodes=25"]
    assert list(_rounds(daf_load_config(overrides=options))) == [(0, 10), (10, 10), (20, 5)]


def test_a_declared_range_decides_what_never_varies(tracker: Tracker) -> None:
    records = [record(policy, seed, reward=float(policy == "a")) for policy in "ab" for seed in range(30)]
    scores = paired_scores(records, [], ("a", "b"), ("m0",), "reward")
    options = daf_load_config().comparison
    unknown = conclude(options, Played(records, [], scores, None), tracker)
    assert "comparison.range" in unknown.notes[0]
    assert unknown.tables[1].rows[0][-1].startswith("cannot tell")
    known = conclude(options.model_copy(update={"range": (0.0, 1.0)}), Played(records, [], scores, None), tracker)
    assert known.notes[0].startswith("a beats b by 1.0000 [0.")
    with pytest.raises(DAFError, match=r"a reward of 0 was played, which comparison.range=\[2,3\]"):
        conclude(options.model_copy(update={"range": (2.0, 3.0)}), Played(records, [], scores, None), tracker)


def test_rounds_use_the_range_that_steps_have_of_themselves(tiny: Load, tracker: Tracker) -> None:
    """All episodes run to their end: alike from the bets' side, and no note asks for a range."""
    options = ("comparison.stopping=sequential", "comparison.margin=40", "comparison.metric=steps")
    result = compared(tiny("task=compare", *MINING[1:], "comparison.policies=[noop,noop]", *options), tracker)
    assert result.sequential is not None
    assert result.sequential.pairs[0].decision == "identical"
    assert result.sequential.pairs[0].difference.interval is not None


def test_a_policy_that_always_fails_is_named(tiny: Load, tracker: Tracker) -> None:
    """CoGames' chaos monkey raises at step 10 by design."""
    with pytest.raises(DAFError, match=r"no seed that every policy finished[\s\S]*chaos-monkey failed in 2"):
        compared(tiny("task=compare", "comparison.policies=[noop,chaos-monkey]"), tracker)
    assert len((tracker.output_dir / "comparison" / "episodes.jsonl").read_text().splitlines()) == 2
    assert "Chaos monkey" in (tracker.output_dir / "comparison" / "failures.txt").read_text()


def test_a_note_counts_actions_that_were_too_slow(tracker: Tracker) -> None:
    records = [replace(record(policy, seed), action_timeouts=(3, 0)) for policy in "ab" for seed in range(2)]
    scores = paired_scores(records, [], ("a", "b"), ("m0",), "reward")
    result = conclude(daf_load_config().comparison, Played(records, [], scores, None), tracker)
    assert any(note.startswith("12 actions took longer") for note in result.notes)


def test_less_can_be_better_and_weights_are_named_as_such(tracker: Tracker) -> None:
    policies = "comparison.policies=['class=lstm,data=mine.pt,name=mine',noop,random,starter]"
    deaths = ("comparison.metric=game/deaths", "comparison.direction=minimize")
    options = daf_load_config(overrides=[policies, *deaths]).comparison
    names, rng = ("mine", "noop", "random", "starter"), np.random.default_rng(0)
    expected = dict(zip(names, (1.0, 9.0, 9.0, 9.0), strict=True))
    records = [record(name, seed, deaths=expected[name] + rng.normal()) for name in names for seed in range(20)]
    scores = paired_scores(records, [], names, ("m0",), options.metric)
    result = conclude(options, Played(records, [], scores, None), tracker)
    assert result.notes[0].startswith("mine beats noop by ")
    (weights,) = [note for note in result.notes if note.startswith("Trained weights: mine.")]
    assert "about these weights" in weights
    assert {row[0]: row[1] for row in result.tables[0].rows} == {
        "mine": "a",
        "noop": "b",
        "random": "b",
        "starter": "b",
    }
    board = json.loads((result.report.folder / "leaderboard.json").read_text())
    assert (board["entries"][0]["policy"], board["direction"], board["groups"]["noop"]) == ("mine", "minimize", "b")
    assert "groups.png" in {path.name for path in result.report.plots}
    assert result.report.html is not None
    assert "lower is better" in result.report.html.read_text()


def test_fewer_than_two_policies_are_refused(tiny: Load, tracker: Tracker) -> None:
    config = tiny("task=compare", "comparison.policies=[noop]")
    assert [problem.where for problem in daf_check_environment(config).errors] == ["comparison.policies"]
    with pytest.raises(DAFConfigError, match="fewer than two"):
        compared(config, tracker)


def test_a_policy_to_compare_must_load(tiny: Load) -> None:
    config = tiny("task=compare", "comparison.policies=[noop,'class=random,kw.vibe_action_p=x']")
    assert [problem.where for problem in daf_check_environment(config).errors] == ["comparison.policies.1"]


@pytest.mark.parametrize(
    "override",
    [
        *("comparison.stopping=sequential", "comparison.metric=rewards", "comparison.level=1", "comparison.margin=0"),
        *("comparison.range=[1,0]", "comparison.range=[0,.inf]", "comparison.range=[1]", "comparison.range=1"),
    ],
)
def test_wrong_options_are_refused(override: str) -> None:
    with pytest.raises(DAFConfigError):
        daf_load_config(overrides=[override])


def test_all_numbers_are_on_file(tiny: Load, tracker: Tracker) -> None:
    result = compared(tiny(*MINING, "comparison.policies=[starter,random]", "evaluation.episodes=5"), tracker)
    scores = pd.read_csv(result.report.folder / "scores.csv")
    assert np.array_equal(scores["reward"].to_numpy().reshape(2, 1, 5), result.scores.values)
    pairs = pd.read_csv(result.report.folder / "pairs.csv")
    overall = pairs[pairs["mission"] == "all missions"].iloc[0]
    pair = result.comparison.pair("starter", "random")
    assert overall["difference"] == pair.difference.value
    assert overall["p_corrected"] == pair.p_value
    tests = pd.read_csv(result.report.folder / "tests.csv")
    assert set(tests["test"]) == {"paired_t", "wilcoxon", "permutation"}
    data = json.loads((result.report.folder / "comparison.json").read_text())
    assert data["comparison"]["pairs"][0]["difference"]["value"] == pair.difference.value
    assert data["seeds"] == list(result.scores.seeds)
    lines = (result.report.folder / "episodes.jsonl").read_text().splitlines()
    assert tuple(EpisodeRecord.from_dict(json.loads(line)) for line in lines) == result.records


def test_metrics_of_a_record() -> None:
    one = record("a", 0, reward=2.0, hearts=3.0)
    assert [one.value(metric) for metric in ("reward", "steps", "game/hearts", "agent/none")] == [
        2.0,
        9.0,
        3.0,
        0.0,
    ]


def test_loading_the_task_imports_nothing_heavy() -> None:
    code = (
        "import sys; from daf.config import daf_load_config; from daf.tasks import find_task;"
        "find_task(daf_load_config(overrides=['task=compare']).task);"
        "print([m for m in ('torch', 'mlflow', 'cogames', 'matplotlib', 'pandas', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("objective_mine", ("starter beats random by", " and noop by")),
        ("none", ("Nothing can be told apart: reward is constant", "variant=objective_mine")),
    ],
)
def test_the_command_line_of_the_readme(tmp_path: Path, variant: str, words: tuple[str, ...]) -> None:
    arguments = ("task=compare", "comparison.policies=[starter,random,noop]", f"variant={variant}", "device=cpu")
    apart = (
        "evaluation.cache=off",
        f"tracking.uri=sqlite:///{tmp_path / 'mlflow.db'}",
        f"output_dir={tmp_path / 'out'}",
    )
    command = [sys.executable, "-m", "daf.run", *arguments, *apart]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert all(part in done.stdout for part in words)
    assert (tmp_path / "out" / "comparison" / "report.html").is_file()


def test_the_report_says_where_it_comes_from_and_leads_to_its_replays(tiny: Load) -> None:
    overrides = ("task=compare", "comparison.policies=[starter,noop]", "evaluation.replays=true")
    result = daf_run(tiny(*overrides), overrides=overrides)
    assert isinstance(result, PolicyComparisonResult)
    assert result.report.html is not None
    pages = [note.removeprefix("Replays: ") for note in result.notes if note.startswith("Replays: ")]
    assert [Path(page).is_file() for page in pages] == [True, True]
    text = result.report.html.read_text()
    links = re.findall(r'href="([^"]+)"', text)
    assert [str((result.report.folder / link).resolve()) for link in links] == pages
    typed = "python -m daf.run task=compare 'comparison.policies=[starter,noop]' evaluation.replays=true"
    assert html.escape(typed) in text
    assert result.records[0].policy_digests[0][:12] in text
    assert "1000000 to 1000001" in text


def test_the_pilot_that_is_proposed_is_no_smaller_than_a_pilot_may_be(tiny: Load) -> None:
    result = daf_run(tiny("task=compare", "comparison.policies=[noop,starter]", "evaluation.episodes=2"))
    assert result.next is not None
    overrides = [text for text in shlex.split(result.next) if "=" in text]
    assert daf_check_environment(daf_load_config(overrides=overrides)).errors == ()
