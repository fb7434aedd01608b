"""Ablation: parts that are really off, and contributions that are theirs."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from daf.bridge.episode import policy_interface
from daf.bridge.missions import build_mission
from daf.bridge.policies import load_policy
from daf.bridge.weights import zero_weights
from daf.comparison.ablation import AblationResult, daf_policy_ablation
from daf.comparison.ablation.conditions import build_conditions
from daf.comparison.ablation.contribution_tables import contribution_tables
from daf.comparison.ablation.contributions import contributions
from daf.comparison.trainings import training_digest
from daf.config import DAFConfig
from daf.errors import DAFConfigError, DAFTrainingDivergedError
from daf.records import MissionSpec, PolicySpec
from daf.run import daf_run
from daf.statistics import compare_two, paired_effects
from daf.tracking.tracker import Tracker
from daf.training import TrainingResult, daf_train
from tests.promised_results import keeps_promises

Load = Callable[..., DAFConfig]
ARENA = MissionSpec(name="cogsguard_arena.basic", cogs=2, max_steps=20)
ABLATION = ("task=ablation", "policy=starter", "variant=mining", "mission.cogs=3", "mission.max_steps=60")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an LSTM that strongly prefers some actions."""
    torch.manual_seed(3)
    network = load_policy(policy_interface(ARENA), PolicySpec(name="l", class_path="lstm")).network()
    state = {name: value * (30 if name == "_action_head.weight" else 1) for name, value in network.state_dict().items()}
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.save(state, path)
    return path


def test_contributions_and_interactions_by_hand() -> None:
    """With both parts 10, without a 7, without b 6, without both 5: b gives 4, a gives 3, together 5, not 7."""
    noise = np.random.default_rng(0).normal(0, 3, (1, 12))
    one, two = np.tile([0.1, -0.1, -0.1, 0.1], 3), np.tile([0.1, 0.1, -0.1, -0.1], 3)  # without them nothing varies
    values = {(): 10 + noise, ("a",): 7 + noise + one, ("b",): 6 + noise + two, ("a", "b"): 5 + noise}
    result = contributions(values, ["a", "b"], level=0.95, metric="reward")
    parts, pairs = contribution_tables(result)
    assert [effect.name for effect in result.parts] == ["b", "a"]
    assert [effect.value.value for effect in result.parts] == pytest.approx([4, 3])
    (interaction,) = result.interactions
    assert interaction.value.value == pytest.approx(-2)
    assert all(effect.significant for effect in (*result.parts, interaction))
    assert [row[-1] for row in parts.rows] == ["helps", "helps"]
    assert pairs.rows[0][-1] == "each needs the other"
    assert pairs.rows[0][1] == "+5.0000"
    assert result.means[()].value == pytest.approx(10 + noise.mean())
    deaths, _ = contribution_tables(contributions(values, ["a", "b"], level=0.995, metric="agent/death"))
    assert [row[-1] for row in deaths.rows] == ["raises", "raises"]
    assert deaths.columns[2] == "99.5% interval"


def test_a_part_without_an_effect_is_said_to_have_none() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(0, 1, (2, 15))
    values = {(): base, ("still",): base + 1e-16, ("noise",): base + rng.normal(0, 1, (2, 15)), ("brake",): base + 2}
    result = contributions(values, ["still", "noise", "brake"], level=0.95, metric="reward")
    (table,) = contribution_tables(result)
    verdicts = {row[0]: row[-1] for row in table.rows}
    assert verdicts["still"] == "identical in every episode"
    assert verdicts["noise"] == "no significant effect"
    assert result.parts[-1].name == "brake"
    assert result.parts[-1].significant or result.parts[-1].note


def test_one_effect_is_tested_as_a_pair_of_policies_is() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.normal(0.8, 1, 12), rng.normal(0, 1, 12)
    (effect,) = paired_effects([[first - second]], ["x"], rng=np.random.default_rng(0))
    pair = compare_two(first, second, rng=np.random.default_rng(0))
    assert effect.p_value == pytest.approx(pair.p_value)
    assert effect.value.value == pytest.approx(pair.difference.value)
    assert paired_effects([[[1.0, 2.0]]], ["x"], rng=rng)[0].note == "not enough episodes (2 of 5)"


@pytest.mark.slow
def test_effects_hold_the_error_rate_of_the_family() -> None:
    """Three contrasts of nothing, 300 times: any of them is called significant in 5 % of the cases, give or take."""
    rng = np.random.default_rng(4)
    wrong = 0
    for _ in range(300):
        base, a, b, both = rng.normal(0, 1, (4, 1, 10))
        contrasts = [base - a, base - b, a + b - base - both]
        wrong += any(effect.significant for effect in paired_effects(contrasts, "abc", rng=rng))
    assert wrong / 300 < 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5


def test_zeroed_modules_are_zero_and_nothing_else_is(weights: Path, tmp_path: Path) -> None:
    spec = PolicySpec(name="l", class_path="lstm", weights=str(weights))
    changed = zero_weights(spec, ["_rnn", "_net.0.bias"], tmp_path / "deep" / "zeroed.pt")
    before, after = torch.load(weights), torch.load(changed.weights)
    assert list(before) == list(after)
    for name, value in after.items():
        if name.startswith("_rnn.") or name == "_net.0.bias":
            assert not value.any()
        else:
            assert torch.equal(value, before[name])
    network = load_policy(policy_interface(ARENA), changed).network()
    assert not network.state_dict()["_rnn.weight_hh_l0"].any()
    biases = torch.load(zero_weights(spec, ["*.bias"], tmp_path / "biases.pt").weights)
    assert {name for name, value in biases.items() if not value.any()} == {
        "_net.0.bias",
        "_net.2.bias",
        "_action_head.bias",
        "_value_head.bias",
    }
    with pytest.raises(ValueError, match=r"no parameter is called _lstm\. There are _net\.0\.weight"):
        zero_weights(spec, ["_lstm"], tmp_path / "x.pt")
    with pytest.raises(ValueError, match="l has no weights"):
        zero_weights(PolicySpec(name="l", class_path="lstm"), ["_rnn"], tmp_path / "x.pt")


def test_reward_terms_are_taken_out_of_the_mission() -> None:
    mission = MissionSpec(name=ARENA.name, cogs=2, max_steps=20, variants=("no_objective", "miner"))
    terms = set(build_mission(mission)[1].game.agents[0].rewards)
    assert "miner_gained" in terms
    without = MissionSpec(**{**mission.__dict__, "without_rewards": ("miner_gained",)})
    config = build_mission(without)[1]
    assert all(set(agent.rewards) == terms - {"miner_gained"} for agent in config.game.agents)
    with pytest.raises(ValueError, match=r"has no reward term iron. It has .*miner_gained"):
        build_mission(MissionSpec(**{**mission.__dict__, "without_rewards": ("iron",)}))


def test_parts_of_policy_mission_and_reward(tiny: Load, tracker: Tracker, store: str) -> None:
    """Without the miner's reward nobody earns anything; idle, nobody does either: each needs the other."""
    config = tiny(
        *ABLATION,
        "+ablation.parts.reward.without_variants=[miner]",
        "+ablation.parts.work.set={policy:noop}",
        "evaluation.episodes=6",
    )
    result = daf_policy_ablation(config, tracker)
    keeps_promises("ablation", result)
    contributions = {effect.name: effect.value.value for effect in result.parts}
    everything = result.means[()].value
    assert everything > 0
    assert contributions == pytest.approx({"reward": everything, "work": everything})
    (interaction,) = result.interactions
    assert interaction.name == "reward + work"
    assert interaction.value.value == pytest.approx(-everything)
    assert result.objective == everything
    assert len(result.records) == 4 * 6
    tracker.close("FINISHED")
    client = MlflowClient(store)
    metrics = client.get_run(tracker.run_id).data.metrics
    assert metrics["ablation/contribution/work"] == pytest.approx(everything)
    assert metrics["ablation/mean/without reward and work"] == 0
    files = {item.path for folder in ("ablation", "plots") for item in client.list_artifacts(tracker.run_id, folder)}
    assert files == {"ablation/episodes.jsonl", "ablation/ablation.json", "plots/ablation.png"}
    assert json.loads((tracker.output_dir / "ablation" / "ablation.json").read_text())["metric"] == "reward"


def test_init_arguments_reward_terms_and_config_keys(tiny: Load, tracker: Tracker) -> None:
    config = tiny(
        *ABLATION,
        "policy=random",
        "ablation.pairs=false",
        "+ablation.parts.vibes.set={policy.init_kwargs.vibe_action_p:0.0}",
        "+ablation.parts.gain.without_rewards=[miner_gained]",
        "+ablation.parts.clips.set={mission.difficulty:easy}",
    )
    conditions = {condition.off: condition for condition in build_conditions(config, tracker)}
    assert list(conditions) == [(), ("vibes",), ("gain",), ("clips",)]
    assert conditions["vibes",].policies[0].init_kwargs == {"vibe_action_p": 0.0}
    assert conditions["gain",].missions[0].without_rewards == ("miner_gained",)
    assert conditions["clips",].missions[0].difficulty == "easy"
    assert conditions[()].missions[0].difficulty is None
    assert conditions[()].policies[0].init_kwargs == {}
    result = daf_policy_ablation(config, tracker)
    assert {effect.note for effect in result.parts} == {"not enough episodes (2 of 5)"}
    by_condition = {each.policies[0]: each for each in result.records}
    assert by_condition["everything on"].stats != by_condition["without vibes"].stats
    assert result.interactions == ()


def test_weight_modules(tiny: Load, weights: Path, tracker: Tracker) -> None:
    """Without its action head the network chooses all actions alike, whatever else is off."""
    config = tiny(
        "task=ablation",
        f"policy.weights={weights}",
        "ablation.metric=agent/action.move.success",
        "+ablation.parts.memory.zero=[_rnn]",
        "+ablation.parts.head.zero=[_action_head]",
    )
    result = daf_policy_ablation(config, tracker)
    moves = {off: mean.value for off, mean in result.means.items()}
    assert moves["memory", "head"] == moves["head",] != moves[()]
    digests = {record.policy_digests for record in result.records}
    assert len(digests) == 4


def test_all_parts_that_cannot_be_switched_off_are_named(tiny: Load, tracker: Tracker) -> None:
    config = tiny(
        *ABLATION,
        "+ablation.parts.memory.zero=[_rnn]",
        "+ablation.parts.credit.without_variants=[credit]",
        "+ablation.parts.iron.without_rewards=[iron]",
        "+ablation.parts.steps.set={mission.max_steps:-1}",
        "+ablation.parts.good.set={mission.max_steps:10}",
        "+ablation.parts.argument.set={policy.init_kwargs.nonsense:1}",
    )
    with pytest.raises(DAFConfigError) as error:
        daf_policy_ablation(config, tracker)
    problems = {problem.where: problem.what for problem in error.value.problems}
    assert set(problems) == {
        "ablation.parts.memory.zero",
        "ablation.parts.credit",
        "ablation.parts.iron",
        "ablation.parts.steps.set",
        "ablation.parts.argument",
    }
    assert "has no weights" in problems["ablation.parts.memory.zero"]
    assert "mission.max_steps" in problems["ablation.parts.steps.set"]
    assert not (tracker.output_dir / "ablation" / "episodes.jsonl").exists()


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("+ablation.parts.a.set={optimizer.lr:0}", "does not change how a trained policy plays"),
        ("+ablation.parts.a.set={mission.name:other}", "another experiment"),
        ("+ablation.parts.a.zero=[]", "needs set, without_variants"),
        ("ablation.trainings=1 +ablation.parts.a.zero=[_rnn]", "needs trainings: 0"),
    ],
)
def test_what_is_no_part_is_refused_at_once(tiny: Load, override: str, what: str) -> None:
    with pytest.raises(DAFConfigError, match=what):
        tiny("task=ablation", *override.split())


def test_an_ablation_of_nothing_is_a_wrong_request(tiny: Load) -> None:
    with pytest.raises(DAFConfigError, match=r"ablation.parts: names nothing"):
        daf_run(tiny("task=ablation"))


def test_a_set_key_that_does_not_exist_is_named(tiny: Load, tracker: Tracker) -> None:
    with pytest.raises(DAFConfigError, match=r"mission\.cog: there is no such key"):
        daf_policy_ablation(tiny(*ABLATION, "+ablation.parts.a.set={mission.cog:1}"), tracker)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("{variant:mining}", "variant is a group of keys; set one of them, such as variant.names."),
        ("{variant.names:mining}", "variant.names: 'mining' is not valid"),
        ("{policy:./nothing}", "there is nothing at nothing"),
        ("{policy.class_path.x:1}", "policy.class_path.x: class_path is a value and has no keys."),
    ],
)
def test_a_set_value_of_the_wrong_kind_is_a_wrong_request(tiny: Load, tracker: Tracker, value: str, what: str) -> None:
    with pytest.raises(DAFConfigError, match=rf"ablation\.parts\.a\.set: {re.escape(what)}"):
        daf_policy_ablation(tiny(*ABLATION, f"+ablation.parts.a.set={value}"), tracker)


def test_the_whole_way_through(tiny: Load, store: str) -> None:
    result = daf_run(tiny(*ABLATION, "+ablation.parts.work.set={policy:noop}", "evaluation.episodes=1"))
    assert isinstance(result, AblationResult)
    assert any("not enough seeds a mission (1 of 5)" in note for note in result.notes)


def test_trained_without_a_part_and_played_with_it(tiny: Load, tracker: Tracker, store: str) -> None:
    """Without learning (lr 0) a training leaves the weights that its seed gave, so that the part is the training."""
    config = tiny(
        "task=ablation",
        "variant=mining",
        "ablation.trainings=1",
        "training.num_steps=256",
        "ablation.metric=agent/action.move.success",
        "ablation.pairs=false",
        "optimizer.anneal_lr=false",
        "+ablation.parts.learning.set={optimizer.lr:0.0}",
        "+ablation.parts.reward.without_variants=[miner]",
        "evaluation.episodes=1",
    )
    result = daf_policy_ablation(config, tracker)
    assert {effect.note for effect in result.parts} == {"not enough episodes (1 of 5)"}
    assert "not enough trainings (1 of 5)" in result.notes[-1]
    assert {record.policies[0] for record in result.records} == {
        "everything on, seed 42",
        "without learning, seed 42",
        "without reward, seed 42",
    }
    assert len({record.mission_digest for record in result.records}) == 1
    assert len({record.policy_digests for record in result.records}) == 3
    tracker.close("FINISHED")
    client = MlflowClient(store)
    runs = {
        run.info.run_name: run
        for run in client.search_runs([tracker.experiment_id])
        if run.data.tags.get("mlflow.parentRunId") == tracker.run_id
    }
    assert len(runs) == 3
    assert runs["without learning, seed 42"].data.metrics["learning_rate"] == 0
    assert runs["everything on, seed 42"].data.metrics["learning_rate"] > 0
    assert runs["without learning, seed 42"].data.params["optimizer.lr"] == "0.0"


def test_an_ablation_that_broke_off_trains_only_what_is_missing(
    tiny: Load, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(
        "task=ablation",
        "variant=mining",
        "ablation.trainings=1",
        "training.num_steps=256",
        "+ablation.parts.reward.without_variants=[miner]",
        "evaluation.episodes=1",
    )
    variants = []

    def train(config: DAFConfig, tracker: Tracker, *, pictures: bool) -> TrainingResult:
        variants.append(config.variant.names)
        trained = daf_train(config, tracker, pictures=pictures)
        if len(variants) == 2:
            trained.model.write_bytes(b"half a file")
            raise DAFTrainingDivergedError("made up")
        return trained

    monkeypatch.setattr("daf.comparison.trainings.daf_train", train)
    with pytest.raises(DAFTrainingDivergedError):
        daf_policy_ablation(config, tracker)
    result = daf_policy_ablation(config, tracker)
    with_miner, without = config.variant.names, tuple(name for name in config.variant.names if name != "miner")
    assert variants == [with_miner, without, without]
    assert len(result.records) == 2


def test_a_training_is_taken_for_another_only_where_nothing_differs(tiny: Load) -> None:
    plain = training_digest("a", tiny())
    assert training_digest("a", tiny("output_dir=elsewhere", "evaluation.episodes=9")) == plain
    for other in ("seed=7", "optimizer.lr=0.1", "training.gamma=0.5", "variant=miner", "policy=stateless"):
        assert training_digest("a", tiny(other)) != plain
