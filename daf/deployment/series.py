"""The stored series of a deployed version's scores: one MLflow run a look, one step of its metric an episode's seed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daf.errors import DAFError
from daf.tracking.deliver import reason
from daf.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow.entities import Run

#: Tags of a look's run, and the metric that its scores have.
SERIES, FIRST, COUNT = "daf.monitor.series", "daf.monitor.first_seed", "daf.monitor.episodes"
SCORE = "monitor/score"
PAGE = 1000


@dataclass(frozen=True)
class Series:
    """What earlier looks found.

    Attributes:
        scores: by seed, in the order in which they were played.
        next_seed: the first one that no look has claimed; None before the first look.
        looks: how many there were.
    """

    scores: dict[int, float]
    next_seed: int | None
    looks: int


def read_series(tracker: Tracker, series: str) -> Series:
    """All looks of a series, in whatever experiment of the store.

    Raises:
        DAFError: the store does not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        runs = _runs(tracker, series)
        found = [(int(run.data.tags[FIRST]), int(run.data.tags[COUNT]), run.info.run_id) for run in runs]
        scores: dict[int, float] = {}
        for *_, run_id in sorted(found):
            history = tracker.client.get_metric_history(run_id, SCORE)
            for metric in sorted(history, key=lambda metric: metric.step):
                scores.setdefault(int(metric.step), float(metric.value))
    except MlflowException as error:
        raise DAFError(f"the tracking store does not answer: {reason(error)}") from error
    ends = [first + count for first, count, _ in found]
    return Series(scores, max(ends, default=None), len(found))


def _runs(tracker: Tracker, series: str) -> "list[Run]":
    client, found, token = tracker.client, [], None
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    while True:
        page = client.search_runs(experiments, f"tags.`{SERIES}` = '{series}'", max_results=PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def claim_seeds(tracker: Tracker, series: str, first: int, count: int) -> None:
    """Writes down, here and now, that this run plays these seeds: no later look plays them again, whatever comes.

    Raises:
        DAFError: the store does not take it.
    """
    from mlflow.entities import RunTag
    from mlflow.exceptions import MlflowException

    tags = {SERIES: series, FIRST: str(first), COUNT: str(count)}
    try:
        tracker.client.log_batch(tracker.run_id, tags=[RunTag(key, value) for key, value in tags.items()])
    except MlflowException as error:
        raise DAFError(f"the tracking store does not take the look: {reason(error)}") from error


def log_scores(tracker: Tracker, scores: Iterable[tuple[int, float]]) -> None:
    """Adds this look's scores to the series."""
    for seed, score in scores:
        tracker.log_metrics({SCORE: score}, step=seed)
