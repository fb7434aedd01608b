"""How many episodes or trainings are needed, from a pilot that is really played."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from mlflow import MlflowClient

from daf.comparison import PowerResult, daf_required_episodes
from daf.comparison.power.findings import needed_notes, worst_trainings
from daf.comparison.power.task import POWER, _needed
from daf.config import DAFConfig
from daf.errors import DAFConfigError
from daf.tracking.tracker import Tracker
from tests.promised_results import keeps_promises

Load = Callable[..., DAFConfig]
MINING = ("task=power", "variant=objective_mine", "mission.max_steps=60", "evaluation.episodes=6")


def test_a_pilot_says_how_many_episodes_a_difference_needs(tiny: Load, tracker: Tracker, store: str) -> None:
    asked = (*MINING, "comparison.policies=[starter,random,noop]", "power.difference=0.02", "power.power=0.9")
    result = daf_required_episodes(tiny(*asked), tracker)
    keeps_promises("power", result)
    assert isinstance(result, PowerResult)
    assert [(each.first, each.second) for each in result.episodes] == [
        ("starter", "random"),
        ("starter", "noop"),
        ("random", "noop"),
    ]
    needed = result.episodes[2].paired
    assert needed is not None
    worst = max(each.paired.value or 0 for each in result.episodes if each.paired)
    assert result.notes[0].startswith("A difference of 0.0200 in reward is found in 90% of the cases")
    assert f"evaluation.episodes={worst} (between any two policies" in result.notes[0]
    assert result.episodes[1].correlation is None  # noop never earns anything
    tracker.close("FINISHED")
    client = MlflowClient(store)
    metrics = client.get_run(tracker.run_id).data.metrics
    assert metrics["power/episodes/random - noop/0.0200"] == needed.value
    files = {item.path for folder in ("power", "power/plots") for item in client.list_artifacts(tracker.run_id, folder)}
    assert files == {"power/episodes.jsonl", "power/power.json", "power/plots", "power/plots/episodes.png"}
    stored = json.loads((tracker.output_dir / "power" / "power.json").read_text())
    assert stored["episodes"][2]["paired"]["value"] == needed.value


def test_a_pilot_without_spread_says_so(tiny: Load, tracker: Tracker) -> None:
    result = daf_required_episodes(
        tiny("task=power", "comparison.policies=[starter,noop]", "evaluation.episodes=5", "mission.max_steps=5"),
        tracker,
    )
    assert result.episodes == ()  # no standard deviations to count the differences in
    assert any(note.startswith("reward is constant; every policy scored exactly 1.0") for note in result.notes)
    asked = tiny("task=power", "comparison.policies=[starter,noop]", "power.difference=0.1")
    found = _needed({"a": np.ones((1, 1, 5)), "b": np.ones((1, 1, 5))}, asked)
    first, flat, *_ = needed_notes(found)
    assert first.endswith("with a number that this pilot cannot tell.")
    assert flat.startswith("a - b: the same difference in every episode of the pilot")


def test_algorithms_are_told_how_many_trainings_they_need(tiny: Load) -> None:
    """Five trainings each and 16 shared seeds; two policies that do not train need episodes alone."""
    rng = np.random.default_rng(1)
    pilot = {
        "a": rng.normal(0, 0.3, (5, 1, 1)) + rng.normal(0, 0.1, (5, 1, 16)),
        "b": rng.normal(0, 0.3, (5, 1, 1)) + rng.normal(0, 0.1, (5, 1, 16)),
        "scripted": rng.normal(0, 0.1, (1, 1, 16)),
        "other": rng.normal(0, 0.1, (1, 1, 16)),
    }
    found = _needed(pilot, tiny("task=power", "comparison.trainings=5", "power.difference=0.4"))
    assert [(each.first, each.second) for each in found.episodes] == [("scripted", "other")]
    assert len(found.trainings) == 5
    assert found.counts == (16, 32, 64, 128)
    sizes = [need.value for need in found.trainings[0].needs.values()]
    assert None not in sizes and sizes == sorted(sizes, reverse=True)  # type: ignore[type-var]
    (note, *_) = needed_notes(found)
    episodes, trainings = note.split("with ")[1].split("; comparison.")
    assert episodes.startswith("evaluation.episodes=") and "between any two policies" in episodes
    assert trainings.startswith(f"trainings={max(each.needs[16].value or 0 for each in found.trainings)} and")
    assert "evaluation.episodes=16 (between any two algorithms; trainings:" in trainings


def test_what_is_asked_for_is_enough_for_every_pair(tiny: Load) -> None:
    """The pair that trains most is fine with few seeds; the seeds of the other one are not."""
    rng = np.random.default_rng(2)
    pilot = {
        "a": rng.normal(0, 0.5, (5, 1, 1)) + rng.normal(0, 0.01, (5, 1, 8)),
        "b": rng.normal(0, 0.01, (5, 1, 1)) + rng.normal(0, 0.6, (1, 1, 8)) + rng.normal(0, 0.01, (5, 1, 8)),
        "scripted": np.zeros((1, 1, 8)),
    }
    found = _needed(pilot, tiny("task=power", "comparison.trainings=5", "power.difference=0.5"))
    worst = worst_trainings(found, 0.5)
    assert worst is not None
    pair, count = worst
    assert count > 8  # with 8 seeds, nothing is enough for b - scripted
    assert found.trainings[2].needs[8].value is None
    assert pair.needs[count].value == max(each.needs[count].value or 0 for each in found.trainings)
    hopeless = _needed(pilot, tiny("task=power", "comparison.trainings=5", "power.difference=0.01"))
    (note, *_) = needed_notes(hopeless)
    assert note.endswith("with more evaluation episodes than 64, whatever the number of trainings.")


def test_algorithms_are_trained_for_the_pilot(tiny: Load, tracker: Tracker, store: str) -> None:
    asked = (
        *("task=power", "variant=mining", "training.num_steps=256", "evaluation.episodes=5"),
        *("comparison.trainings=2", "+comparison.algorithms.a={}", "comparison.policies=[noop]"),
    )
    result = daf_required_episodes(tiny(*asked, "power.difference=1"), tracker)
    (needed,) = result.trainings
    assert (needed.first, needed.second, list(needed.needs)) == ("a", "noop", [5, 10, 20, 40])
    assert result.episodes == ()
    assert (tracker.output_dir / "power" / "plots" / "trainings.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["comparison.policies=[noop]"], "fewer than two"),
        (["comparison.policies=[noop,starter]", "evaluation.episodes=4"], "too small for a pilot"),
        (["comparison.policies=[stateless,noop]", "comparison.trainings=1"], "one training has no spread"),
    ],
)
def test_a_pilot_that_could_say_nothing_is_refused(
    tiny: Load, tracker: Tracker, overrides: list[str], said: str
) -> None:
    config = tiny("task=power", "evaluation.episodes=5", *overrides)
    assert [said in problem.what for problem in POWER.problems(config)] == [True]
    with pytest.raises(DAFConfigError, match=said):
        daf_required_episodes(config, tracker)
