"""`task=rerun`: a run once more, from the config that is logged of it, and whether the same comes out."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from daf.config import daf_load_config
from daf.config.schemas import DAFConfig
from daf.environment_checks import daf_check_environment
from daf.errors import DAFConfigError, Problem
from daf.results import TaskResult
from daf.runs.differences import (
    column_names,
    config_differences,
    different_metrics,
    metrics_table,
    origin,
    tag_differences,
)
from daf.runs.find import KIND_TAG, PARENT_TAG, logged_text, named_run, run_problems
from daf.runs.logged import Logged
from daf.tasks import Task, claimed_folder, run_tracked
from daf.tracking.provenance import origin_tags
from daf.tracking.tracker import Tracker

log = logging.getLogger(__name__)

#: Tag of a run that repeats another: that one's id.
RERUN_TAG = "daf.rerun_of"
#: Sections that are this command's, and not those of the run that is repeated.
OF_THE_COMMAND = ("run", "tracking", "output_dir", "notify", "watch", "result_format", "sweep")
#: Kinds of runs that are repeated by the command that made them, and kinds with a parent that stand for themselves.
MANY, ALONE = ("sweep", "pipeline", "multirun"), ("job", "stage")
#: Metrics that differ, named in the verdict.
NAMED = 5


def daf_rerun(config: DAFConfig, tracker: Tracker) -> TaskResult:
    """Repeats the run that `run` names, in a folder below the output folder and as an MLflow run with its id as a tag.

    Its config is the one that was logged, with the overrides of the command line on top. Differences of commit,
    uncommitted changes, versions and hardware are warned of before it begins.

    Raises:
        DAFConfigError: its config cannot be run here, holds secrets that were blanked (they are named, and are to be
            given again), or belongs to a sweep, a pipeline or another run.
    """
    client, original = named_run(config)
    logged = Logged(client, original)
    _raise_if_many(logged)
    on_top = [override for override in tracker.overrides if _is_of_the_work(override)]
    again = _config_again(logged.config, config, on_top, tracker.output_dir)
    if errors := daf_check_environment(again).errors:
        raise DAFConfigError(list(errors))
    before = origin(original.data.tags, logged_text(client, logged.run_id, "uncommitted.diff"))
    warnings = _warnings(tag_differences(before, origin(*origin_tags())))
    for warning in warnings:
        log.warning("%s", warning)
    with claimed_folder(again) as claim:
        overrides = [*logged.overrides(), *on_top]
        result, run_id = run_tracked(again, overrides, claim, tags={RERUN_TAG: logged.run_id})
    return _compared(result, logged, Logged(client, client.get_run(run_id)), warnings)


def _raise_if_many(logged: Logged) -> None:
    tags = logged.run.data.tags
    kind = tags.get(KIND_TAG, "sweep" if "daf.sweep" in tags else "")
    if kind in MANY:
        what = f"{logged.run_id} is a {kind}, which the command repeats that made it."
        raise DAFConfigError([Problem("run", what, f"Write: {logged.command()}")])
    if PARENT_TAG in tags and kind not in ALONE:
        parent = tags[PARENT_TAG]
        what = f"{logged.run_id} is a part of MLflow run {parent}, and not a run of its own."
        raise DAFConfigError([Problem("run", what, f"Repeat the whole: run={parent}.")])


def _is_of_the_work(override: str) -> bool:
    key = override.partition("=")[0].lstrip("+~").partition("@")[0]
    return key.partition(".")[0] not in (*OF_THE_COMMAND, "task", "hydra")


def _config_again(logged: Mapping[str, Any], now: DAFConfig, on_top: Sequence[str], folder: Path) -> DAFConfig:
    """The logged config with overrides on top, where and how this command works.

    Raises:
        DAFConfigError: a value is none, or was blanked and not given again.
    """
    data = {name: section for name, section in logged.items() if name not in OF_THE_COMMAND}
    with TemporaryDirectory(prefix="daf-rerun-") as scratch:
        path = Path(scratch) / "config.yaml"
        path.write_text(yaml.safe_dump(data), encoding="utf-8")
        again = daf_load_config(path, list(on_top))
    own = {name: getattr(now, name) for name in OF_THE_COMMAND if name not in ("run", "output_dir", "sweep")}
    return again.model_copy(update={**own, "output_dir": str(folder.absolute() / again.task.name)})


def _warnings(differences: Mapping[str, tuple[str, str]]) -> list[str]:
    return [f"{name}: it ran with {before}, and now runs with {now}." for name, (before, now) in differences.items()]


def _compared(result: TaskResult, original: Logged, again: Logged, warnings: Sequence[str]) -> TaskResult:
    """The result, and whether it is that of the run before."""
    different = different_metrics(original.run, again.run)
    changed = config_differences(original.config, again.config)
    asked = sorted(key for key in changed if key.partition(".")[0] not in OF_THE_COMMAND)
    count = len(original.run.data.metrics.keys() | again.run.data.metrics.keys())
    if different:
        more = f" and {len(different) - NAMED} more" if len(different) > NAMED else ""
        verdict = f"The result is another: {', '.join(different[:NAMED])}{more} differ, of {count} metrics."
    else:
        verdict = f"The result is the same in all of {count} metrics, those of time aside."
    metrics = metrics_table(original.run, again.run, column_names(original.run, again.run))
    shown = tuple(row for row in metrics.rows if row[0] in ("objective", *different))
    return replace(
        result,
        tables=(*result.tables, *([replace(metrics, rows=shown)] if shown else [])),
        notes=(
            *result.notes,
            *warnings,
            *([f"Changed in the config: {', '.join(asked)}."] if asked else []),
            verdict,
            f"MLflow run: {again.run_id}, which repeats {original.run_id}.",
        ),
        facts={
            **result.facts,
            "rerun_of": original.run_id,
            "run_id": again.run_id,
            "same_result": str(not different).lower(),
        },
    )


RERUN = Task(
    name="rerun",
    run=daf_rerun,
    policies=lambda _: (),
    named_after=lambda _: (),
    missions=lambda _: (),
    problems=run_problems,
    tracked=False,
)
