"""Optuna's own dashboard opens what DAF writes."""

import io
import json
from collections.abc import Callable
from typing import Any

from daf.config import DAFConfig
from daf.sweeps.api import with_sweep
from daf.sweeps.composition import compose_onto
from daf.sweeps.space import Space
from daf.sweeps.study import open_storage
from tests.sweeps.support import open_study


def test_optunas_dashboard_lists_the_trials(tiny: Callable[..., DAFConfig]) -> None:
    import optuna_dashboard

    config = with_sweep(tiny("sweep.name=mine"), space={"optimizer.lr": [1e-3, 1e-2]})
    stored = open_study(config)
    for value in (1.0, 2.0):
        trial = stored.next_trial()
        assert trial is not None
        trial.suggest(Space.from_config(config.sweep.space), compose_onto(config))
        trial.complete([value])
    stored.close()
    app = optuna_dashboard.wsgi(open_storage(config))
    (study,) = _get(app, "/api/studies")["study_summaries"]
    assert study["study_name"] == "mine"
    detail = _get(app, f"/api/studies/{study['study_id']}")
    assert [(trial["state"], trial["values"]) for trial in detail["trials"]] == [
        ("Complete", [1.0]),
        ("Complete", [2.0]),
    ]


def _get(app: Callable[..., Any], path: str) -> Any:
    """What a WSGI application answers."""
    status: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.input": io.BytesIO(),
        "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
    }
    body = b"".join(app(environ, lambda line, *_: status.append(line)))
    assert status[0].startswith("200"), (status, body[:200])
    return json.loads(body)
