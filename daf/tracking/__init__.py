"""MLflow: the store, one run's tracker, where results come from, and what must never be told."""

from daf.tracking.provenance import log_provenance
from daf.tracking.redaction import redactor
from daf.tracking.store import open_store, tracking_uri, ui_command
from daf.tracking.tracker import Tracker, metric_name

__all__ = [
    "Tracker",
    "log_provenance",
    "metric_name",
    "open_store",
    "redactor",
    "tracking_uri",
    "ui_command",
]
