"""The official backend against CoGames' own `evaluate`."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from daf.bridge.episode import play_official
from daf.bridge.imports import contained, seed_everything
from daf.bridge.missions import build_mission
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec

MISSION = MissionSpec(name="cogsguard_arena.basic", variants=("objective_mine",), cogs=4, max_steps=60)
SEED = 11


SHORT = replace(MISSION, max_steps=15)


def plan(class_path: str, seed: int, mission: MissionSpec = MISSION, **kwargs: object) -> EpisodePlan:
    policies = (PolicySpec(name=class_path, class_path=class_path, init_kwargs=kwargs),)
    return EpisodePlan(mission=mission, policies=policies, assignments=(0,) * 4, seed=seed)


@pytest.mark.parametrize("class_path", ["starter", "random", "lstm"])
def test_rewards_and_stats_equal_those_of_cogames(class_path: str) -> None:
    with contained():
        from cogames.evaluate import evaluate
        from mettagrid.policy.policy import PolicySpec as CogamesPolicySpec
    label, config = build_mission(MISSION)
    spec = CogamesPolicySpec(class_path=class_path)
    for seed in (SEED, SEED + 1) if class_path != "lstm" else (SEED,):
        seed_everything(seed)
        (theirs,) = evaluate(Console(file=io.StringIO()), [(label, config)], [spec], [1.0], 1, 10_000, seed=seed)
        ours = play_official(plan(class_path, seed))
        assert ours.reward() == theirs.per_episode_per_policy_avg_rewards[0][0]
        assert ours.stats["game"] == theirs.avg_game_stats
        assert ours.time_averaged_game_stats == theirs.avg_time_averaged_game_stats
        assert ours.agent_stats() == pytest.approx(theirs.policy_summaries[0].avg_agent_metrics, abs=0, rel=1e-12)
        assert sum(ours.action_timeouts) == theirs.policy_summaries[0].action_timeouts


def test_many_episodes_of_a_scripted_policy_equal_one_call_of_evaluate() -> None:
    """CoGames sums agent metrics over episodes under the name of an average; the records do not."""
    with contained():
        from cogames.evaluate import evaluate
        from mettagrid.policy.policy import PolicySpec as CogamesPolicySpec
    label, config = build_mission(MISSION)
    spec = CogamesPolicySpec(class_path="starter")
    (theirs,) = evaluate(Console(file=io.StringIO()), [(label, config)], [spec], [1.0], 2, 10_000, seed=SEED)
    ours = [play_official(plan("starter", SEED + index)) for index in range(2)]
    assert [record.reward() for record in ours] == [r[0] for r in theirs.per_episode_per_policy_avg_rewards.values()]
    name = "action.move.success"
    total = sum(record.agent_stats()[name] for record in ours)
    assert total == pytest.approx(theirs.policy_summaries[0].avg_agent_metrics[name])


@pytest.mark.parametrize("class_path", ["random", "lstm"])
def test_an_episode_depends_on_its_seed_alone(class_path: str) -> None:
    first = play_official(plan(class_path, SEED, SHORT))
    seed_everything(999)
    again = play_official(plan(class_path, SEED, SHORT))
    other = play_official(plan(class_path, SEED + 1, SHORT))
    assert (again.rewards, again.stats) == (first.rewards, first.stats)
    assert other.stats != first.stats


def test_init_arguments_reach_the_policy() -> None:
    moves = {
        p: play_official(plan("random", SEED, vibe_action_p=p)).agent_stats().get("action.change_vibe.success", 0.0)
        for p in (0.0, 1.0)
    }
    assert moves[0.0] == 0 < moves[1.0]


def test_mixed_teams_and_their_shares() -> None:
    policies = (PolicySpec(name="s", class_path="starter"), PolicySpec(name="n", class_path="noop"))
    record = play_official(EpisodePlan(mission=MISSION, policies=policies, assignments=(0, 1, 1, 0), seed=SEED))
    assert record.agent_stats(1)["action.noop.success"] == 60
    assert record.agent_stats(0).get("action.noop.success", 0) < 60
    assert record.reward(1) == (record.rewards[1] + record.rewards[2]) / 2
    with pytest.raises(ValueError, match="each of 4 agents"):
        play_official(EpisodePlan(mission=MISSION, policies=policies, assignments=(0, 1), seed=SEED))


def test_a_record_survives_json_and_a_replay_is_written(tmp_path: Path) -> None:
    policies = (PolicySpec(name="noop", class_path="noop"),)
    record = play_official(
        EpisodePlan(mission=MISSION, policies=policies, assignments=(0,) * 4, seed=SEED, replay_dir=str(tmp_path / "r"))
    )
    assert EpisodeRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record
    assert record.replay_path is not None
    import zlib

    replay = json.loads(zlib.decompress(Path(record.replay_path).read_bytes()))
    assert (replay["num_agents"], replay["max_steps"]) == (4, 60)


def test_slow_actions_are_counted() -> None:
    policies = (PolicySpec(name="lstm", class_path="lstm"),)
    short = MissionSpec(name=MISSION.name, cogs=1, max_steps=20)
    record = play_official(
        EpisodePlan(mission=short, policies=policies, assignments=(0,), seed=SEED, max_action_time_ms=1)
    )
    assert 0 <= record.action_timeouts[0] <= 20
    assert record.agent_stats().get("action.noop.success", 0) >= record.action_timeouts[0]
