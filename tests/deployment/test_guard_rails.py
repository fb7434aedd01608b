"""Bounds on metrics: how they are written, and when they hold."""

from dataclasses import replace

import pytest

from daf.deployment.guard_rails import GuardRail, check_guard_rails, guard_rail_problems, parse_guard_rail
from daf.records import EpisodeRecord
from tests.made_up import made_up_episode


@pytest.mark.parametrize(
    ("text", "rail"),
    [
        ("game/cogs/aligned.junction.held >= 1", GuardRail("game/cogs/aligned.junction.held", ">=", 1)),
        ("reward>0.5", GuardRail("reward", ">", 0.5)),
        (
            " agent/status.max_steps_without_motion <= 1e2 ",
            GuardRail("agent/status.max_steps_without_motion", "<=", 100),
        ),
        ("steps < -3", GuardRail("steps", "<", -3)),
    ],
)
def test_bounds_are_read(text: str, rail: GuardRail) -> None:
    assert parse_guard_rail(text) == rail


@pytest.mark.parametrize(
    "text", ["", "reward", "reward >= ", "rewards >= 1", "reward = 1", "reward >= one", "reward >= nan", "reward >== 1"]
)
def test_what_is_no_bound_is_told_before_the_start(text: str) -> None:
    (problem,) = guard_rail_problems(["reward >= 1", text])[-1:]
    assert problem.where == "deployment.require.1"
    assert "Write reward, steps, game/<stat>" in problem.what


def episodes() -> list[EpisodeRecord]:
    made = [made_up_episode(seed, reward=seed, game={"held": 2.0 * seed}) for seed in (1, 3)]
    return [*made, replace(made_up_episode(5, reward=8.0, game={"held": 1.0}), mission="another")]


@pytest.mark.parametrize(
    ("text", "mean", "holds"),
    [
        # Missions weigh the same: (2 + 8) / 2, (4 + 1) / 2.
        ("reward >= 5", 5.0, True),
        ("reward > 5", 5.0, False),
        ("game/held <= 2.5", 2.5, True),
        ("game/held < 2.5", 2.5, False),
        ("steps >= 101", 100.0, False),
    ],
)
def test_a_bound_is_held_against_the_mean(text: str, mean: float, holds: bool) -> None:
    (checked,) = check_guard_rails([text], episodes())
    assert checked.mean == mean
    assert (checked.why == "") == holds


def test_a_stat_that_no_episode_reported_is_refused_with_a_suggestion() -> None:
    (checked,) = check_guard_rails(["game/heId <= 3"], episodes())
    assert checked.mean is None
    assert "no episode reported game/heId. Did you mean game/held?" in checked.why
