"""The compare task: what it says on real episodes, what it refuses to say, and what it leaves behind."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from daf.comparison import PairedScores, daf_compare_policies, paired_scores
from daf.comparison.sequential import STOPPED_EARLY, with_sequential_decisions
from daf.comparison.task import Played, conclude
from daf.comparison.verdict import separating_metrics, verdict
from daf.config import DAFConfig, daf_load_config
from daf.environment_checks import daf_check_environment
from daf.errors import DAFConfigError, DAFError
from daf.records import EpisodeRecord
from daf.statistics import Comparison, compare, sequential_comparison
from daf.tracking.tracker import Tracker
from tests.made_up import made_up_record

Load = Callable[..., DAFConfig]
MINING = ("task=compare", "variant=objective_mine", "mission.max_steps=60")


def scored(values: np.ndarray, metric: str = "reward") -> tuple[Comparison, PairedScores]:
    """A comparison of made-up scores, (policies, missions, seeds)."""
    policies, missions = tuple("abcdef"[: values.shape[0]]), tuple(f"m{i}" for i in range(values.shape[1]))
    scores = PairedScores(
        metric=metric, policies=policies, missions=missions, seeds=tuple(range(values.shape[2])), values=values
    )
    return compare(values, policies, missions, rng=np.random.default_rng(0)), scores


def record(policy: str, seed: int, *, reward: float = 1.0, **game: float) -> EpisodeRecord:
    return made_up_record((0, 0), (reward, reward), policies=(policy,), mission="m0", seed=seed, game=game, steps=9)


def test_starter_beats_both_and_everything_is_logged(tiny: Load, tracker: Tracker, store: str) -> None:
    config = tiny(*MINING, "comparison.policies=[starter,random,noop]", "evaluation.episodes=8")
    result = daf_compare_policies(config, tracker)
    assert result.notes[0].startswith("starter beats random by 0.0")
    assert " and noop by 0.09" in result.notes[0]
    assert result.scores.seeds == tuple(range(1_000_000, 1_000_008))
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
        for own, policies in ((tracker, "[noop,random]"), (second, "[noop,starter]")):
            config = tiny("task=compare", f"comparison.policies={policies}", "evaluation.episodes=1")
            daf_compare_policies(config, own)
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
    result = daf_compare_policies(config, tracker)
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
    result = daf_compare_policies(config, tracker)
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
    result = daf_compare_policies(config, tracker)
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
    result = daf_compare_policies(tiny(*MINING, "comparison.policies=[starter,noop]", *options), tracker)
    assert result.sequential is not None
    assert result.sequential.finished
    assert result.scores.seeds == tuple(range(1_000_000, 1_000_000 + len(result.scores.seeds)))
    assert len(result.scores.seeds) == 10
    assert len(result.records) == 20
    pair = result.comparison.pair("starter", "noop")
    assert pair.significant
    assert pair.tests == {}
    assert result.notes[0].startswith("starter beats noop")
    assert any(note.startswith("Stopped after 10 of at most 40 episodes") for note in result.notes)


def test_rounds_end_at_the_most_episodes(tiny: Load, tracker: Tracker) -> None:
    options = (
        "comparison.stopping=sequential",
        "comparison.margin=1e-6",
        "comparison.round_episodes=2",
        "comparison.max_episodes=3",
    )
    result = daf_compare_policies(tiny(*MINING, "comparison.policies=[random,noop]", *options), tracker)
    assert len(result.scores.seeds) == 3
    assert result.comparison.pair("random", "noop").decision == "undecided after 3 episodes per mission"
    assert any("comparison.max_episodes is reached. not enough episodes (3 of 10)" in note for note in result.notes)


def test_the_rounds_of_many_episodes_play_the_fixed_design_seeds() -> None:
    from daf.comparison.task import _rounds

    options = ["comparison.stopping=sequential", "comparison.margin=1", "comparison.max_episodes=25"]
    assert list(_rounds(daf_load_config(overrides=options))) == [(0, 10), (10, 10), (20, 5)]


def test_a_policy_that_always_fails_is_named(tiny: Load, tracker: Tracker) -> None:
    """CoGames' chaos monkey raises at step 10 by design."""
    with pytest.raises(DAFError, match=r"no seed that every policy finished[\s\S]*chaos-monkey failed in 2"):
        daf_compare_policies(tiny("task=compare", "comparison.policies=[noop,chaos-monkey]"), tracker)
    assert len((tracker.output_dir / "comparison" / "episodes.jsonl").read_text().splitlines()) == 2
    assert "Chaos monkey" in (tracker.output_dir / "comparison" / "failures.txt").read_text()


def test_actions_that_were_too_slow_are_told(tracker: Tracker) -> None:
    records = [replace(record(policy, seed), action_timeouts=(3, 0)) for policy in "ab" for seed in range(2)]
    scores = paired_scores(records, [], ("a", "b"), ("m0",), "reward")
    result = conclude(daf_load_config().comparison, Played(records, [], scores, None), tracker)
    assert any(note.startswith("12 actions took longer") for note in result.notes)


def test_fewer_than_two_policies_are_refused(tiny: Load, tracker: Tracker) -> None:
    config = tiny("task=compare", "comparison.policies=[noop]")
    assert [problem.where for problem in daf_check_environment(config).errors] == ["comparison.policies"]
    with pytest.raises(DAFConfigError, match="fewer than two"):
        daf_compare_policies(config, tracker)


def test_a_policy_to_compare_must_load(tiny: Load) -> None:
    config = tiny("task=compare", "comparison.policies=[noop,'class=random,kw.vibe_action_p=x']")
    assert [problem.where for problem in daf_check_environment(config).errors] == ["comparison.policies.1"]


@pytest.mark.parametrize(
    "override",
    ["comparison.stopping=sequential", "comparison.metric=rewards", "comparison.level=1", "comparison.margin=0"],
)
def test_wrong_options_are_refused(override: str) -> None:
    with pytest.raises(DAFConfigError):
        daf_load_config(overrides=[override])


def test_all_numbers_are_on_file(tiny: Load, tracker: Tracker) -> None:
    result = daf_compare_policies(
        tiny(*MINING, "comparison.policies=[starter,random]", "evaluation.episodes=5"), tracker
    )
    scores = pd.read_csv(result.folder / "scores.csv")
    assert np.array_equal(scores["reward"].to_numpy().reshape(2, 1, 5), result.scores.values)
    pairs = pd.read_csv(result.folder / "pairs.csv")
    overall = pairs[pairs["mission"] == "all missions"].iloc[0]
    pair = result.comparison.pair("starter", "random")
    assert overall["difference"] == pair.difference.value
    assert overall["p_corrected"] == pair.p_value
    tests = pd.read_csv(result.folder / "tests.csv")
    assert set(tests["test"]) == {"paired_t", "wilcoxon", "permutation"}
    data = json.loads((result.folder / "comparison.json").read_text())
    assert data["comparison"]["pairs"][0]["difference"]["value"] == pair.difference.value
    assert data["seeds"] == list(result.scores.seeds)
    lines = (result.folder / "episodes.jsonl").read_text().splitlines()
    assert tuple(EpisodeRecord.from_dict(json.loads(line)) for line in lines) == result.records


def test_metrics_of_a_record() -> None:
    own = record("a", 0, reward=2.0, hearts=3.0)
    assert [own.value(metric) for metric in ("reward", "steps", "game/hearts", "agent/none")] == [2.0, 9.0, 3.0, 0.0]


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
    own = ("evaluation.cache=off", f"tracking.uri=sqlite:///{tmp_path / 'mlflow.db'}", f"output_dir={tmp_path / 'out'}")
    command = [sys.executable, "-m", "daf.run", *arguments, *own]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert all(part in done.stdout for part in words)
    assert (tmp_path / "out" / "comparison" / "report.html").is_file()


def test_chance_is_told_with_its_size() -> None:
    values = np.random.default_rng(1).normal(size=(2, 1, 30))
    (first, *_) = verdict(*scored(values), [])
    assert first.startswith("Nothing can be told apart: the largest difference lies within chance. a and b:")
    assert "evaluation.episodes=44" in first  # 90 % power at half a standard deviation (Cohen 1988: 44 pairs)


def test_too_few_episodes_are_told() -> None:
    (first,) = verdict(*scored(np.random.default_rng(1).normal(size=(2, 1, 4))), [])
    assert first == "Nothing can be told apart: not enough episodes (4 of 5). Play more: evaluation.episodes=20."


def test_episodes_that_cannot_reach_the_level_are_told() -> None:
    """Equal sizes leave sign flips alone, and five of them have no p-value below 1/16."""
    one, two = np.ones((2, 1, 5)), np.ones((2, 2, 5))
    one[0] += 1.0
    (first,) = verdict(*scored(one), [])
    assert first == (
        "Nothing can be told apart: 5 episodes per mission cannot reach the error rate of 0.05, however large the"
        " difference; at least 6 are needed (evaluation.episodes=6)."
    )
    two[0] += [[1.0], [2.0]]
    assert verdict(*scored(two), [])[0].startswith("a beats b")
    (chance,) = verdict(*scored(np.random.default_rng(1).normal(size=(2, 1, 5))), [])
    assert "lies within chance" in chance


def test_a_metric_that_depends_on_the_seed_alone_is_told() -> None:
    values = np.tile(np.arange(20.0), (2, 1, 1))
    (first,) = verdict(*scored(values, "steps"), [])
    assert "steps depends on the seed alone" in first


def test_a_misspelt_stat_is_told() -> None:
    records = [record(policy, seed, score=1.0) for policy in "ab" for seed in range(20)]
    (first,) = verdict(*scored(np.zeros((2, 1, 20)), "game/scor"), records)
    assert "no episode reported 'game/scor', so it counts as 0 everywhere. Did you mean score?" in first


def test_a_mission_that_says_otherwise_is_not_pooled_away() -> None:
    noise = np.random.default_rng(2).normal(scale=0.1, size=(2, 2, 20))
    values = noise + np.array([[[3.0], [0.0]], [[0.0], [1.0]]])
    sentences = verdict(*scored(values), [])
    assert sentences[0].startswith("a beats b")
    (exception,) = [sentence for sentence in sentences if sentence.startswith("On m1 alone")]
    assert "b is higher than a" in exception


def test_metrics_that_separate_are_found_in_order() -> None:
    generator = np.random.default_rng(3)
    records = [
        record(policy, seed, near=shift + generator.normal(), far=9 * shift + generator.normal(), same=1.0)
        for policy, shift in (("a", 0.0), ("b", 1.0))
        for seed in range(20)
    ]
    assert separating_metrics(records) == ["game/far", "game/near"]


def test_a_stopped_comparison_claims_only_what_holds_whenever_it_stops() -> None:
    values = np.random.default_rng(4).normal(size=(3, 2, 12)) + np.array([4.0, 0.0, 0.0])[:, None, None]
    comparison, scores = scored(values)
    state = sequential_comparison(values, scores.policies, margin=0.1)
    stopped = with_sequential_decisions(comparison, state)
    first = stopped.pair("a", "b")
    assert (first.significant, first.p_value) == (True, state.pairs[0].p_difference)
    assert first.difference == state.pairs[0].difference
    assert stopped.pair("b", "c").decision == "undecided after 12 episodes per mission"
    assert STOPPED_EARLY in stopped.warnings
    for pair in stopped.pairs:
        assert pair.tests == {}
        if pair.mission:
            assert (pair.p_value, pair.significant) == (None, False)


def test_rounds_that_decide_nothing_say_what_to_raise() -> None:
    values = np.random.default_rng(5).normal(size=(2, 1, 12))
    comparison, scores = scored(values)
    state = sequential_comparison(values, scores.policies, margin=0.1)
    (first,) = verdict(with_sequential_decisions(comparison, state), scores, [])
    assert first.startswith("Nothing can be told apart: a and b: undecided after 12 episodes per mission (difference")
    assert first.endswith("Raise comparison.max_episodes.")


def test_seeds_that_somebody_did_not_finish_are_left_out_for_all() -> None:
    from daf.episodes.outcomes import EpisodeFailure
    from daf.records import EpisodePlan, MissionSpec, PolicySpec

    spec = PolicySpec(name="b", class_path="b")
    plan = EpisodePlan(mission=MissionSpec(name="m0"), policies=(spec,), assignments=(0,), seed=1)
    records = [record("a", seed, reward=float(seed)) for seed in range(3)] + [record("b", seed) for seed in (0, 2)]
    failures = [EpisodeFailure(plan=plan, traceback="", attempts=1)]
    scores = paired_scores(records, failures, ["a", "b"], ["m0"], "reward")
    assert (scores.seeds, scores.incomplete) == ((0, 2), (1,))
    assert scores.values.tolist() == [[[0.0, 2.0]], [[1.0, 1.0]]]
