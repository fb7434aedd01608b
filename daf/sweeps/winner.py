"""The winner's config as an experiment that `python -m daf.run experiment=<name>` runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from daf.config.schemas import DAFConfig
from daf.config.sections import EXPERIMENT
from daf.files import write_whole
from daf.redaction import redactor

MARK = "# Winner of the sweep "


def write_winner(path: Path, name: str, config: DAFConfig, comment: Mapping[str, str]) -> bool:
    """Writes an experiment; an earlier winner of the same sweep is replaced, any other file is left alone.

    Secrets are blanked: who runs it gives them again.

    Args:
        name: of the study.
        comment: what stands above the keys, label to text.

    Returns:
        Whether it was written.
    """
    first = f"{MARK}{name}."
    if path.is_file() and first not in path.read_text():
        return False
    data: dict[str, Any] = redactor().tree(config.model_dump(mode="json", include=set(EXPERIMENT)))
    lines = ["# @package _global_", first, *(f"# {label}: {text}" for label, text in comment.items())]
    # Above a group's option, so that `task=...` on the command line still decides what is done with it.
    lines += ["defaults:", f"  - override /task: {config.task.name}", "  - _self_", ""]
    path.parent.mkdir(parents=True, exist_ok=True)
    head = redactor().text("\n".join(lines))
    write_whole(path, head + yaml.safe_dump({key: data[key] for key in EXPERIMENT}, sort_keys=False))
    return True
