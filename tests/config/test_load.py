"""Loading, saving and refusing configs."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daf.config import DAFConfig, daf_load_config, daf_save_config
from daf.config.paths import CONF_DIR
from daf.errors import DAFConfigError


def problems(*overrides: str) -> dict[str, str]:
    with pytest.raises(DAFConfigError) as caught:
        daf_load_config(overrides=overrides)
    return {problem.where: str(problem) for problem in caught.value.problems}


def test_cogames_values_are_the_defaults() -> None:
    config = daf_load_config(overrides=["task=train"])
    assert (config.optimizer.lr, config.optimizer.beta1, config.optimizer.max_grad_norm) == (0.00092, 0.95, 1.5)
    assert (config.training.gamma, config.training.gae_lambda, config.training.ent_coef) == (0.995, 0.90, 0.01)
    assert (config.training.num_envs, config.training.bptt_horizon) == (256, None)


def test_a_command_line_value_wins_over_the_task() -> None:
    assert daf_load_config().optimizer.lr != 0.125
    assert daf_load_config(overrides=["optimizer.lr=0.125"]).optimizer.lr == 0.125


@pytest.mark.parametrize("group", ["mission", "variant", "policy", "task", "experiment"])
def test_every_shipped_option_is_valid(group: str) -> None:
    options = sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml"))
    assert options
    for option in options:
        assert isinstance(daf_load_config(overrides=[f"{group}={option}"]), DAFConfig)


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_saved_config_loads_unchanged(tmp_path: Path, suffix: str) -> None:
    overrides = [
        "task=train",
        "variant=credit",
        "+policy.init_kwargs.vibe_action_p=0.1",
        "evaluation.policies=[noop]",
    ]
    config = daf_load_config(overrides=overrides)
    path = daf_save_config(config, tmp_path / f"config.{suffix}")
    assert daf_load_config(path) == config


def test_mappings_of_a_file_take_the_place_of_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "none.yaml").write_text("pipeline: {stages: {}}\n")
    (tmp_path / "own.yaml").write_text("pipeline: {stages: {mine: {task: missions}}}\n")
    assert set(daf_load_config().pipeline.stages) == {"train", "compare"}
    assert not daf_load_config(tmp_path / "none.yaml").pipeline.stages
    assert set(daf_load_config(tmp_path / "own.yaml").pipeline.stages) == {"mine"}


def test_overrides_apply_on_top_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("optimizer: {lr: 0.5, eps: 0.1}\n")
    config = daf_load_config(tmp_path / "mine.yaml", ["optimizer.lr=0.25"])
    assert (config.optimizer.lr, config.optimizer.eps) == (0.25, 0.1)


def test_an_option_on_top_of_a_file_replaces_its_section(tmp_path: Path) -> None:
    saved = daf_save_config(daf_load_config(overrides=["policy=puffer", "optimizer.lr=0.5"]), tmp_path / "saved.yaml")
    config = daf_load_config(saved, ["policy.name=mine", "policy=stateless"])
    assert (config.policy.class_path, config.policy.name, config.optimizer.lr) == ("stateless", "mine", 0.5)
    with pytest.raises(DAFConfigError, match="experiment: cannot be laid over"):
        daf_load_config(saved, ["experiment=smoke"])


def test_environment_variables_reach_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_LR", "0.0625")
    assert daf_load_config(overrides=["optimizer.lr=${oc.env:MY_LR}"]).optimizer.lr == 0.0625
    assert "MY_MISSING" in problems("optimizer.lr=${oc.env:MY_MISSING}")["optimizer.lr"]


def test_all_problems_are_told_at_once() -> None:
    found = problems(
        "optimizer.lrr=1",
        "policy=nope",
        "training.gamma=2",
        "optimizer.lr=true",
        "mission.name=arena.basic",
        "variant.names=[credits]",
        "evaluation.baselines=[strter]",
    )
    assert found["optimizer.lrr"].endswith("Did you mean optimizer.lr or optimizer or optimizer.eps?")
    assert "noop" in found["policy"]
    assert "less than or equal to 1" in found["training.gamma"]
    assert "not numbers" in found["optimizer.lr"]
    assert "cogsguard_arena.basic" in found["mission.name"]
    assert "credit?" in found["variant.names.0"]
    assert "starter?" in found["evaluation.baselines.0.class_path"]


@pytest.mark.parametrize(
    ("override", "where", "what"),
    [
        ("+foo=1", "foo", "no such key"),
        ("training.num_steps=2.5", "training.num_steps", "valid integer"),
        ("training.num_steps=0", "training.num_steps", "greater than 0"),
        ("optimizer.lr=nan", "optimizer.lr", "finite"),
        ("optimizer.beta1=1", "optimizer.beta1", "less than 1"),
        ("seed=-1", "seed", "greater than or equal to 0"),
        ("device=gpu", "device", "pattern"),
        ("mission.difficulty=Hard", "mission.difficulty", "'easy', 'medium' or 'hard'"),
        ("variant.names=['objective_mine:0']", "variant.names.0", "above 0"),
        ("policy.class_path=nowhere.module.Class", "policy.class_path", "no module 'nowhere.module'"),
        ("evaluation.missions=[diagnostic_eval]", "evaluation.missions.0", "diagnostic_evals"),
        ("evaluation.policies=['class=lstm,dta=x']", "evaluation.policies.0", "dta=x"),
        ("training={bptt_horizon:64,minibatch_size:32}", "training", "smaller than bptt_horizon"),
        ("mission.name=missing.py", "mission.name", "no mission file"),
        ("optimizer=adamw", "optimizer", "no option 'adamw'"),
        ("policy.init_kwargs.p=1", "policy.init_kwargs.p", "Write +policy.init_kwargs.p=1"),
        ("a b", "a b", "cannot be read"),
    ],
)
def test_one_wrong_value(override: str, where: str, what: str) -> None:
    assert what in problems(override)[where]


def test_numbers_may_be_written_as_powers_of_ten() -> None:
    assert daf_load_config(overrides=["training.num_steps=2e5"]).training.num_steps == 200_000


def test_a_factor_and_a_class_of_ones_own_are_valid() -> None:
    config = daf_load_config(
        overrides=["variant.names=['objective_mine:2.5']", "policy.class_path=tests.conftest.Anything"]
    )
    assert config.variant.names == ("objective_mine:2.5",)


def test_policies_in_all_their_written_forms(tmp_path: Path) -> None:
    (tmp_path / "policy_spec.json").write_text('{"class_path": "mettagrid.policy.lstm.LSTMPolicy"}')
    texts = ["starter", "'class=random,kw.vibe_action_p=0.1,name=calm'", f"'{tmp_path}'", "{class_path: noop}"]
    named, pairs, folder, mapping = daf_load_config(
        overrides=[f"evaluation.policies=[{','.join(texts)}]"]
    ).evaluation.policies
    assert (named.class_path, mapping.class_path) == ("starter", "noop")
    assert (pairs.name, pairs.init_kwargs) == ("calm", {"vibe_action_p": 0.1})
    assert folder.weights == str(tmp_path)


def test_a_missing_or_broken_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("a: [")
    for name in ("broken.yaml", "missing.yaml"):
        with pytest.raises(DAFConfigError, match=name):
            daf_load_config(tmp_path / name)


def test_loading_leaves_hydras_own_state_alone() -> None:
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        daf_load_config()
        assert compose("config", ["seed=7"]).seed == 7


def test_threads_compose_at_once() -> None:
    """Hydra's state is global: two that composed at once found each other's, or none."""
    with ThreadPoolExecutor(6) as pool:
        configs = pool.map(lambda seed: daf_load_config(overrides=[f"seed={seed}", "policy=noop"]), range(6))
    assert [config.seed for config in configs] == list(range(6))
