"""Where a policy's weights come from, and what was measured of it, as far as the tracking store knows."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from daf.config.references import WEIGHTS_TAG
from daf.config.schemas import DAFConfig
from daf.deployment.metadata import BundleMetric
from daf.episodes.kept import RECORDS
from daf.episodes.played import EVALUATED_TAG, EVALUATION, evaluated
from daf.errors import first_line
from daf.records import EpisodeRecord
from daf.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow.entities import Run

#: What a season is decided by, beside `reward` and the config's own metric.
OBJECTIVE_STAT = "game/cogs/aligned.junction.held"


class KnownRuns:
    """The runs of a tracking store that know something of a policy.

    A store that does not answer is told, and knows nothing.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    def that_trained(self, weights_digest: str) -> str | None:
        """The id of the first run that logged a checkpoint with these weights (SHA-256)."""
        found = self._search(f"tags.`{WEIGHTS_TAG}` = '{weights_digest}'", "ASC")
        return str(found[0].info.run_id) if found else None

    def config_of(self, run_id: str) -> dict[str, Any] | None:
        """The config that a run logged."""
        text = self._artifact(run_id, "config.yaml")
        data = yaml.safe_load(text) if text else None
        return data if isinstance(data, dict) else None

    def records_of(self, policy_digest: str) -> list[EpisodeRecord]:
        """The episodes that a policy played alone in its newest evaluation, by mission and seed."""
        for run in self._search(f"tags.`{EVALUATED_TAG}` LIKE '%{evaluated(policy_digest)}%'", "DESC"):
            lines = (self._artifact(str(run.info.run_id), f"{EVALUATION}/{RECORDS}") or "").splitlines()
            records = [EpisodeRecord.from_dict(json.loads(line)) for line in lines]
            if own := [record for record in records if record.policy_digests == (policy_digest,)]:
                return sorted(own, key=lambda record: (record.mission, record.seed))
        return []

    def _search(self, query: str, order: str) -> "list[Run]":
        client = self._tracker.client
        try:
            experiments = [item.experiment_id for item in client.search_experiments()]
            return list(client.search_runs(experiments, query, order_by=[f"attributes.start_time {order}"]))
        except Exception as error:  # MLflow, its databases and servers raise what they like
            self._tracker.warn(f"The tracking store was not asked what it knows of the policy: {first_line(error)}")
            return []

    def _artifact(self, run_id: str, name: str) -> str | None:
        """A text that a run logged, or None."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                return Path(self._tracker.client.download_artifacts(run_id, name, folder)).read_text(encoding="utf-8")
            except Exception:  # as above, and none is there
                return None


def bundle_metrics(config: DAFConfig, records: Sequence[EpisodeRecord]) -> tuple[BundleMetric, ...]:
    """Means with intervals over the episodes of each mission: reward, steps, the configured metric, junctions held."""
    missions = dict.fromkeys(record.mission for record in records)
    names = dict.fromkeys(("reward", "steps", config.comparison.metric, OBJECTIVE_STAT))
    return tuple(
        _metric(name, mission, config.level, [record for record in records if record.mission == mission])
        for mission in missions
        for name in names
    )


def _metric(name: str, mission: str, level: float, records: Sequence[EpisodeRecord]) -> BundleMetric:
    from daf.statistics import mean_with_interval

    by_seed = {record.seed: record.value(name) for record in records}
    found = mean_with_interval(list(by_seed.values()), level=level)
    interval = found.interval
    return BundleMetric(
        name=name,
        mission=mission,
        mission_digest=records[0].mission_digest,
        mean=found.value,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        level=level,
        seeds=tuple(by_seed),
    )
