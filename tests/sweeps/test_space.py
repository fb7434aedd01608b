"""Search spaces: from the command line and from YAML to values in a config."""

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from pydantic import ValidationError

from daf.config import CONF_DIR, DAFConfig, DAFParameterConfig, daf_load_config
from daf.config.expressions import check_expression, evaluate_expression
from daf.config.override_syntax import override_text, split_overrides
from daf.environment_checks import daf_check_files
from daf.errors import DAFConfigError, Problem
from daf.sweeps.checks import check_sweep
from daf.sweeps.composition import compose_onto, compose_overrides
from daf.sweeps.space import Parameter, Space, trial_name


def _parameter(key: str, config: Any) -> Parameter:
    return Parameter(key, DAFParameterConfig.model_validate(config))


def _space(space: dict[str, Any]) -> Space:
    return Space.from_config({key: DAFParameterConfig.model_validate(value) for key, value in space.items()})


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1e-4,3e-4", [1e-4, 3e-4]),
        ("choice(a,b)", ["a", "b"]),
        ("range(0,4)", [0, 1, 2, 3]),
        ("range(0,1,0.25)", [0.0, 0.25, 0.5, 0.75]),
        ("[credit],[]", [["credit"], []]),
    ],
)
def test_finite_sweeps_of_the_command_line(text: str, values: list[Any]) -> None:
    _, swept = split_overrides([f"key.a={text}"])
    parameter = _parameter("key.a", swept["key.a"])
    finite = parameter.finite_values()
    assert finite is not None
    assert [parameter.value(sampled) for sampled in finite] == values


@pytest.mark.parametrize(
    ("text", "kind", "log"),
    [
        ("interval(1,64)", float, False),
        ("int(interval(1,64))", int, False),
        ("tag(log,interval(1e-4,1e-2))", float, True),
        ("tag(log,int(interval(1,64)))", int, True),
    ],
)
def test_intervals_of_the_command_line(text: str, kind: type, log: bool) -> None:
    _, swept = split_overrides([f"key.a={text}"])
    parameter = _parameter("key.a", swept["key.a"])
    trial = optuna.create_study().ask()
    value = parameter.suggest(trial)
    assert isinstance(value, kind)
    assert trial.distributions["key.a"].log is log
    assert parameter.finite_values() is None or kind is int


def test_globs_name_the_options_of_a_group() -> None:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        _, swept = split_overrides(["policy=glob([l*,stateless])"], GlobalHydra.instance().config_loader())
    assert swept == {"policy": {"choices": ["lstm", "stateless"]}}


def test_fixed_and_swept_overrides_are_told_apart() -> None:
    fixed, swept = split_overrides(["a.b=1", "c.d=1,2", "policy=lstm,puffer", "+policy.init_kwargs.h=1,2", "x=(("])
    assert fixed == ["a.b=1", "x=(("]
    assert list(swept) == ["c.d", "policy", "+policy.init_kwargs.h"]


@pytest.mark.parametrize(
    "value",
    [1, 1e-5, True, None, "lstm", "a b", "true", "1", "x=1,2", "it's", "back\\slash'", ["a b", 1], {"x": "y:z"}, ""],
)
def test_hydra_reads_back_what_is_written(value: Any) -> None:
    override = OverridesParser.create().parse_override(override_text("key", value))
    assert override.value() == value


@pytest.mark.parametrize(("text", "x", "value"), [("1 - x", 0.005, 0.995), ("2 ** x", 3, 8), ("-x / 4", 1.0, -0.25)])
def test_transforms(text: str, x: float, value: float) -> None:
    assert evaluate_expression(check_expression(text), x) == value


@pytest.mark.parametrize("text", ["__import__('os')", "y + 1", "x.real", "lambda: x", "1 -"])
def test_only_arithmetic_is_a_transform(text: str) -> None:
    with pytest.raises(ValueError, match="x"):
        check_expression(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"low": 1},
        {"low": 2, "high": 1},
        {"low": 0, "high": 1, "log": True},
        {"choices": []},
        "3",
        {"choices": [1], "low": 1},
    ],
)
def test_a_parameter_that_is_none(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        DAFParameterConfig.model_validate(wrong)


def test_a_grid_has_each_point_once_and_conditions_hold(tiny: Callable[..., DAFConfig]) -> None:
    space = _space(
        {
            "training.bptt_horizon": {"choices": [16, 32], "when": {"policy": "lstm"}},
            "policy": ["lstm", "stateless"],
            "training.update_epochs": [1, 2],
        }
    )
    points = space.grid(compose_onto(tiny()))
    assert len(points) == 2 * 2 + 2
    assert all(("training.bptt_horizon" in point) == (point["policy"] == "lstm") for point in points)


def test_a_condition_may_look_at_the_config(tiny: Callable[..., DAFConfig]) -> None:
    space = _space({"training.bptt_horizon": {"choices": [16, 32], "when": {"policy.class_path": ["lstm"]}}})
    assert len(space.grid(compose_onto(tiny()))) == 2
    assert space.grid(compose_onto(tiny("policy=stateless"))) == [{}]


def test_conditions_may_follow_from_each_other(tiny: Callable[..., DAFConfig]) -> None:
    space = _space(
        {
            "training.gae_lambda": {"choices": [0.8, 0.9], "when": {"training.gamma": [0.5]}},
            "training.gamma": {"choices": [0.5, 0.6], "when": {"optimizer.lr": [1e-3]}},
            "optimizer.lr": [1e-3, 1e-2],
        }
    )
    names = [list(point.values()) for point in space.grid(compose_onto(tiny()))]
    assert names == [[1e-3, 0.5, 0.8], [1e-3, 0.5, 0.9], [1e-3, 0.6], [1e-2]]
    circle = {"seed": "optimizer.lr", "optimizer.lr": "seed"}
    with pytest.raises(DAFConfigError, match=r"optimizer\.lr, seed depend on each other"):
        _space({key: {"choices": [1], "when": {other: 1}} for key, other in circle.items()})


def test_a_condition_on_a_key_that_is_not_there_is_told(tiny: Callable[..., DAFConfig]) -> None:
    config = tiny()
    space = _space({"training.gamma": {"choices": [0.5, 0.6], "when": {"policy.classpath": ["lstm"]}}})
    problems = check_sweep(config, space, compose_onto(config), lambda checked: [])
    assert [str(problem) for problem in problems] == [
        "sweep.space.training.gamma.when: there is no key policy.classpath."
    ]


def test_a_grid_that_is_too_large_is_told(tiny: Callable[..., DAFConfig]) -> None:
    config = tiny()
    space = _space({"seed": {"low": 0, "high": 200, "type": "int"}, "mission.max_steps": list(range(20, 120))})
    problems = check_sweep(config, space, compose_onto(config), lambda checked: [])
    assert [problem.where for problem in problems] == ["sweep.sampler"]


def test_groups_and_values_reach_the_config(tiny: Callable[..., DAFConfig]) -> None:
    space = _space({"training.gamma": {"low": 0.01, "high": 0.01, "transform": "1 - x"}, "policy": ["puffer"]})
    compose = compose_onto(tiny())
    assignments = space.suggest(optuna.create_study().ask(), compose)
    config = compose(assignments)
    assert (config.training.gamma, config.policy.class_path) == (0.99, "puffer")
    assert trial_name(assignments) == "policy=puffer gamma=0.99"


@pytest.mark.parametrize(
    "assignments",
    [
        {"optimizer.lr": 3e-4, "training.minibatch_size": 8192},
        {"policy": "puffer", "variant": "credit", "training.gamma": 0.9},
        {"+policy.init_kwargs.hidden_size": 64, "variant.names": ["miner", "credit"], "seed": 7},
        {"policy.init_kwargs": {}, "policy.name": "a, b=c", "mission.max_steps": None},
    ],
)
def test_a_trial_is_composed_as_hydra_would(assignments: dict[str, Any]) -> None:
    """Hydra composes every choice of groups once; what is set in the copy must be what it would have set."""
    fixed = ["task=train", "mission.cogs=4", "output_dir=fixed", "optimizer.lr=1e-2"]
    compose = compose_overrides(fixed, CONF_DIR, "config")
    texts = [override_text(key, value) for key, value in assignments.items()]
    for _ in range(2):
        assert compose(assignments) == daf_load_config(overrides=[*fixed, *texts])
    assert compose({}).optimizer.lr == 1e-2, "the trials leave each other alone"


def test_a_key_that_no_config_has_is_explained() -> None:
    compose = compose_overrides(["task=train"], CONF_DIR, "config")
    with pytest.raises(DAFConfigError, match=r"optimizer\.lrr.*Did you mean optimizer\.lr"):
        compose({"optimizer.lrr": 1})


def test_equal_environments_are_checked_once(tiny: Callable[..., DAFConfig]) -> None:
    checked: list[DAFConfig] = []

    def check(config: DAFConfig) -> list[Problem]:
        checked.append(config)
        return [Problem("mission", "too small.")] if config.mission.cogs == 1 else []

    config = tiny()
    space = _space({"optimizer.lr": [1e-4, 1e-3, 1e-2], "mission.cogs": [1, 2, 4], "training.gamma": [0.9, 0.99]})
    problems = check_sweep(config, space, compose_onto(config), check)
    assert [problem.where for problem in problems] == ["mission"]
    assert len({config.mission.cogs for config in checked}) == len(checked) == 3


def test_files_that_a_trial_would_resume_from_are_checked(tiny: Callable[..., DAFConfig]) -> None:
    config = tiny()
    space = _space({"training.resume": [None, "nowhere"]})
    problems = check_sweep(config, space, compose_onto(config), lambda config: list(daf_check_files(config).errors))
    assert [problem.where for problem in problems] == ["training.resume"]


def test_names_stay_clear_where_two_keys_end_alike() -> None:
    assert trial_name({"optimizer.lr": 3e-4, "x.a.lr": 1}) == "optimizer.lr=0.0003 x.a.lr=1"
    assert trial_name({"lr": 0.0020002}) == "lr=0.0020002"
    assert trial_name({"lr": 0.002}) == "lr=0.002"
    assert trial_name({"lr": 0.00047382918273645}) == "lr=0.0004738"
    assert trial_name({"lr": 0.00200001234567891}) == "lr=0.002000"  # beside somebody's 0.002
