"""One run for a sweep, whatever happens to it."""

from collections.abc import Callable

from daf.config import DAFConfig
from daf.sweeps.api import with_sweep
from daf.sweeps.mlflow_runs import parent_run
from daf.sweeps.study import StoredStudy
from daf.tracking.tracker import Tracker
from tests.sweeps.support import open_study

Load = Callable[..., DAFConfig]


def _study(tiny: Load) -> StoredStudy:
    return open_study(with_sweep(tiny(), space={"optimizer.lr": [1e-4, 1e-3]}, name="mine"))


def _parent(stored: StoredStudy, tracker: Tracker) -> str:
    return parent_run(tracker.client, tracker.experiment_id, stored, "sweep mine")


def test_a_run_that_was_deleted_is_restored(tiny: Load, tracker: Tracker) -> None:
    stored = _study(tiny)
    first = _parent(stored, tracker)
    stored.record(parent_run_id=first)
    tracker.client.delete_run(first)
    assert _parent(_study(tiny), tracker) == first
    assert tracker.client.get_run(first).info.lifecycle_stage == "active"


def test_where_it_is_gone_for_good_a_new_one_takes_the_trials_over(tiny: Load, tracker: Tracker) -> None:
    stored = _study(tiny)
    trial = stored.next_trial()
    assert trial is not None
    child = tracker.client.create_run(tracker.experiment_id, tags={"mlflow.parentRunId": "gone"}).info.run_id
    trial.record(run_id=child)
    stored.record(parent_run_id="gone")
    again = _parent(stored, tracker)
    assert tracker.client.get_run(child).data.tags["mlflow.parentRunId"] == again


def test_two_that_begin_in_the_same_moment_share_one_run(tiny: Load, tracker: Tracker) -> None:
    one, other = _study(tiny), _study(tiny)
    # Neither has noted its run with the study yet.
    first, second = _parent(one, tracker), _parent(other, tracker)
    assert first == second
    runs = tracker.client.search_runs([tracker.experiment_id], "attributes.run_name = 'sweep mine'")
    assert [run.info.run_id for run in runs] == [first]
