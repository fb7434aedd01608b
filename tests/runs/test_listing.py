"""Runs as a table, and two side by side; nothing is made by looking."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from daf.config import DAFConfig, daf_load_config
from daf.environment_checks import daf_check_environment
from daf.errors import DAFConfigError
from daf.results import TaskResult
from daf.runs import daf_list_runs
from daf.runs.differences import config_differences, different_metrics
from daf.runs.find import find_run
from daf.runs.listing import id_length, search_filter
from daf.tracking.untracked import Untracked

Load = Callable[..., DAFConfig]
HOUR_MS = 3_600_000


class Made:
    """A store with runs, made without any work."""

    def __init__(self, uri: str) -> None:
        self.client = MlflowClient(uri)
        self.experiment = self.client.create_experiment("daf", artifact_location=None)
        self.now = int(time.time() * 1000)

    def run(self, name: str, *, age_h: float = 0.0, parent: str = "", task: str = "train", **metrics: float) -> str:
        tags = {"daf.task": task, **({"mlflow.parentRunId": parent} if parent else {})}
        start = self.now - int(age_h * HOUR_MS)
        run_id = str(self.client.create_run(self.experiment, start, tags, name).info.run_id)
        self.client.log_batch(
            run_id,
            metrics=[Metric(key, value, start, 0) for key, value in metrics.items()],
            params=[Param("policy.class_path", "lstm"), Param("mission.name", "arena")],
        )
        self.client.set_terminated(run_id, "FINISHED", start + 5000)
        return run_id


@pytest.fixture
def made(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.chdir(tmp_path)  # artifacts without a place of their own
    return Made(store)


def listed(store: str, folder: Path, *overrides: str) -> TaskResult:
    config = daf_load_config(overrides=["task=runs", f"tracking.uri={store}", f"output_dir={folder}", *overrides])
    problems = daf_check_environment(config).errors
    if problems:
        raise DAFConfigError(list(problems))
    return daf_list_runs(config, Untracked(folder))


def column(result: TaskResult, name: str) -> list[str]:
    table = result.tables[0]
    return [row[table.columns.index(name)] for row in table.rows]


def test_the_newest_come_first_and_children_below_their_parents(made: Made, store: str, tmp_path: Path) -> None:
    old = made.run("old", age_h=3, objective=1.5)
    parent = made.run("parent", age_h=2)
    made.run("child", age_h=1, parent=parent)
    folded = listed(store, tmp_path)
    assert column(folded, "name") == ["parent", "old"]
    assert column(folded, "objective") == ["-", "1.5000"]
    assert column(folded, "run") == [parent[:8], old[:8]]
    assert column(folded, "duration") == ["5.0 s", "5.0 s"]
    assert folded.facts["run_ids"] == f"{parent} {old}"
    assert any("runs.children=true" in note for note in folded.notes)
    assert column(listed(store, tmp_path, "runs.children=true"), "name") == ["parent", "└ child", "old"]


def test_convenient_keys_and_the_filter_work_together(made: Made, store: str, tmp_path: Path) -> None:
    made.run("train a", age_h=50, reward=1.0)
    made.run("train b", age_h=1, reward=3.0)
    made.run("play b", age_h=1, task="evaluate", reward=2.0)
    failed = made.run("train c", age_h=1)
    made.client.set_terminated(failed, "FAILED")

    def names(*overrides: str) -> set[str]:
        found = listed(store, tmp_path, *overrides)
        return set(column(found, "name")) if found.tables else set()

    assert names("runs.task=train", "runs.since=2d") == {"train b", "train c"}
    assert names("runs.status=FAILED") == {"train c"}
    assert names('runs.name="train*"') == {"train a", "train b", "train c"}
    assert names("runs.name=train") == set()
    assert names('runs.filter="metrics.reward > 1.5"', "runs.task=evaluate") == {"play b"}
    ranked = listed(store, tmp_path, "runs.metric=reward", "runs.limit=2")
    assert column(ranked, "reward") == ["3.0000", "2.0000"]
    assert "There are more: runs.limit=4 shows twice as many." in ranked.notes
    lowest = listed(store, tmp_path, "runs.metric=reward", "runs.ascending=true")
    assert column(lowest, "reward") == ["1.0000", "2.0000", "3.0000"]


def test_a_large_store_is_not_read_whole(
    made: Made, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(30):
        made.run(f"run {index}")
    asked: list[int] = []
    search = MlflowClient.search_runs

    def counted(self: MlflowClient, *positional: Any, **named: Any) -> Any:
        asked.append(named["max_results"])
        return search(self, *positional, **named)

    monkeypatch.setattr(MlflowClient, "search_runs", counted)
    assert len(listed(store, tmp_path, "runs.limit=7").tables[0].rows) == 7
    assert asked == [7]


def test_nothing_is_made_by_looking(tmp_path: Path, store: str) -> None:
    missing = tmp_path / "none" / "mlflow.db"
    with pytest.raises(DAFConfigError, match="nothing has been logged to"):
        listed(f"sqlite:///{missing}", tmp_path)
    assert not missing.parent.exists()
    before = {each.name for each in MlflowClient(store).search_experiments()}
    with pytest.raises(DAFConfigError, match="there is no experiment 'mine'"):
        listed(store, tmp_path, "tracking.experiment=mine")
    assert {each.name for each in MlflowClient(store).search_experiments()} == before


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ('runs.filter="metrics.reward >"', "runs.filter: MLflow refuses it"),
        ("runs.since=2026-02-31", "runs.since: '2026-02-31' is no day"),
        ("runs.since=yesterday", "runs.since"),
        ("runs.compare=[a]", "two runs are compared"),
        ("runs.ascending=true", "runs.ascending"),
        ("""runs.name="a'b" """.strip(), "runs.name"),
    ],
)
def test_what_cannot_be_asked_is_refused(override: str, told: str, made: Made, store: str, tmp_path: Path) -> None:
    with pytest.raises(DAFConfigError) as refused:
        listed(store, tmp_path, override)
    assert told in str(refused.value)


def test_times_count_from_now() -> None:
    config = daf_load_config(overrides=["runs.since=2d", "runs.children=true"])
    assert search_filter(config.runs, now=1_000_000.0) == "attributes.start_time >= 827200000"


def test_runs_are_found_by_id_beginning_and_name(made: Made) -> None:
    first, second = made.run("twin"), made.run("twin")
    one = made.run("single")
    assert find_run(made.client, first, "run").info.run_id == first
    shared = next(n for n in range(1, 33) if len({each[:n] for each in (first, second, one)}) == 3)
    assert find_run(made.client, second[:shared], "run").info.run_id == second
    assert find_run(made.client, "single", "run").info.run_id == one
    with pytest.raises(DAFConfigError) as several:
        find_run(made.client, "twin", "run")
    assert first in str(several.value)
    assert second in str(several.value)
    with pytest.raises(DAFConfigError, match=r"run: there is no run 'nobody' in this store"):
        find_run(made.client, "nobody", "run")


def test_ids_are_as_long_as_tells_them_apart() -> None:
    assert id_length(["a" * 32]) == 8
    assert id_length(["abcdefghij" + "0" * 22, "abcdefghik" + "0" * 22]) == 10


def test_two_runs_side_by_side(made: Made, store: str, tmp_path: Path) -> None:
    runs = [made.run("a", objective=1.0, only_a=2.0, duration_s=3.0), made.run("b", objective=1.5, duration_s=4.0)]
    shared = {"seed": 1, "output_dir": "somewhere", "long": ["x" * 9000, "y"]}
    configs: list[dict[str, object]] = [
        shared | {"lr": 0.1},
        {**shared, "output_dir": "elsewhere", "lr": 0.2, "long": ["x" * 9000, "z"]},
    ]
    for run_id, logged, commit in zip(runs, configs, ("abc", "def"), strict=True):
        made.client.log_text(run_id, yaml.safe_dump(logged), "config.yaml")
        tags = {"mlflow.source.git.commit": commit, "version.torch": "2.9", "hardware.load_average": commit}
        made.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
    result = listed(store, tmp_path, f"runs.compare=[{runs[0]},b]")
    config, metrics, origin = result.tables
    # Parameters would have cut the long list.
    assert config.rows == (("long.1", "y", "z"), ("lr", "0.1", "0.2"))
    assert metrics.rows[0] == ("objective", "1.0000", "1.5000", "+0.5000")
    assert ("only_a", "2.0000", "-", "-") in metrics.rows
    assert origin.rows == (("commit", "abc", "def"),)
    assert result.metrics["config_differences"] == 2
    one, two = (made.client.get_run(run_id) for run_id in runs)
    assert different_metrics(one, two) == ["objective", "only_a"]


def test_policies_that_only_one_config_has_are_one_line() -> None:
    policy: dict[str, object] = {"class_path": "starter", "weights": None, "trust": False, "init_kwargs": {}}
    found = config_differences({"policies": [policy]}, {"policies": [policy, {**policy, "class_path": "noop"}]})
    assert found == {"policies.1": ("-", "class_path=noop")}
    assert config_differences({"a": 1, "b": True}, {"a": 1.0, "b": 1}) == {"a": ("1", "1.0"), "b": ("true", "1")}
