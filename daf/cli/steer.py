"""`daf sweep-stop` and `daf sweep-enqueue`: steer a sweep that runs, wherever it runs, through its study's storage."""

import argparse
import sys
from collections.abc import Callable, Sequence

from daf.cli.exit_codes import exit_code
from daf.redaction import guarded

STOP = """\
Stops a sweep after the trials that are running: they are finished, the best are confirmed, and the same command goes on
with the rest later. With --trial one trial is stopped instead: it counts as stopped by you, and is not tried again."""
ENQUEUE = """\
Has a sweep try a point as soon as a worker is free; swept keys that are not given are sampled. A value outside of what
its key ranges over is refused."""
EPILOG = """\
NAME is the study's, as the sweep prints it. tracking.uri=... and sweep.storage=... say where it is kept. Exit codes: 0
done, 1 failed, 2 the request was wrong.
"""


def stop(arguments: Sequence[str] | None = None) -> None:
    """Stops a sweep or one of its trials. Ends the process with the exit code."""
    parser = _parser("daf sweep-stop", STOP)
    parser.add_argument("--trial", type=int, metavar="N", help="stop this trial only")
    options = parser.parse_intermixed_args(arguments)

    def act() -> None:
        from daf.config import daf_load_config
        from daf.sweeps import steering

        study = steering.find_study(daf_load_config(overrides=options.pairs), options.name)
        print(steering.stop_sweep(study) if options.trial is None else steering.stop_trial(study, options.trial))

    _end(act, "daf sweep-stop")


def enqueue(arguments: Sequence[str] | None = None) -> None:
    """Enqueues a point. Ends the process with the exit code."""
    options = _parser("daf sweep-enqueue", ENQUEUE).parse_intermixed_args(arguments)

    def act() -> None:
        from daf.config import daf_load_config
        from daf.config.sections import SAME_FOR_ALL_TRIALS
        from daf.sweeps import steering

        # What is the same for all trials cannot be swept, so it says where the study is.
        keys = [
            pair for pair in options.pairs if pair.lstrip("+").partition("=")[0].split(".")[0] in SAME_FOR_ALL_TRIALS
        ]
        point = [pair for pair in options.pairs if pair not in keys]
        study = steering.find_study(daf_load_config(overrides=keys), options.name)
        print(steering.enqueue(study, steering.read_point(point)))

    _end(act, "daf sweep-enqueue")


def _parser(program: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program, description=description, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", metavar="NAME", help="of the study")
    parser.add_argument("pairs", nargs="*", metavar="key=value", help="a swept key, or where the study is kept")
    return parser


def _end(act: Callable[[], None], program: str) -> None:
    with guarded():
        code = exit_code(act, program)
    sys.exit(code)
