"""The batched backend must play the very episodes that the official rollout plays."""

import dataclasses
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

from daf.bridge.batched import draws as draws_module
from daf.bridge.batched import play_batched, why_not_batched
from daf.bridge.batched.game_stats import TimeAverages, UnforeseenStatsError
from daf.bridge.batched.lockstep import play_group
from daf.bridge.episode import play_official, policy_interface
from daf.bridge.imports import contained, seed_everything
from daf.bridge.policies import load_policy
from daf.bridge.simulations import prepare_mission
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec

with contained():
    import torch
    from mettagrid.policy.lstm import LSTMPolicy
    from mettagrid.policy.policy import AgentPolicy, MultiAgentPolicy
    from mettagrid.simulator import Action, AgentObservation, Simulator

NETWORKS = ("lstm", "puffer", "stateless", "pufferlib_cogs")
ARENA = MissionSpec(name="cogsguard_arena.basic", variants=("objective_mine", "credit"), cogs=4, max_steps=120)
SHORT = dataclasses.replace(ARENA, max_steps=30)


class Heir(LSTMPolicy):  # type: ignore[misc]
    """A user's class that acts as its parent does."""


class StubbornAgent(AgentPolicy):  # type: ignore[misc]
    def step(self, obs: AgentObservation) -> Action:
        return Action(name="move_east")


class Stubborn(LSTMPolicy):  # type: ignore[misc]
    """A user's class whose agents do not ask its network."""

    def agent_policy(self, agent_id: int) -> AgentPolicy:
        return StubbornAgent(self.policy_env_info)


class VibeAgent(AgentPolicy):  # type: ignore[misc]
    def step(self, obs: AgentObservation) -> Action:
        names = self.policy_env_info.all_action_names
        return Action(name=names[len(obs.tokens) % len(names)])


class Viber(MultiAgentPolicy):  # type: ignore[misc]
    """A scripted policy of a user, with `step_batch` and vibe actions."""

    def agent_policy(self, agent_id: int) -> AgentPolicy:
        return VibeAgent(self.policy_env_info)

    def step_batch(self, raw_observations: np.ndarray, raw_actions: np.ndarray) -> None:
        tokens = (raw_observations[..., 1] != 255).sum(axis=-1)
        raw_actions[:] = tokens % len(self.policy_env_info.all_action_names)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Saved weights per class, with sharper action heads than at birth, so that actions depend on observations."""
    folder = tmp_path_factory.mktemp("weights")
    interface = policy_interface(ARENA)
    paths = {}
    for name in NETWORKS:
        seed_everything(7)
        policy = load_policy(interface, PolicySpec(name=name, class_path=name))
        network: Any = policy.network()
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.ndim == 2 and len(parameter) == len(interface.action_names):
                    parameter.mul_(0.3 / parameter.std())
        paths[name] = str(folder / f"{name}.pt")
        policy.save_policy_data(paths[name])
    return paths


def plan_of(spec: PolicySpec, seed: int, mission: MissionSpec = ARENA, **changes: Any) -> EpisodePlan:
    agents = prepare_mission(mission).config.game.num_agents
    plan = EpisodePlan(mission=mission, policies=(spec,), assignments=(0,) * agents, seed=seed)
    return dataclasses.replace(plan, **changes)


def network_spec(name: str, weights: dict[str, str]) -> PolicySpec:
    return PolicySpec(name=name, class_path=name, weights=weights[name])


def outcome(record: EpisodeRecord) -> dict[str, Any]:
    """Everything in a record that the backend and its speed should not change."""
    data = record.to_dict()
    return {key: data[key] for key in data if key not in {"wall_time_s", "backend", "replay_path"}}


def by_seed(records: Iterator[EpisodeRecord]) -> dict[int, dict[str, Any]]:
    return {record.seed: outcome(record) for record in records}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_plays_the_same_episode_as_in_the_official_rollout(name: str, weights: dict[str, str]) -> None:
    spec = network_spec(name, weights)
    plans = [plan_of(spec, seed) for seed in (3, 4, 5)]
    official = play_official(plans[1])

    alone = list(play_batched(plans[1:2], lanes=1))
    together = by_seed(play_batched(plans))

    assert [outcome(record) for record in alone] == [outcome(official)]
    assert together[4] == outcome(official)
    assert alone[0].backend == "batched"
    assert official.steps == 120
    moves = [agent["action.move.success"] for agent in official.stats["agent"]]
    assert len(set(moves)) > 1
    assert len({tuple(record["rewards"]) for record in together.values()}) > 1, "rewards that differ from a constant"


def test_episodes_do_not_depend_on_what_is_played_beside_them(weights: dict[str, str]) -> None:
    specs = [network_spec(name, weights) for name in ("lstm", "stateless")]
    plans = [plan_of(spec, seed, SHORT) for spec in specs for seed in range(10)]

    def outcomes(plans: list[EpisodePlan], lanes: int) -> list[str]:
        return sorted(json.dumps(outcome(record), sort_keys=True) for record in play_batched(plans, lanes))

    expected = outcomes(plans, 16)
    assert outcomes(plans[::-1], 16) == expected
    assert outcomes(plans, 3) == expected
    assert sorted(outcomes(plans[:5], 16) + outcomes(plans[5:], 4)) == expected


def test_a_mixed_team_plays_the_same_episode_as_in_the_official_rollout(weights: dict[str, str]) -> None:
    specs = (
        network_spec("lstm", weights),
        PolicySpec(name="noop", class_path="noop"),
        network_spec("pufferlib_cogs", weights),
    )
    mission = dataclasses.replace(ARENA, max_steps=60)
    teams = [(0, 2, 1, 0), (2, 0, 0, 1), (0, 0, 0, 2)]
    plans = [plan_of(specs[0], 2, mission, policies=specs, assignments=team) for team in teams]

    batched = {record.assignments: outcome(record) for record in play_batched(plans)}

    for plan in plans:
        assert batched[plan.assignments] == outcome(play_official(plan))


def test_a_replay_shows_the_same_as_the_official_one(weights: dict[str, str], tmp_path: Path) -> None:
    plans = [plan_of(network_spec("stateless", weights), seed, SHORT, replay_dir=str(tmp_path)) for seed in (0, 1)]
    official = play_official(plans[0])
    batched = next(record for record in play_batched(plans) if record.seed == 0)

    def content(record: EpisodeRecord) -> Any:
        assert record.replay_path is not None
        return json.loads(zlib.decompress(Path(record.replay_path).read_bytes()))

    assert content(batched) == content(official)
    assert outcome(batched) == outcome(official)


def test_a_users_class_with_a_network_of_the_same_form_is_played(weights: dict[str, str]) -> None:
    plan = plan_of(PolicySpec(name="heir", class_path=f"{__name__}.Heir", weights=weights["lstm"]), 1, SHORT)
    assert why_not_batched(plan) is None
    assert [outcome(record) for record in play_batched([plan])] == [outcome(play_official(plan))]


def test_a_class_after_cogames_template_which_takes_the_best_action_is_played(tmp_path: Path) -> None:
    template = "cogames.policy.trainable_policy_template.MyTrainablePolicy"
    seed_everything(3)
    policy = load_policy(policy_interface(SHORT), PolicySpec(name="template", class_path=template))
    policy.save_policy_data(str(tmp_path / "weights.pt"))
    plan = plan_of(PolicySpec(name="template", class_path=template, weights=str(tmp_path / "weights.pt")), 1, SHORT)
    assert why_not_batched(plan) is None
    assert [outcome(record) for record in play_batched([plan])] == [outcome(play_official(plan))]


def test_a_users_step_batch_is_played_with_its_vibe_actions() -> None:
    plan = plan_of(PolicySpec(name="viber", class_path=f"{__name__}.Viber"), 1, SHORT)
    assert why_not_batched(plan) is None
    official = play_official(plan)
    assert any("change_vibe" in stat for stat in official.agent_stats())
    assert [outcome(record) for record in play_batched([plan])] == [outcome(official)]


def test_a_users_step_batch_does_not_share_a_team() -> None:
    specs = (
        PolicySpec(name="viber", class_path=f"{__name__}.Viber"),
        PolicySpec(name="noop", class_path="noop"),
    )
    reason = why_not_batched(plan_of(specs[0], 1, SHORT, policies=specs, assignments=(0, 0, 1, 1)))
    assert reason is not None and "viber" in reason and "whole team" in reason


@pytest.mark.parametrize(
    ("class_path", "with_weights", "expected"),
    [
        ("starter", False, "scripted"),
        ("random", False, "scripted"),
        ("lstm", False, "new random ones for every episode"),
        (f"{__name__}.Stubborn", True, "do not act"),
        ("no_such_policy", False, "cannot be loaded"),
    ],
)
def test_what_is_not_proven_is_refused(
    class_path: str, with_weights: bool, expected: str, weights: dict[str, str]
) -> None:
    spec = PolicySpec(name="x", class_path=class_path, weights=weights["lstm"] if with_weights else None)
    plan = plan_of(spec, 0, SHORT)
    reason = why_not_batched(plan)
    assert reason is not None and expected in reason
    with pytest.raises(ValueError, match="policy x: "):
        play_batched([plan])


def test_assignments_must_fit_the_mission(weights: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="assignments"):
        play_batched([plan_of(network_spec("lstm", weights), 0, SHORT, assignments=(0, 0))])
    with pytest.raises(ValueError, match="lanes"):
        play_batched([], lanes=0)


def test_diverged_weights_are_an_error(weights: dict[str, str], tmp_path: Path) -> None:
    state = {name: tensor.fill_(float("nan")) for name, tensor in torch.load(weights["stateless"]).items()}
    torch.save(state, tmp_path / "nan.pt")
    spec = PolicySpec(name="nan", class_path="stateless", weights=str(tmp_path / "nan.pt"))
    with pytest.raises(ValueError, match="diverged"):
        list(play_batched([plan_of(spec, 0, SHORT)]))


def test_an_unforeseen_game_stat_is_found_and_averaged(weights: dict[str, str]) -> None:
    plans = [plan_of(network_spec("lstm", weights), seed, SHORT) for seed in (0, 1, 2)]
    foreseen = by_seed(play_batched(plans))
    known: set[str] = set()
    assert by_seed(play_group(plans, 2, known)) == foreseen
    assert "cogs/aligned.junction.held" in known


def test_time_averages_notice_what_they_did_not_sample() -> None:
    prepared = prepare_mission(SHORT)
    simulation = Simulator().new_simulation(prepared.config_for(0), 0)
    averages = TimeAverages(simulation._c_sim, likely=[])
    simulation.step()
    averages.sample()
    with pytest.raises(UnforeseenStatsError, match="cogs/aligned"):
        averages.result(simulation.episode_stats["game"])


def test_draws_one_by_one_are_the_same_episode(weights: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(network_spec("lstm", weights), 5, SHORT)
    expected = by_seed(play_batched([plan]))
    monkeypatch.setattr(draws_module, "_one_call_equals_many", lambda: False)
    assert by_seed(play_batched([plan])) == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm", "puffer"])
def test_many_episodes_agree_with_the_official_rollout(name: str, weights: dict[str, str]) -> None:
    plans = [plan_of(network_spec(name, weights), seed, dataclasses.replace(ARENA, max_steps=60)) for seed in range(30)]
    batched = by_seed(play_batched(plans))
    official = by_seed(play_official(plan) for plan in plans)
    # A draw may fall between two roundings of one probability: that episode then goes another way.
    assert sum(batched[seed] == official[seed] for seed in official) >= 29
    rewards: Any = [[np.mean(result[seed]["rewards"]) for seed in range(30)] for result in (batched, official)]
    assert scipy_stats.mannwhitneyu(rewards[0], rewards[1]).pvalue > 0.05
