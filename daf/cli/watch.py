"""`daf watch`: everything that runs against a store, on one local page or in a terminal."""

import argparse
import sys
from collections.abc import Sequence

from daf.cli.exit_codes import exit_code
from daf.execution.interrupts import ended_by
from daf.redaction import guarded

EPILOG = """\
Keys: tracking.uri=... watches another store, sweep.storage=... studies that are kept elsewhere, watch.host and
watch.port choose the address (watch.port=0 takes a free port). It ends with Ctrl-C (exit code 130). Exit codes: 0
done, 1 failed, 2 the request was wrong.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Shows what runs. Ends the process with the exit code."""
    parser = argparse.ArgumentParser(
        prog="daf watch", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--terminal", action="store_true", help="show it here, and no page")
    parser.add_argument("--once", action="store_true", help="with --terminal: show it once, and end")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="keys of DAF's config")
    options = parser.parse_intermixed_args(arguments)
    if options.once and not options.terminal:
        parser.error("--once goes with --terminal")

    def act() -> None:
        from daf.config import daf_load_config

        config = daf_load_config(overrides=options.overrides)
        try:
            if options.terminal:
                from daf.dashboard.terminal import watch_in_terminal

                watch_in_terminal(config, once=options.once)
            else:
                from daf.dashboard.serve import serve

                serve(config)
        except KeyboardInterrupt:  # how watching ends; there is nothing to say about it
            sys.exit(128 + ended_by())

    with guarded():
        code = exit_code(act, "daf watch")
    sys.exit(code)


if __name__ == "__main__":
    main()
