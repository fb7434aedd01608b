"""`task=vor` against what `cogames.pickup` prints and plays."""

import io
import json
import re
from collections.abc import Callable
from statistics import fmean

import cogames.pickup
import pytest
from mlflow import MlflowClient
from rich.console import Console

from daf.bridge.missions import build_mission
from daf.bridge.policies import resolve_policy
from daf.comparison.vor import VorResult, daf_compare_with_vor
from daf.config import DAFConfig
from daf.errors import DAFConfigError, DAFError
from daf.run import daf_run
from daf.tracking.tracker import Tracker
from tests.promised_results import keeps_promises

Load = Callable[..., DAFConfig]
SEED = 1_000_000


def printed_by_pickup(config: DAFConfig) -> tuple[dict[int, tuple[float, float]], dict[int, tuple[str, float]], float]:
    """What CoGames' own pickup prints: agents to (score, VOR), agents to (pool mix, score), and the overall VOR."""
    console = Console(file=io.StringIO(), width=120)
    name, env = build_mission(config.mission_spec())
    specs = [resolve_policy(policy.spec()) for policy in (config.policy, *config.vor.pool)]
    cogames.pickup.pickup(
        console,
        specs[0],
        specs[1:],
        env_cfg=env,
        mission_name=name,
        episodes=config.evaluation.episodes,
        seed=config.evaluation.seed,
        map_seed=None,
        action_timeout_ms=10_000,
        save_replay_dir=None,
    )
    text = console.file.getvalue()  # type: ignore[attr-defined]
    number = r"(-?\d+\.\d\d)"
    scenarios = re.findall(rf"-c(\d+)-r\d+\s+│\s+\d+\s+│\s+([\d/]+)\s+│\s+{number}", text)
    values = re.findall(rf"│\s+(\d+)\s+│\s+{number}\s+│\s+{number}\s+│", text)
    (overall,) = re.findall(rf"Overall VOR {number}", text)
    return (
        {int(count): (float(score), float(vor)) for count, score, vor in values},
        {int(count): (mix, float(score)) for count, mix, score in scenarios},
        float(overall),
    )


PICKUP = (
    "task=vor",
    "policy=starter",
    "vor.pool=[noop,miner]",
    # Rewards of some size, so that two decimals say something; here they also differ within a team.
    "variant.names=[no_objective,miner]",
    "mission.cogs=3",
    "mission.max_steps=60",
    "evaluation.episodes=2",
)


def test_vor_is_what_pickup_prints(tiny: Load, tracker: Tracker, store: str) -> None:
    config = tiny(*PICKUP)
    result = daf_compare_with_vor(config, tracker)
    keeps_promises("vor", result)
    values, scenarios, overall = printed_by_pickup(config)
    (vor,) = result.missions
    ours = {count.candidate_agents: (count.score.value, count.vor.value) for count in vor.counts}
    assert sorted(ours) == sorted(values) == [1, 2, 3]
    for count, pair in values.items():
        assert ours[count] == pytest.approx(pair, abs=0.00501)
    assert len({score for score, _ in values.values()}) > 1
    assert result.overall.value == pytest.approx(overall, abs=0.00501)
    assert result.objective == result.overall.value == vor.overall.value
    assert vor.replacement.value == pytest.approx(scenarios[0][1], abs=0.00501)
    table, total = result.tables
    assert (
        [row[1] for row in table.rows]
        == [scenarios[count][0] for count in (3, 2, 1, 0)]
        == ["0/0", "1/0", "1/1", "2/1"]
    )
    assert total.rows[0][0] == config.mission.name
    tracker.close("FINISHED")
    client = MlflowClient(store)
    metrics = client.get_run(tracker.run_id).data.metrics
    assert metrics["vor/overall"] == pytest.approx(result.overall.value)
    assert metrics["vor/cogsguard_arena.basic/2 agents"] == pytest.approx(ours[2][1])
    assert {item.path for item in client.list_artifacts(tracker.run_id, "vor")} == {
        "vor/episodes.jsonl",
        "vor/vor.json",
    }
    assert [item.path for item in client.list_artifacts(tracker.run_id, "plots")] == [
        "plots/vor_cogsguard_arena.basic.png"
    ]
    stored = json.loads((tracker.output_dir / "vor" / "vor.json").read_text())
    assert stored["overall"]["value"] == result.overall.value


def test_the_seats_are_those_of_pickup(tiny: Load, tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sits where is drawn by pickup's own generator: what pickup plays, episode by episode."""
    config = tiny(*PICKUP, "evaluation.episodes=3", "mission.max_steps=5")
    seats: list[tuple[int, ...]] = []
    original = cogames.pickup.run_multi_episode_rollout

    def watched(**arguments: object) -> object:
        outcome = original(**arguments)
        seats.extend(tuple(episode.assignments) for episode in outcome[0].episodes)
        return outcome

    monkeypatch.setattr(cogames.pickup, "run_multi_episode_rollout", watched)
    printed_by_pickup(config)
    result = daf_compare_with_vor(config, tracker)
    assert [each.assignments for each in result.records] == seats
    assert len(set(seats)) > 4


def test_missions_weigh_equally_and_maps_may_vary(tiny: Load, tracker: Tracker) -> None:
    config = tiny(
        "task=vor",
        "policy=miner",
        "vor.pool=[noop]",
        "vor.fixed_map=false",
        "variant=mining",
        "evaluation.episodes=5",
        "evaluation.missions=[cogsguard_arena.basic,cogsguard_machina_1.miner_tutorial]",
    )
    result = daf_compare_with_vor(config, tracker)
    first, second = result.missions
    assert (first.mission, second.mission) == ("cogsguard_arena.basic", "cogsguard_machina_1.miner_tutorial")
    assert result.overall.value == pytest.approx(fmean([first.overall.value, second.overall.value]))
    assert result.overall.interval is not None
    assert result.tables[-1].rows[-1][0] == "all missions"
    solo = {each.seed: each.mission_digest for each in result.records if each.mission_name == first.mission}
    assert list(solo) == list(range(SEED, SEED + 5))
    assert not any("share one map" in note for note in result.notes)
    assert any("only reliable from 20 on" in note for note in result.notes)


def test_seeds_on_which_an_episode_failed_are_left_out_and_none_left_is_an_error(tiny: Load, tracker: Tracker) -> None:
    config = tiny("task=vor", "policy.class_path=chaos-monkey", "vor.pool=[noop]")
    with pytest.raises(DAFError, match="no seed was finished"):
        daf_compare_with_vor(config, tracker)
    assert "Chaos monkey" in (tracker.output_dir / "vor" / "failures.txt").read_text()


def test_a_reward_that_tells_nothing_apart_is_named(tiny: Load, store: str) -> None:
    result = daf_run(tiny("task=vor", "policy=starter", "vor.pool=[noop]", "evaluation.episodes=1"))
    assert isinstance(result, VorResult)
    assert result.overall.value == 0
    assert any("does not tell the policies apart" in note for note in result.notes)


def test_an_empty_pool_is_a_wrong_request(tiny: Load) -> None:
    with pytest.raises(DAFConfigError, match=r"vor.pool: holds no policy"):
        daf_run(tiny("task=vor"))


def test_names_in_the_pool_are_unique(tiny: Load, tracker: Tracker) -> None:
    config = tiny("task=vor", "policy=noop", "vor.pool=[noop,noop]", "evaluation.episodes=1", "mission.max_steps=5")
    result = daf_compare_with_vor(config, tracker)
    assert (result.candidate, result.pool) == ("noop", ("noop (2)", "noop (3)"))
    assert "Pool order: noop (2), noop (3)." in result.notes[0]
