"""What a shell script sees of an error: a message on standard error and an exit code."""

import errno
import os
import sys
import traceback
from collections.abc import Callable

from daf.errors import DAFConfigError, DAFError, DAFInterruptedError, missing_requirement
from daf.execution.interrupts import end_in_order, ended_by

#: What a disk says that takes no more.
NO_MORE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def exit_code(action: Callable[[], None], program: str = "daf_run") -> int:
    """Runs an action and returns the process' exit code; what went wrong is printed on standard error."""
    try:
        with end_in_order():
            action()
    except (KeyboardInterrupt, DAFInterruptedError) as error:
        print(f"\n{str(error) or 'Interrupted.'}", file=sys.stderr)
        return 128 + ended_by()
    except BrokenPipeError:
        # `daf_run --help | head`: the reader has seen enough. Nothing more may be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DAFError.exit_code
    except Exception as error:
        return _print_error(error, program)
    return 0


def _print_error(error: Exception, program: str) -> int:
    if told := missing_requirement(error) or _refused_by_disk(error):
        print(f"{program}: {told}", file=sys.stderr)
        return DAFError.exit_code
    # Only where something went wrong: they cost half of what `--help` takes.
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, DAFError | HydraException | OmegaConfBaseException):
        print(f"{program}: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, DAFError) else DAFConfigError.exit_code
    print("".join(traceback.format_exception(error)), file=sys.stderr)
    print(f"{program}: failed with the error above. If it is DAF's fault, please report it.", file=sys.stderr)
    return DAFError.exit_code


def _refused_by_disk(error: Exception) -> str | None:
    """The sentence on a disk that takes no more; None for any other error."""
    if not isinstance(error, OSError) or error.errno not in NO_MORE:
        return None
    return f"{error.filename or 'a file'} cannot be written: {error.strerror}. What was written before stays."
