"""Whatever a sampler proposes again is neither run again nor confirmed twice, and an exhausted space ends the study."""

from collections.abc import Callable, Mapping
from typing import Any

import optuna
import pytest

from daf.config import DAFConfig
from daf.sweeps.api import with_sweep
from daf.sweeps.confirm import candidates
from daf.sweeps.jobs import TrialOutcome
from daf.sweeps.sources import TrialSource
from daf.sweeps.status import read_status
from daf.sweeps.study import StoredStudy
from daf.tracking.tracker import Tracker
from tests.sweeps.support import make_request, open_study

Load = Callable[..., DAFConfig]
POLICIES = {"policy.class_path": ["starter", "noop"]}


class Stubborn(optuna.samplers.BaseSampler):  # type: ignore[misc]  # Optuna is untyped here
    """Proposes the low end, always."""

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        choices = getattr(param_distribution, "choices", None)
        return choices[0] if choices else param_distribution.low


def _run(config: DAFConfig, tracker: Tracker) -> tuple[StoredStudy, list[Mapping[str, Any]]]:
    """Runs a sweep whose objective is the number of the trial; what it really ran."""
    stored = open_study(config)
    source = TrialSource(stored, make_request(config, tracker), lambda line: None)
    ran: list[Mapping[str, Any]] = []
    while trial := source.next_subject():
        if job := source.make_job(trial, 0):
            ran.append(job.assignments)
            run_id = str(job.run_id)
            source.finish(trial, TrialOutcome(state="complete", run_id=run_id, values=(float(job.trial),)))
    return stored, ran


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid", "nsga2", f"{__name__}.Stubborn"])
def test_a_finite_space_is_tried_once_and_ends_the_study(tiny: Load, tracker: Tracker, sampler: str) -> None:
    config = with_sweep(tiny("task=evaluate"), space=POLICIES, sampler=sampler, n_trials=6)
    stored, ran = _run(config, tracker)
    assert sorted(assigned["policy.class_path"] for assigned in ran) == ["noop", "starter"]
    assert {trial.params["policy.class_path"] for trial in candidates(stored, config)} == {"noop", "starter"}
    assert str(read_status(stored)).startswith("2/2 trials")
    assert _run(config, tracker)[1] == [], "nor when the same command goes on"


def test_a_sampler_that_proposes_nothing_new_ends_an_endless_space(
    tiny: Load, tracker: Tracker, caplog: pytest.LogCaptureFixture
) -> None:
    space = {"optimizer.lr": {"low": 1e-4, "high": 1e-2}}
    config = with_sweep(tiny("task=train"), space=space, sampler=f"{__name__}.Stubborn", n_trials=5)
    _, ran = _run(config, tracker)
    assert [assigned["optimizer.lr"] for assigned in ran] == [1e-4]
    assert "proposed nothing new 20 times" in caplog.text


def test_the_same_values_in_another_experiment_are_no_repetition(tiny: Load, tracker: Tracker) -> None:
    space = {"optimizer.lr": {"low": 1e-4, "high": 1e-2}}
    settings: dict[str, Any] = {"sampler": f"{__name__}.Stubborn", "name": "mine", "allow_change": True}
    _run(with_sweep(tiny("task=train"), space=space, n_trials=1, **settings), tracker)
    changed = with_sweep(tiny("task=train", "training.gamma=0.9"), space=space, n_trials=2, **settings)
    assert len(_run(changed, tracker)[1]) == 1


def test_more_trials_than_are_asked_for_now_are_said_as_what_they_are(tiny: Load, tracker: Tracker) -> None:
    space = {"optimizer.lr": {"low": 1e-4, "high": 1e-2}}
    for count in (3, 2):
        config = with_sweep(tiny("task=train"), space=space, sampler="random", n_trials=count, name="mine")
        stored, _ = _run(config, tracker)
    assert str(read_status(stored)).startswith("3 trials, 2 asked for")
