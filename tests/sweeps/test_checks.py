"""What a sweep is refused for before anything runs: values that no key takes, seeds, units."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from daf.config import DAFConfig
from daf.errors import DAFError, Problem
from daf.execution.executor import JobDone, JobFailed
from daf.sweeps.api import with_sweep
from daf.sweeps.checks import check_sweep
from daf.sweeps.composition import compose_onto
from daf.sweeps.launch import _check_in_worker
from daf.sweeps.space import Parameter, Space, parse_ranges

Load = Callable[..., DAFConfig]


def _problems(config: DAFConfig, space: Mapping[str, Any]) -> Sequence[Problem]:
    config = with_sweep(config, space=space, sampler="random")
    return check_sweep(config, Space.from_config(config.sweep.space), compose_onto(config), lambda checked: [])


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("training.num_envs", "interval(2,6)", "int"),
        ("training.num_envs", "tag(log,interval(2,64))", "int"),
        ("training.minibatch_size", {"low": 64, "high": 256, "step": 64}, "int"),
        ("mission.cogs", "interval(1,4)", "int"),
        ("+training.num_envs", "interval(2,6)", "int"),
        ("training.num_envs", "interval(2.5,6)", "float"),
        ("optimizer.lr", "interval(1,2)", "float"),
        ("training.num_envs", {"low": 1, "high": 3, "transform": "2 ** x"}, "float"),
    ],
)
def test_a_range_of_a_key_for_whole_numbers_has_whole_numbers(key: str, value: Any, kind: str) -> None:
    assert Parameter.of(key, parse_ranges({key: value})[key]).config.type == kind


@pytest.mark.parametrize(
    ("space", "where"),
    [
        ({"training.num_envs": "interval(2,6)"}, []),
        ({"training.num_envs": "interval(2.5,6)"}, ["training.num_envs"]),
        ({"training.num_envs": {"low": 1, "high": 3, "transform": "2 ** x"}}, ["training.num_envs"]),
        ({"training.num_envs": {"low": 1, "high": 3, "type": "int", "transform": "2 ** x"}}, []),
        ({"training.num_envs": [2, 4, 0]}, ["training.num_envs"]),
        ({"training.gamma": "interval(0.9,1.1)"}, ["training.gamma"]),
        ({"seed": [1, 1_000_000]}, ["seed"]),
        ({"training.map_seed": [1, 999_950]}, ["training.map_seed"]),
        ({"evaluation.seed": [90, 1_000_000]}, ["seed"]),
    ],
)
def test_values_that_no_trial_could_have_are_found(tiny: Load, space: Mapping[str, Any], where: list[str]) -> None:
    assert list(dict.fromkeys(problem.where for problem in _problems(tiny(), space))) == where


def test_later_seeds_of_a_trial_are_held_out_too(tiny: Load) -> None:
    config = tiny("sweep.seeds_per_trial=3", "seed=499998", "mission.max_steps=1000")
    assert "seed" in [problem.where for problem in _problems(config, {"optimizer.lr": [1e-3]})]


@pytest.mark.parametrize(
    ("metric", "names", "refused"),
    [
        ("reward", [["objective_mine"], ["credit"]], True),
        ("reward", [[], ["credit"]], True),
        ("train/reward", [[], ["credit"]], True),
        ("steps", [["objective_mine"], ["credit"]], False),
        ("reward", [["credit"], ["no_weather", "credit"]], False),
    ],
)
def test_rewards_of_different_variants_are_not_ranked(
    tiny: Load, metric: str, names: list[list[str]], refused: bool
) -> None:
    problems = _problems(tiny(f"objective.metric={metric}"), {"variant.names": names})
    assert [problem.where for problem in problems] == ["objective.metric"] * refused


@pytest.mark.parametrize(
    ("metric", "space", "refused"),
    [
        ("reward", {"mission": ["arena", "machina_1"]}, True),
        ("reward", {"mission.name": ["cogsguard_arena.basic", "cogsguard_machina_1.basic"]}, True),
        ("train/reward", {"mission": ["arena", "machina_1"]}, True),
        ("reward", {"evaluation.missions": [["cogsguard_arena.basic"], ["cogsguard_machina_1.basic"]]}, True),
        ("game/clips/aligned.junction", {"mission": ["arena", "machina_1"]}, False),
        ("reward", {"mission.cogs": [1, 2]}, False),
    ],
)
def test_rewards_of_different_missions_are_not_ranked(
    tiny: Load, metric: str, space: Mapping[str, Any], refused: bool
) -> None:
    problems = _problems(tiny(f"objective.metric={metric}"), space)
    assert [problem.where for problem in problems] == ["objective.metric"] * refused
    assert all("another scale on each mission" in problem.what for problem in problems)


def test_trainings_on_different_missions_can_be_ranked_where_all_play_the_same(tiny: Load) -> None:
    config = tiny("evaluation.missions=[cogsguard_arena.basic]")
    assert _problems(config, {"mission": ["arena", "machina_1"]}) == []


class Pool:
    """A pool whose worker dies some times before it answers."""

    def __init__(self, *reasons: Any) -> None:
        self._reasons = list(reasons)

    def submit(self, payload: Any, *, cost: float = 0.0, time_limit_s: float | None = None) -> int:
        return 0

    def next_event(self) -> Any:
        if self._reasons:
            return JobFailed(job_id=0, reason=self._reasons.pop(0), traceback="killed")
        return JobDone(job_id=0, result=[])


def test_a_worker_that_is_killed_during_the_check_ends_no_sweep(tiny: Load) -> None:
    pool: Any = Pool("died")
    assert _check_in_worker(pool, tiny("sweep.max_retries=1")) == []
    for lasting in (Pool("died", "died"), Pool("error")):
        pool = lasting
        with pytest.raises(DAFError, match="could not be checked"):
            _check_in_worker(pool, tiny("sweep.max_retries=1"))
