"""Which episodes are played again for a recorder, and what is said when they end otherwise."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from daf.config import DAFConfig
from daf.episodes.play import daf_play_episodes
from daf.episodes.recording import choose_episodes, record_again
from daf.records import EpisodePlan, EpisodeRecord, MissionSpec, PolicySpec
from daf.tracking.tracker import Tracker

MISSION = MissionSpec(name="cogsguard_arena.basic", cogs=2, max_steps=10)
NOOP = PolicySpec(name="idle", class_path="noop")


@pytest.fixture(scope="module")
def record() -> EpisodeRecord:
    plan = EpisodePlan(mission=MISSION, policies=(NOOP,), assignments=(0, 0), seed=7)
    (outcome,) = daf_play_episodes([plan])
    assert isinstance(outcome, EpisodeRecord)
    return outcome


def test_the_chosen_are_best_median_and_worst(record: EpisodeRecord) -> None:
    def earned(*rewards: float) -> list[EpisodeRecord]:
        return [replace(record, seed=seed, rewards=(reward,) * 2) for seed, reward in enumerate(rewards)]

    def seeds(*rewards: float) -> dict[str, int]:
        return {label: chosen.seed for label, chosen in choose_episodes(earned(*rewards)).items()}

    assert seeds(3, 1, 5, 2, 4) == {"best": 2, "median": 0, "worst": 1}
    assert seeds(1, 4, 2, 3) == {"best": 1, "median": 2, "worst": 0}
    assert seeds(1, 1, 1) == {"best": 0, "median": 1, "worst": 2}
    assert seeds(1, 2) == {"best": 1, "worst": 0}
    assert seeds(7) == {"only": 0}


def test_an_episode_that_ends_otherwise_or_fails_is_reported(
    tiny: Callable[..., DAFConfig],
    tracker: Tracker,
    tmp_path: Path,
    record: EpisodeRecord,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = tiny("task=evaluate")
    (same,) = record_again(config, [record], NOOP, MISSION, tmp_path / "same", tracker)
    assert (same.label, same.record.rewards, same.replay.name) == ("only", record.rewards, "only.json.z")
    assert same.replay.is_file()
    assert caplog.text == ""

    better = replace(record, seed=8, rewards=tuple(reward + 5 for reward in record.rewards))
    recordings = record_again(config, [record, better], NOOP, MISSION, tmp_path / "other", tracker)
    assert [(recording.label, recording.record.seed) for recording in recordings] == [("best", 8), ("worst", 7)]
    (message,) = caplog.messages
    assert message.startswith(f"the best episode of idle (seed 8) earned {better.reward():.4f} in the evaluation and")

    caplog.clear()
    broken = replace(NOOP, class_path="nonexistent")
    assert record_again(config, [record], broken, MISSION, tmp_path / "broken", tracker) == []
    assert caplog.messages == ["the only episode of idle (seed 7) failed while it was recorded."]
