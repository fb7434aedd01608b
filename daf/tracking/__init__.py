"""MLflow: the store, one run's tracker, and where results come from.

Modules are imported with the first name that is asked for, so that naming the store does not import MLflow.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daf.tracking.begin import open_tidied
    from daf.tracking.provenance import log_provenance
    from daf.tracking.store import open_store, tracking_problems, tracking_uri, ui_command
    from daf.tracking.tracker import Tracker, metric_name

_HOMES = {
    "Tracker": "tracker",
    "log_provenance": "provenance",
    "metric_name": "tracker",
    "open_store": "store",
    "open_tidied": "begin",
    "tracking_problems": "store",
    "tracking_uri": "store",
    "ui_command": "store",
}
__all__ = [
    "Tracker",
    "log_provenance",
    "metric_name",
    "open_store",
    "open_tidied",
    "tracking_problems",
    "tracking_uri",
    "ui_command",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
