"""Algorithms, each trained several times, compared as such."""

import json
from collections.abc import Callable

import pytest
from mlflow import MlflowClient

from daf.comparison import AlgorithmComparisonResult, daf_compare_policies
from daf.comparison.compare import COMPARE
from daf.config import DAFConfig
from daf.errors import DAFConfigError
from daf.tracking.tracker import Tracker
from tests.promised_results import keeps_promises

Load = Callable[..., DAFConfig]
ALGORITHMS = (
    "task=compare",
    "variant=mining",
    "mission.max_steps=20",
    "training.num_steps=256",
    "evaluation.episodes=2",
)


def test_algorithms_are_trained_and_compared(tiny: Load, tracker: Tracker, store: str) -> None:
    config = tiny(
        *ALGORITHMS,
        "comparison.trainings=2",
        "+comparison.algorithms.still={optimizer.lr:0.0}",
        "comparison.policies=[noop]",
        "optimizer.anneal_lr=false",
    )
    result = daf_compare_policies(config, tracker)
    keeps_promises("compare", result)
    assert isinstance(result, AlgorithmComparisonResult)
    assert {name: values.shape for name, values in result.scores.items()} == {"still": (2, 1, 2), "noop": (1, 1, 2)}
    assert {record.policies[0] for record in result.records} == {"still, seed 42", "still, seed 43", "noop"}
    again = daf_compare_policies(config, tracker)
    assert isinstance(again, AlgorithmComparisonResult)
    assert again.scores["still"].tolist() == result.scores["still"].tolist()
    tracker.close("FINISHED")
    client = MlflowClient(store)
    children = [
        run.info.run_name
        for run in client.search_runs([tracker.experiment_id])
        if run.data.tags.get("mlflow.parentRunId") == tracker.run_id and run.data.params["optimizer.lr"] == "0.0"
    ]
    assert sorted(children) == ["still, seed 42", "still, seed 43"]
    stored = json.loads((tracker.output_dir / "comparison" / "algorithms.json").read_text())
    assert stored["scores"]["still"] == result.scores["still"].tolist()
    assert [row[2] for table in result.tables[:1] for row in table.rows if row[0] == "still"] == ["2"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("+comparison.algorithms.a={optimizer.rate:1}", "algorithms.a.*rate"),
        ("+comparison.algorithms.a={policy:noop}", "no network to train"),
        ("+comparison.algorithms.a={mission.cogs:2}", "no key of policy, optimizer or training"),
        ("+comparison.algorithms.noop={}", "is the name of an algorithm, too"),
    ],
)
def test_wrong_algorithms(tiny: Load, tracker: Tracker, override: str, said: str) -> None:
    with pytest.raises(DAFConfigError, match=said):
        daf_compare_policies(
            tiny(*ALGORITHMS, "comparison.trainings=1", "comparison.policies=[noop,starter]", override), tracker
        )


def test_untrained_networks_make_the_task_train_and_scripted_policies_do_not(tiny: Callable[..., DAFConfig]) -> None:
    asked = ("task=compare", "comparison.trainings=2")
    assert COMPARE.trains(tiny(*asked, "comparison.policies=[stateless,noop]"))
    assert not COMPARE.trains(tiny(*asked, "comparison.policies=[starter,noop]"))
    assert not COMPARE.trains(tiny("task=compare", "comparison.policies=[stateless,noop]"))
