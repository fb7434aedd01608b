"""What is said about policies is what loading, training and playing them shows."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from mlflow import MlflowClient

from daf import policy_analysis
from daf.config import DAFConfig
from daf.errors import DAFError
from daf.policy_analysis import (
    SMALL_MISSION,
    TIMED_STEPS,
    daf_analyze_policy,
    daf_compare_policy_architectures,
    daf_list_available_policies,
    daf_show_policies,
)
from daf.records import PolicySpec
from daf.tracking.tracker import Tracker

Load = Callable[..., DAFConfig]


def spec_of(name: str) -> PolicySpec:
    return PolicySpec(name=name, class_path=name)


def test_every_registered_policy_is_listed_and_tried() -> None:
    found = {policy.name: policy for policy in daf_list_available_policies()}
    assert {name for name, policy in found.items() if policy.trainable} == {
        "lstm", "puffer", "stateless", "pufferlib_cogs", "token", "tutorial",
    }  # fmt: skip
    assert {name for name, policy in found.items() if policy.recurrent} == {"lstm", "puffer", "tutorial"}
    assert {name for name, policy in found.items() if policy.step_batch} == {"noop", "tutorial_noop"}
    problems = {name: policy.problem for name, policy in found.items() if policy.problem}
    assert problems.keys() == {"token", "chaos-monkey"}
    assert "fails when it is loaded: TypeError" in str(problems["token"])
    assert "fails when it acts: RuntimeError: Chaos monkey" in str(problems["chaos-monkey"])


@pytest.mark.parametrize(
    ("name", "parameters", "recurrent"),
    [("lstm", 226_310, True), ("puffer", 681_734, True), ("stateless", 94_214, False), ("starter", 0, None)],
)
def test_the_parts_of_a_policy(name: str, parameters: int, recurrent: bool | None) -> None:
    """The counts are CoGames' own, as its training prints them."""
    analysis = daf_analyze_policy(spec_of(name))
    assert (analysis.parameters, analysis.recurrent) == (parameters, recurrent)
    assert sum(count for *_, count in analysis.layers) == parameters
    low, high = analysis.action_ms_range
    assert 0 < low <= analysis.action_ms <= high
    assert analysis.timed_actions == TIMED_STEPS * 2
    assert (analysis.why_not_batched is None) == (name != "starter")


def test_a_network_is_slower_than_doing_nothing() -> None:
    lstm, noop = daf_analyze_policy(spec_of("lstm")), daf_analyze_policy(spec_of("noop"))
    assert lstm.action_ms > 10 * noop.action_ms


def test_a_short_mission_ends_the_timing() -> None:
    from daf.bridge.inspection import time_policy

    assert len(time_policy(replace(SMALL_MISSION, max_steps=7), spec_of("noop"), 50)) == 14


@pytest.mark.parametrize(("steps", "timed"), [(50, 45), (3, 1)])
def test_the_first_steps_of_a_short_mission_are_left_out_too(steps: int, timed: int) -> None:
    analysis = daf_analyze_policy(spec_of("noop"), replace(SMALL_MISSION, max_steps=steps))
    assert analysis.timed_actions == timed * 2


def test_architectures_side_by_side_are_logged(tiny: Load, tracker: Tracker, store: str) -> None:
    config = tiny("task=policies", "evaluation.policies=[lstm,'class=stateless,name=flat',starter]")
    listed, architectures, *layers = daf_show_policies(config, tracker).tables
    assert len(listed.rows) == 15
    rows = {row[0]: dict(zip(architectures.columns, row, strict=True)) for row in architectures.rows}
    assert [row["parameters"] for row in rows.values()] == ["226,310", "94,214", "0"]
    assert [row["recurrent"] for row in rows.values()] == ["yes", "no", "-"]
    assert rows["lstm"]["batched backend"] == "yes"
    assert "scripted" in rows["starter"]["batched backend"]
    assert [table.title for table in layers] == ["Layers of lstm", "Layers of flat"]
    tracker.close("FINISHED")
    metrics = MlflowClient(store).get_run(tracker.run_id).data.metrics
    assert metrics["policies/parameters/flat"] == 94_214
    assert metrics["policies/ms_per_action/lstm"] > 0


def test_an_architecture_table_of_one() -> None:
    table = daf_compare_policy_architectures([daf_analyze_policy(spec_of("puffer"))])
    assert table.rows[0][:4] == ("puffer", "PufferDefaultPolicy", "681,734", "5")


def test_a_registered_policy_that_ends_its_process_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    def died(*_: object) -> None:
        raise DAFError("The worker process died with exit code 3.")

    monkeypatch.setattr(policy_analysis, "registered_policies", lambda: {"odd": "odd.Policy"})
    monkeypatch.setattr(policy_analysis, "where_it_belongs", died)
    (listed,) = daf_list_available_policies()
    assert (listed.name, listed.trainable) == ("odd", False)
    assert listed.problem == "fails when it is loaded: The worker process died with exit code 3."
