"""Records are on disk as they come, whatever the cache and whatever ends the run."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from daf.config import DAFConfig
from daf.episodes.kept import KeptRecords, daf_read_records
from daf.episodes.plans import plan_episodes
from daf.episodes.played import log_episodes, play_with_progress
from daf.tracking.tracker import Tracker
from tests.made_up import made_up_episode

Load = Callable[..., DAFConfig]


@pytest.mark.parametrize("cache", ["off", "read"])
def test_a_run_that_ends_early_leaves_what_it_has_played(
    tiny: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = tiny("task=evaluate", "policy=starter", f"evaluation.cache={cache}", "evaluation.episodes=4")
    plans = plan_episodes(config, config.mission_spec(), config.policy.spec())
    added: list[int] = []
    original = KeptRecords.add

    def killed(self: KeptRecords, record: object) -> None:
        original(self, record)  # type: ignore[arg-type]
        added.append(1)
        if len(added) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(KeptRecords, "add", killed)
    with pytest.raises(KeyboardInterrupt):
        play_with_progress(config, plans, "evaluation")
    path = tmp_path / "out" / "evaluation" / "episodes.jsonl"
    assert [record.seed for record in daf_read_records(path)] == [plan.seed for plan in plans[:3]]


def test_the_file_holds_each_record_once_when_all_is_done(tiny: Load, tracker: Tracker) -> None:
    config = tiny("task=evaluate", "policy=noop", "evaluation.episodes=3")
    plans = plan_episodes(config, config.mission_spec(), config.policy.spec())
    played = play_with_progress(config, plans, "evaluation")
    path = tracker.output_dir / "evaluation" / "episodes.jsonl"
    assert sorted(record.seed for record in daf_read_records(path)) == [plan.seed for plan in plans]
    log_episodes(tracker, "evaluation", played.records, ())
    assert daf_read_records(path) == list(played.records)


def test_a_line_that_was_cut_off_is_no_harm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = (made_up_episode(seed, reward=1.0) for seed in range(2))
    KeptRecords(tmp_path).add(first)
    path = tmp_path / "episodes.jsonl"
    with path.open("ab") as file:
        file.write(b'{"mission": "cut o')
    KeptRecords(tmp_path).add(second)
    with path.open("ab") as file:
        file.write(b"\xff\0")
    assert daf_read_records(path) == [first, second]
    assert caplog.text.count("is no record") == 2


def test_a_folder_that_cannot_be_written_costs_no_episode(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    kept = KeptRecords(tmp_path / "file")
    with caplog.at_level(logging.WARNING):
        for seed in range(2):
            kept.add(made_up_episode(seed, reward=1.0))
    assert caplog.text.count("not being kept") == 1
