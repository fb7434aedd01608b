"""Measurements behind the README's figures: both sides in one run, in alternating order, with the load average.

`./scripts/benchmark <area>` runs one; each module's `main` prints a table and writes ``benchmark-results/<area>.json``.
"""

import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


def load_average() -> str:
    """The machine's load over 1, 5 and 15 minutes."""
    return " ".join(f"{load:.2f}" for load in os.getloadavg())


def alternate(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measures every side once a round, in an order that turns around each time: a drift of the machine hits all alike.

    Args:
        sides: name to a function that does the work once and returns its rate or time.
    """
    measured: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        order = list(sides)[:: 1 if number % 2 == 0 else -1]
        for name in order:
            measured[name].append(sides[name]())
            print(
                f"round {number + 1} of {rounds}: {name} {measured[name][-1]:,.2f} (load {load_average()})", flush=True
            )
    return measured


def median_ratio(first: list[float], second: list[float]) -> float:
    """Median over rounds of first / second: paired, so that a slow minute hits both."""
    return statistics.median(a / b for a, b in zip(first, second, strict=True))


def report(area: str, rows: Sequence[tuple[str, ...]], columns: tuple[str, ...], details: Mapping[str, Any]) -> Path:
    """Prints a table and writes it, with all details and the load average, to ``benchmark-results/<area>.json``."""
    from rich.console import Console

    from daf.results import ResultTable

    Console().print(ResultTable(f"{area}, load average {load_average()}", columns, tuple(rows)).to_rich(), crop=False)
    path = Path("benchmark-results") / f"{area}.json"
    path.parent.mkdir(exist_ok=True)
    facts = {"load_average": load_average(), "cores": os.cpu_count(), "time": time.strftime("%Y-%m-%d %H:%M")}
    path.write_text(json.dumps({**facts, "columns": columns, "rows": rows, **details}, indent=1) + "\n")
    print(f"written to {path}")
    return path
