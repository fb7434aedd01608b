"""Made-up episodes, for what is computed from records alone."""

from collections.abc import Mapping, Sequence

import numpy as np

from daf.records import EpisodeRecord
from daf.statistics import Comparison, PairedScores, compare


def made_up_record(
    assignments: Sequence[int],
    rewards: Sequence[float],
    *,
    policies: Sequence[str] = ("a", "b"),
    mission: str = "made.up",
    seed: int = 0,
    game: Mapping[str, float] | None = None,
    agents: Sequence[Mapping[str, float]] | None = None,
    steps: int = 1,
) -> EpisodeRecord:
    """A record with what a test is about, and nothing in the rest."""
    return EpisodeRecord(
        mission=mission,
        mission_name=mission,
        mission_digest="",
        policies=tuple(policies),
        policy_digests=("",) * len(policies),
        seed=seed,
        assignments=tuple(assignments),
        rewards=tuple(rewards),
        action_timeouts=(0,) * len(rewards),
        stats={"game": dict(game or {}), "agent": [dict(stats) for stats in agents or [{}] * len(rewards)]},
        time_averaged_game_stats={},
        steps=steps,
        max_steps=steps,
        wall_time_s=0.0,
        backend="official",
    )


def made_up_comparison(values: np.ndarray, metric: str = "reward") -> tuple[Comparison, PairedScores]:
    """A comparison of scores, (policies, missions, seeds); policies are called a, b, ... and missions m0, m1, ..."""
    policies, missions = tuple("abcdef"[: values.shape[0]]), tuple(f"m{i}" for i in range(values.shape[1]))
    scores = PairedScores(
        metric=metric, policies=policies, missions=missions, seeds=tuple(range(values.shape[2])), values=values
    )
    return compare(values, policies, missions, rng=np.random.default_rng(0)), scores


def made_up_episode(
    seed: int = 0,
    *,
    reward: float = 0.0,
    agents: Sequence[Mapping[str, float]] = ({}, {}),
    game: Mapping[str, float] | None = None,
) -> EpisodeRecord:
    """100 steps of one policy that controls all agents, with the stats that a test is about."""
    seats, rewards = (0,) * len(agents), (reward,) * len(agents)
    return made_up_record(seats, rewards, policies=("p",), seed=seed, game=game, agents=agents, steps=100)


#: What nobody else's code may see.
SECRETS_OF_THE_ENVIRONMENT = {"MY_API_KEY": "made-up-key-1", "DATABASE_URL": "made-up-url-2", "HARMLESS": "made-up-3"}
