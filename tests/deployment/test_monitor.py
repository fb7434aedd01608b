"""The task monitor: fresh seeds, a series that is kept, and alarms that hold their level over all looks."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from daf.bridge.missions import mission_digest
from daf.config import DAFConfig
from daf.deployment import MonitoringResult, daf_deploy_policy, daf_monitor_deployment
from daf.deployment.metadata import BundleMetric
from daf.deployment.monitor import Recorded, judge
from daf.episodes.played import Played
from daf.errors import DAFConfigError, DAFError
from daf.records import EpisodePlan
from daf.tracking.store import open_store
from daf.tracking.tracker import Tracker
from tests.deployment.support import made_bundle
from tests.made_up import made_up_episode

Load = Callable[..., DAFConfig]
Look = Callable[..., MonitoringResult]
RECORDED_SEEDS = tuple(range(1_000_000, 1_000_020))


def metric(config: DAFConfig, mean: float, half: float | None) -> BundleMetric:
    return BundleMetric(
        name="reward",
        mission=config.mission.name,
        mission_digest=mission_digest(config.mission_spec()),
        mean=mean,
        low=None if half is None else mean - half,
        high=None if half is None else mean + half,
        level=0.95,
        seeds=RECORDED_SEEDS,
    )


@pytest.fixture
def base(tiny: Load) -> DAFConfig:
    return tiny("task=monitor", "deployment.name=pol", "deployment.unvalidated=true", "evaluation.episodes=10")


@pytest.fixture
def look(tmp_path: Path, store: str) -> Look:
    """Looks at what is deployed, in a run of its own."""
    client, experiment = open_store(store, "looks")
    count = iter(range(100))

    def look(config: DAFConfig) -> MonitoringResult:
        folder = tmp_path / f"look{next(count)}"
        folder.mkdir()
        with Tracker(client, experiment, "look", folder) as own:
            return daf_monitor_deployment(config, own)

    return look


def deploy(config: DAFConfig, tracker: Tracker, folder: Path, metrics: Sequence[BundleMetric]) -> None:
    made = made_bundle(folder, metrics=metrics)
    deployment = config.deployment.model_copy(update={"bundle": str(made.path)})
    daf_deploy_policy(config.model_copy(update={"deployment": deployment}), tracker)


def test_a_series_goes_on_with_seeds_that_no_look_has_played(
    base: DAFConfig, look: Look, tracker: Tracker, store: str, tmp_path: Path
) -> None:
    """Real episodes: noop has the same reward in each."""
    config = base.model_copy(update={"evaluation": base.evaluation.model_copy(update={"episodes": 2})})
    deploy(config, tracker, tmp_path, [metric(config, 0.5, 0.1)])
    first, second = look(config), look(config)
    assert first.seeds == (1_000_020, 1_000_021), "behind those of the recorded score"
    assert second.seeds == (1_000_022, 1_000_023)
    assert (first.episodes, second.episodes) == (2, 4)
    assert second.refused is None
    assert [row[-3:] for row in second.tables[0].rows] == [("4", "2", "no drop shown")]
    client = MlflowClient(store)
    (experiment,) = [each for each in client.search_experiments() if each.name == "looks"]
    newest, *_ = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])
    assert newest.data.metrics["monitor/mean"] == pytest.approx(second.look.mean.value)
    steps = [each.step for each in client.get_metric_history(newest.info.run_id, "monitor/score")]
    assert steps == [1_000_022, 1_000_023]


def scoring(monkeypatch: pytest.MonkeyPatch, score: Callable[[int], float]) -> None:
    """Episodes have the rewards that a test wants."""

    def played(config: DAFConfig, plans: Sequence[EpisodePlan], folder: str) -> Played:
        records = (made_up_episode(plan.seed, reward=score(plan.seed)) for plan in plans)
        found = [
            replace(record, mission_name=plan.mission.name, policies=(plan.policies[0].name,))
            for record, plan in zip(records, plans, strict=True)
        ]
        return Played.of(found)

    monkeypatch.setattr("daf.deployment.monitor.play_matches", played)


def test_a_drop_is_told_with_what_to_do(
    base: DAFConfig, look: Look, tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(base, tracker, tmp_path, [metric(base, 1.0, 0.1)])
    scoring(monkeypatch, lambda seed: 1.0 + 0.2 * np.random.default_rng(seed).normal())
    assert [look(base).refused, look(base).refused] == [None, None]
    scoring(monkeypatch, lambda seed: 0.2 + 0.2 * np.random.default_rng(seed).normal())
    dropped = next(found for found in (look(base) for _ in range(12)) if found.refused)
    assert dropped.refused is not None
    assert "pol 1.0.0 has dropped" in dropped.refused
    assert "task=rollback" in dropped.refused
    assert dropped.tables[0].rows[0][-1] == "dropped"


def test_a_look_that_died_keeps_its_seeds(
    base: DAFConfig, look: Look, tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(base, tracker, tmp_path, [metric(base, 1.0, None)])

    def dies(*_: object) -> Played:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("daf.deployment.monitor.play_matches", dies)
        with pytest.raises(KeyboardInterrupt):
            look(base)
    scoring(monkeypatch, lambda _: 1.0)
    after = look(base)
    assert after.seeds[0] == 1_000_030
    assert after.episodes == 10


def test_what_cannot_be_watched_is_told(base: DAFConfig, look: Look, tracker: Tracker, tmp_path: Path) -> None:
    with pytest.raises(DAFError, match="nothing is deployed as pol"):
        look(base)
    deploy(base, tracker, tmp_path, [metric(base, 1.0, 0.1)])
    other = base.model_copy(update={"mission": base.mission.model_copy(update={"max_steps": 21})})
    with pytest.raises(DAFConfigError, match=r"no score on cogsguard_arena\.basic as it is configured here"):
        look(other)
    steps = base.model_copy(update={"comparison": base.comparison.model_copy(update={"metric": "steps"})})
    with pytest.raises(DAFError, match=r"records no steps \(it records reward"):
        look(steps)


@pytest.mark.parametrize("draw", ["normal", "exponential"])
def test_false_alarms_hold_their_level_over_fifty_looks(draw: str) -> None:
    """The recorded score is a sample, too. Each look adds eight episodes and asks again."""
    rng, alarms, series = np.random.default_rng(0), 0, 40
    for _ in range(series):
        recorded, scores = getattr(rng, draw)(size=20), getattr(rng, draw)(size=400)
        score = Recorded(float(recorded.mean()), float(recorded.std(ddof=1) / np.sqrt(20)), 19)
        alarms += any(judge(scores[: 8 * look].tolist(), score, 0.95).dropped for look in range(1, 51))
    # 5 % of 40 are 2; more than 6 has a chance of 0.3 % at that rate.
    assert alarms <= 6


def test_a_true_drop_is_found() -> None:
    rng = np.random.default_rng(1)
    recorded = Recorded(1.0, 0.05, 19)
    scores = rng.normal(0.5, 0.25, size=40).tolist()
    assert judge(scores, recorded, 0.95).dropped
    assert not judge(scores[:5], recorded, 0.95).dropped, "too few to tell"


def test_scores_that_never_varied_drop_without_a_spread() -> None:
    recorded = Recorded(1.0, 0.0, 19)
    assert judge([0.9] * 20, recorded, 0.95).dropped
    assert not judge([0.9] * 19, recorded, 0.95).dropped, "too few to tell"
    assert not judge([1.0 - 1e-12] * 40, recorded, 0.95).dropped, "rounding is no drop"
    # Where the recorded scores varied, one that was not seen yet may make up for it.
    assert not judge([0.0] * 40, Recorded(0.1, 0.03, 99), 0.95).dropped
