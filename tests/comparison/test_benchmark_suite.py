"""The benchmark suite: its missions, its scale, and the unit of its intervals."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from daf.bridge.catalogue import catalogue
from daf.bridge.missions import why_unplayable
from daf.comparison.benchmark_suite import BenchmarkResult, daf_benchmark_suite
from daf.comparison.benchmark_suite.normalised import normalise, score_algorithm
from daf.comparison.benchmark_suite.scales import Scale, measure_scales
from daf.comparison.benchmark_suite.suite import suite_missions
from daf.config import DAFConfig, daf_load_config
from daf.errors import DAFConfigError, DAFError
from daf.run import daf_run
from daf.tracking.tracker import Tracker
from daf.visualization.text import p_text
from tests.promised_results import keeps_promises

Load = Callable[..., DAFConfig]
BENCHMARK = (
    "task=benchmark",
    "policy=noop",
    "mission.cogs=null",
    "mission.max_steps=40",
    "benchmark.scripted=[miner,starter]",
)


@pytest.mark.parametrize(
    ("suite", "count"),
    [("quick", 3), ("diagnostic", 13), ("integrated", 1), ("spanning", 16), ("cogsguard", 15), ("all", 51)],
)
def test_suites_are_cogames_own_sets(suite: str, count: int) -> None:
    specs = suite_missions(daf_load_config(overrides=["task=benchmark", f"benchmark.suite={suite}"]))
    assert len(specs) == len({spec.name for spec in specs}) == count
    if suite not in {"quick", "all"}:
        assert tuple(spec.name for spec in specs) == catalogue().mission_sets[f"{suite}_evals"]
    for spec in specs:
        assert spec.cogs == (4 if spec.name.startswith("evals.diagnostic") else None)
        assert spec.max_steps == (200 if suite == "quick" else None)


def test_what_is_asked_for_comes_before_what_a_suite_proposes() -> None:
    asked = ["task=benchmark", "mission.cogs=2", "mission.max_steps=50"]
    for suite in ("quick", "diagnostic"):
        for spec in suite_missions(daf_load_config(overrides=[*asked, f"benchmark.suite={suite}"])):
            assert (spec.cogs, spec.max_steps) == (2, 50)


def test_the_diagnostics_have_room_for_the_agents_that_they_get() -> None:
    specs = suite_missions(daf_load_config(overrides=["task=benchmark", "benchmark.suite=diagnostic"]))
    assert [why_unplayable(spec) for spec in specs] == [None] * 13


def test_scale_and_scores_by_hand() -> None:
    """Starter is chosen where it leads on the seeds for that, and measured on the others."""
    noop = np.ones((2, 8))
    ramp = np.linspace(-0.1, 0.1, 8)

    def above(gap: float) -> np.ndarray:
        return noop + np.array([[gap], [0.0]]) + ramp

    selection = {"noop": noop, "starter": above(3), "miner": above(2)}
    rewards = {"noop": noop, "starter": above(3), "miner": above(9)}
    first, second = measure_scales(selection, rewards, ["a", "b"], level=0.95)
    assert (first.noop, first.best_policy, first.usable) == (1.0, "starter", True)
    assert first.best == pytest.approx(4.0)
    assert not second.usable
    assert "no scripted policy beats noop beyond chance (starter - noop is" in second.why_not
    assert normalise(rewards["miner"], (first, second)).mean() == pytest.approx(3)


def test_a_hair_more_than_noop_is_no_scale() -> None:
    """The best is noop + 1e-6 in every episode; noop + 0.1 would score 100,000."""
    noop = np.linspace(0, 1, 20)[None]
    references = {"noop": noop, "best": noop + 1e-6}
    (scale,) = measure_scales(references, references, ["m"], [noop + 0.1], level=0.95)
    assert "less than 1% of how far the mean rewards lie apart (0.1000)" in scale.why_not


def test_an_algorithm_equal_to_the_scripted_ones_scores_one_and_no_gap_is_no_scale() -> None:
    """Chosen and measured on the same seeds it scored 0.78, and a mission without a gap counted in 84 %."""
    rng = np.random.default_rng(5)
    names = ["noop", *"abcde"]

    def scales_and_equal(gap: float, missions: int) -> tuple[tuple[Scale, ...], np.ndarray]:
        def play() -> dict[str, np.ndarray]:
            means = {name: 0.0 if name == "noop" else gap for name in names}
            return {name: rng.normal(mean, 1, (missions, 20)) for name, mean in means.items()}

        equal = rng.normal(gap, 1, (missions, 20))
        return measure_scales(play(), play(), [str(m) for m in range(missions)], [equal], level=0.95), equal

    flat, _ = scales_and_equal(0.0, 40)
    assert not [scale for scale in flat if scale.usable]
    scales, equal = scales_and_equal(1.5, 40)
    scores = normalise(equal, scales).mean(axis=1)
    assert len(scores) > 15  # of 40, each tested among 200 gaps
    assert scores.mean() == pytest.approx(1, abs=0.12)


def test_trainings_and_their_shared_seeds_are_both_in_the_interval() -> None:
    """Episodes that hardly differ, trainings that do; then trainings that hardly differ, on seeds that do."""
    rng = np.random.default_rng(2)
    scales = [Scale(mission=name, noop=0.0, best=2.0, best_policy="s") for name in "ab"]
    trainings = [level + rng.normal(0, 0.01, (2, 50)) for level in (0.2, 0.6, 1.0, 1.4, 1.8)]
    many = score_algorithm("many", trainings, scales, level=0.95)
    assert (many.unit, many.trainings) == ("trainings", 5)
    assert many.score.value == pytest.approx(0.5, abs=0.01)
    assert many.score.interval is not None
    assert many.score.interval.high - many.score.interval.low > 0.5
    one = score_algorithm("one", trainings[2:3], scales, level=0.95)
    assert one.unit == "episodes"
    assert one.score.interval is not None
    assert one.score.interval.high - one.score.interval.low < 0.01
    few = score_algorithm("few", trainings[:4], scales, level=0.95)
    assert few.score.interval is None
    assert many.missions == pytest.approx({"a": 0.5, "b": 0.5}, abs=0.01)
    shared = rng.normal(1, 1, (1, 2, 20)) + rng.normal(0, 0.01, (5, 2, 20))
    seeds = score_algorithm("seeds", list(shared), scales, level=0.95)
    assert seeds.score.interval is not None
    assert seeds.score.interval.high - seeds.score.interval.low > 0.2  # 0.01 over trainings alone


def test_a_suite_end_to_end(tiny: Load, tracker: Tracker, store: str) -> None:
    config = tiny(
        *BENCHMARK,
        "+benchmark.algorithms.copy=starter",
        "+benchmark.algorithms.idle=noop",
        "+benchmark.algorithms.dice=random",
        "evaluation.episodes=8",
    )
    result = daf_benchmark_suite(config, tracker)
    keeps_promises("benchmark", result)
    copy, idle, dice = result.algorithms
    assert len(result.records) == 3 * 8 * (6 + 3)
    assert {(scale.best_policy, scale.usable) for scale in result.scales} == {("starter", True)}
    assert set(copy.missions.values()) == {1.0}
    assert set(idle.missions.values()) == {0.0}
    assert 0 <= dice.score.value < 1
    assert result.objective == copy.score.value == 1
    assert (result.scripted[0].score.value, result.scripted[2].score.value) == (0, 1)
    pair = result.pairs[0]
    assert (pair.first, pair.second) == ("copy", "idle")
    assert pair.difference.value == pytest.approx(1)
    overview, by_mission, pairs = result.tables
    assert {row[0] for row in overview.rows} == {"copy", "idle", "dice", "noop (0)", "starter", "miner"}
    assert len(by_mission.rows) == 3
    assert pairs.rows[0][0] == "copy - idle"
    assert pairs.rows[0][-2:] == (p_text(pair.p_value), "not tested")  # the difference is 1 in every episode
    tracker.close("FINISHED")
    client = MlflowClient(store)
    metrics = client.get_run(tracker.run_id).data.metrics
    assert metrics["benchmark/copy/score"] == pytest.approx(copy.score.value)
    files = {item.path for folder in ("benchmark", "plots") for item in client.list_artifacts(tracker.run_id, folder)}
    assert files == {"benchmark/episodes.jsonl", "benchmark/benchmark.json", "plots/benchmark.png"}
    stored = json.loads((tracker.output_dir / "benchmark" / "benchmark.json").read_text())
    assert [each["name"] for each in stored["algorithms"]] == ["copy", "idle", "dice"]


def test_several_trainings_and_the_configured_policy(tiny: Load, tracker: Tracker) -> None:
    calm = [f"'class=random,kw.vibe_action_p={p}'" for p in (0, 0.3)]
    result = daf_benchmark_suite(tiny(*BENCHMARK, f"+benchmark.algorithms.calm=[{','.join(calm)}]"), tracker)
    (calm_score,) = result.algorithms
    assert calm_score.trainings == 2
    trained = {record.policies[0] for record in result.records} - {"noop (0)", "starter", "miner"}
    assert trained == {"calm, training 1", "calm, training 2"}
    assert "not enough trainings of calm (2 of 5)" in " ".join(result.notes)
    assert result.pairs == ()
    alone = daf_benchmark_suite(tiny(*BENCHMARK, "policy=starter", "evaluation.episodes=1"), tracker)
    assert [each.name for each in alone.algorithms] == ["starter"]
    assert [each.name for each in alone.scripted] == ["noop (0)", "miner", "starter (2)"]


def test_missions_without_a_scale_are_named(tiny: Load, store: str) -> None:
    flat = tiny(*BENCHMARK, "benchmark.suite=integrated", "benchmark.scripted=[miner]", "mission.max_steps=10")
    result = daf_run(flat)
    assert isinstance(result, BenchmarkResult)
    assert result.objective is None
    assert [table.title for table in result.tables] == ["Benchmark by mission"]
    assert any(
        "hello_world.energy_starved does not count: no scripted policy beats noop" in note for note in result.notes
    )

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    stored = (Path(flat.output_dir) / "benchmark" / "benchmark.json").read_text()
    assert json.loads(stored, parse_constant=refuse)["algorithms"][0]["score"]["value"] == "nan"


def test_missions_that_cannot_be_built_are_named(tiny: Load, tracker: Tracker) -> None:
    """Of the three, one has 7 agents and two have 8; none can have another number."""
    result = daf_benchmark_suite(tiny(*BENCHMARK, "mission.cogs=7", "evaluation.episodes=1"), tracker)
    assert [scale.mission for scale in result.scales] == ["cogsguard_evals.extractor_hub_50x50"]
    assert len(result.skipped) == 2
    assert "Must be between 8 and 8" in result.notes[0]
    with pytest.raises(DAFError, match=r"could be played by all:[\s\S]*Must be between 7 and 7"):
        daf_benchmark_suite(tiny(*BENCHMARK, "mission.cogs=2"), tracker)


def test_a_mission_on_which_a_policy_fails_is_left_out(tiny: Load, tracker: Tracker) -> None:
    """CoGames' chaos monkey raises at step 10, which episodes of 5 steps do not reach."""
    policies = ("+benchmark.algorithms.monkey=chaos-monkey", "evaluation.episodes=1", "benchmark.suite=integrated")
    with pytest.raises(DAFError, match="monkey failed: RuntimeError"):
        daf_benchmark_suite(tiny(*BENCHMARK, *policies), tracker)
    assert daf_benchmark_suite(tiny(*BENCHMARK, *policies, "mission.max_steps=5"), tracker).skipped == {}


def test_wrong_requests_are_told_before_anything_is_played(tiny: Load) -> None:
    with pytest.raises(DAFConfigError, match=r"benchmark.algorithms.a.0"):
        daf_run(tiny(*BENCHMARK, "+benchmark.algorithms.a={class_path:lstm,weights:missing.pt}"))
    with pytest.raises(DAFConfigError, match=r"benchmark.suite"):
        tiny(*BENCHMARK, "benchmark.suite=quik")
