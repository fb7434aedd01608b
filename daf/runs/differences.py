"""Two runs side by side: what was asked of them, what came out, and where they come from."""

import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from daf.records import digest
from daf.results import ResultTable, TaskResult
from daf.runs.find import SHORT, logged_config, logged_text
from daf.visualization.text import NO_VALUE, number_text

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

COMMIT, DIRTY = "mlflow.source.git.commit", "git.dirty"
#: Each run has a folder of its own, whatever it does.
ALWAYS_OTHER = frozenset({"output_dir"})
#: How busy a machine was is no part of what it is.
PASSING = frozenset({"hardware.load_average"})
#: Parts of metrics' names that tell of speed, time and load, which no two runs have in common.
TIMES = ("duration", "seconds", "sps", "time", "uptime", "performance", "memory", "system", "cached")


def compare_runs(client: "MlflowClient", first: "Run", second: "Run") -> TaskResult:
    """Sets two runs side by side: the difference of their configs, their metrics, and their origins where they differ.

    Configs are compared as they were logged, since parameters are cut at some length.

    Raises:
        DAFError: a run has no config.
    """
    names = column_names(first, second)
    config = config_differences(logged_config(client, first), logged_config(client, second))
    origin = origin_differences(client, first, second)
    tables = [
        _table("Config", "key", names, config),
        metrics_table(first, second, names),
        _table("Code and machine", "what", names, origin),
    ]
    same = [f"Both have the same {what}." for what, found in (("config", config), ("origin", origin)) if not found]
    return TaskResult(
        objective=None,
        tables=tuple(table for table in tables if table.rows),
        notes=(*(f"{run.info.run_id}: {run.info.run_name}, {run.info.status}" for run in (first, second)), *same),
        metrics={"config_differences": len(config), "origin_differences": len(origin)},
        facts={"first": first.info.run_id, "second": second.info.run_id},
    )


def column_names(first: "Run", second: "Run") -> tuple[str, str]:
    """Ids as headings, as short as tells the two apart."""
    one, other = first.info.run_id, second.info.run_id
    length = next((n for n in range(SHORT, 33) if one[:n] != other[:n]), 32)
    return one[:length], other[:length]


def config_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Dotted key to the values in both configs, for every leaf that differs; lists are compared item by item."""
    found = {key: (_shown(one), _shown(other)) for key, one, other in _differing(first, second, "")}
    return {key: values for key, values in found.items() if key not in ALWAYS_OTHER}


class _Missing:
    """What stands for a key that a config does not have."""


def _differing(one: Any, other: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in dict.fromkeys((*one, *other)):
            yield from _differing(one.get(name, _Missing), other.get(name, _Missing), f"{key}.{name}".lstrip("."))
    elif isinstance(one, list) and isinstance(other, list):
        for index, (item, its_other) in enumerate(zip_longest(one, other, fillvalue=_Missing)):
            yield from _differing(item, its_other, f"{key}.{index}")
    elif one != other or type(one) is not type(other):
        yield key, one, other


def _shown(value: Any) -> str:
    """A value in a cell; of a mapping, such as a policy, only what says something."""
    if value is _Missing:
        return NO_VALUE
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_shown(item)}" for name, item in value.items() if item not in (None, False, {}, []))
    return json.dumps(value) if value is None or isinstance(value, bool | list) else str(value)


def metrics_table(first: "Run", second: "Run", names: tuple[str, str]) -> ResultTable:
    """Every metric of either run with the difference of the two: the objective first, then those that both have."""
    one, other = first.data.metrics, second.data.metrics
    both = one.keys() & other.keys()
    rows = []
    for name in sorted({*one, *other}, key=lambda name: (name != "objective", name not in both, name)):
        difference = number_text(other[name] - one[name], "+") if name in both else NO_VALUE
        rows.append((name, number_text(one.get(name)), number_text(other.get(name)), difference))
    return ResultTable("Metrics", ("metric", *names, "difference"), tuple(rows))


def different_metrics(first: "Run", second: "Run") -> list[str]:
    """Names of the metrics that only one run has, or that differ; those of speed, time and load aside."""
    one, other = first.data.metrics, second.data.metrics
    return [name for name in sorted({*one, *other}) if one.get(name) != other.get(name) and not _is_time(name)]


def _is_time(name: str) -> bool:
    words = name.lower().replace("/", "_").replace(".", "_").replace(" ", "_").split("_")
    return any(word in TIMES for word in words)


def origin_differences(client: "MlflowClient", first: "Run", second: "Run") -> dict[str, tuple[str, str]]:
    """What differs in commit, uncommitted changes, versions and hardware, with what both runs have."""
    return tag_differences(
        origin(first.data.tags, logged_text(client, first.info.run_id, "uncommitted.diff")),
        origin(second.data.tags, logged_text(client, second.info.run_id, "uncommitted.diff")),
    )


def origin(tags: Mapping[str, str], uncommitted: str | None) -> dict[str, str]:
    """Where a run comes from, as words for what and words for which."""
    found = {"commit": tags[COMMIT]} if COMMIT in tags else {}
    if uncommitted:
        found["uncommitted changes"] = f"{len(uncommitted.splitlines())} lines, {digest(uncommitted)[:SHORT]}"
    kept = ("version.", "hardware.")
    return found | {name: value for name, value in tags.items() if name.startswith(kept) and name not in PASSING}


def tag_differences(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Name to both values, for every name whose values differ."""
    return {
        name: (first.get(name, NO_VALUE), second.get(name, NO_VALUE))
        for name in dict.fromkeys((*first, *second))
        if first.get(name) != second.get(name)
    }


def _table(title: str, what: str, names: tuple[str, str], differences: Mapping[str, tuple[str, str]]) -> ResultTable:
    return ResultTable(title, (what, *names), tuple((name, *values) for name, values in differences.items()))
