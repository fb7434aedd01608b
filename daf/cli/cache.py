"""`daf_cache show` and `daf_cache clear`: the records of played episodes."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from daf.cli.exit_codes import exit_code
from daf.episodes.cache import CacheSummary, cache_summary, clear_cache
from daf.results import ResultTable


def main(arguments: Sequence[str] | None = None, program: str = "daf_cache") -> None:
    """Shows or clears the cache. Ends the process with the exit code."""
    parser = argparse.ArgumentParser(prog=program, description="The records of played episodes: shows or clears them.")
    parser.add_argument("action", choices=("show", "clear"))
    parser.add_argument("--dir", type=Path, help="folder of the cache; default: $XDG_CACHE_HOME/daf/episodes")
    options = parser.parse_args(arguments)

    def act() -> None:
        if options.action == "clear":
            print(f"{clear_cache(options.dir):,} episodes removed")
        else:
            _show(cache_summary(options.dir))

    sys.exit(exit_code(act, program))


def _show(summary: CacheSummary) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{summary.directory}: {summary.entries:,} episodes, {summary.bytes / 2**20:,.1f} MiB")
    if summary.damaged:
        console.print(f"{summary.damaged:,} files are damaged or of another version; their episodes are played again.")
    for title, counts in (("mission", summary.by_mission), ("policy", summary.by_policy)):
        if counts:
            rows = tuple((name, f"{count:,}") for name, count in counts.items())
            console.print(ResultTable(f"By {title}", (title, "episodes"), rows).to_rich(), crop=False)


if __name__ == "__main__":
    main()
