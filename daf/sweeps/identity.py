"""What a study is about: what must not change while it goes on, and the name that follows from it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daf.config.schemas import DAFConfig
from daf.config.sections import FREE
from daf.config.tracking_address import studies_folder
from daf.records import digest
from daf.redaction import redactor
from daf.tasks import find_task
from daf.tracking.provenance import flatten

#: Settings of the sweep that, changed, make another study where no name is given.
NAMING = ("sampler", "sampler_kwargs", "pruner", "pruner_kwargs", "patience", "enqueue")
#: Those that make another experiment even under the same name.
IDENTIFYING = ("space", "seeds_per_trial")


def identity(config: DAFConfig) -> dict[str, Any]:
    """What must not change while a study goes on, as plain data without secrets: those may change."""
    decisive = find_task(config.task).decided_by
    if decisive is not None and "vor" in config.objective.metric:
        decisive |= {"vor"}
    data = config.model_dump(mode="json", include=decisive, exclude=FREE)  # type: ignore[arg-type]
    data["sweep"] = config.sweep.model_dump(mode="json", include=set(IDENTIFYING), exclude_defaults=True)
    tree: dict[str, Any] = redactor().tree(data)
    return tree


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(key, what changed) for every leaf of two identities that differs."""
    # Through JSON, as the storage gives it back.
    old, new = dict(flatten(before)), dict(flatten(json.loads(json.dumps(now))))
    return [
        (key, f"was {old.get(key, 'not there')!r}, is {new.get(key, 'not there')!r}.")
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]


def study_name(config: DAFConfig) -> str:
    """The given name, or one that the same command arrives at again."""
    if config.sweep.name:
        return redactor().text(config.sweep.name)
    settings = redactor().tree(config.sweep.model_dump(mode="json", include=set(NAMING)))
    return f"{config.task.name}-{digest([identity(config), settings])[:8]}"


def default_storage(config: DAFConfig) -> Path:
    """The study's journal, beside the tracking store where that is a file."""
    return studies_folder(config.tracking.uri) / f"{study_name(config)}.journal"
