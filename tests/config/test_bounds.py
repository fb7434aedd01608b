"""Absurd sizes are refused, and the message says what would be right."""

import re

import pytest

from daf.config import daf_load_config
from daf.errors import DAFConfigError


@pytest.mark.parametrize(
    ("override", "bound"),
    [
        ("mission.max_steps=100000000000000", "1000000"),
        ("mission.cogs=100000", "1024"),
        ("evaluation.episodes=1000000000", "1000000"),
        ("evaluation.workers=100000", "1024"),
        ("training.torch_threads=100000", "1024"),
        ("training.num_envs=10000000000", "1000000000"),
        ("training.num_steps=10000000000000", "1000000000000"),
        ("optimizer.lr=1e300", r"1(e\+30|0{15})"),
        ("training.clip_coef=1e300", r"1(e\+30|0{15})"),
        ("evaluation.time_limit_s=1e300", r"1(e\+30|0{15})"),
        ("comparison.trainings=100000", "1024"),
        ("sweep.n_jobs=100000", "1024"),
        ("sweep.max_retries=100000", "1024"),
        ("sweep.confirm_seeds=100000", "1024"),
    ],
)
def test_the_bound_is_named(override: str, bound: str) -> None:
    key = re.escape(override.partition("=")[0])
    with pytest.raises(DAFConfigError, match=rf"{key}.*less than or equal to {bound}"):
        daf_load_config(overrides=[override])
