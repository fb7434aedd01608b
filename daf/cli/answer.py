"""`result_format=json`: one object on standard output, and nothing else there."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from daf.errors import DAFError

if TYPE_CHECKING:
    from daf.results import Outcome

KEY = "result_format"


class _Answer:
    """What goes to standard output in the end, and where that is meanwhile."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.asked = False
        self.before = _last_outcome()
        self._output: tuple[int, TextIO] | None = None

    def begin(self) -> None:
        """Sends what anybody prints from now on to standard error, also what no Python prints."""
        self.asked = True
        if self._output is None:
            sys.stdout.flush()
            self._output = os.dup(1), sys.stdout
            os.dup2(2, 1)
            sys.stdout = sys.stderr  # which need not write to a descriptor at all, as in a notebook

    def end(self) -> None:
        """Puts standard output back."""
        if self._output is not None:
            descriptor, sys.stdout = self._output
            os.dup2(descriptor, 1)
            os.close(descriptor)
            self._output = None


def _last_outcome() -> "Outcome | None":
    """What the last run has left; None where nothing was imported that could run any."""
    module = sys.modules.get("daf.tasks.outcome")
    return None if module is None else module.last_outcome()


_answer = _Answer()


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for the object. The last word counts, as it does everywhere on it."""
    asked = [text.partition("=")[2].strip("'\"") for text in arguments if text.startswith(f"{KEY}=")]
    return asked[-1:] == ["json"]


def answer_as_json(asked: bool) -> None:
    """Keeps standard output for the object from now on, if it is asked for."""
    if asked:
        _answer.begin()


def answering(run: Callable[[Callable[[], None]], int], action: Callable[[], None], arguments: Sequence[str]) -> int:
    """Runs an action, and prints how it has ended where the command line asks for that.

    Args:
        run: runs the action, tells people of errors, and returns the exit code.
        arguments: the command line.
    """
    global _answer
    _answer = _Answer()
    asked = asks_for_json(arguments)

    def remembered() -> None:
        try:
            action()
        except BaseException as error:
            _answer.error = error
            raise

    try:
        code = run(remembered)
    except SystemExit as ended:  # the parser of flags has said why
        code = ended.code if isinstance(ended.code, int) else DAFError.exit_code
    finally:
        _answer.end()
    return _print(code) if asked or _answer.asked else code


def _print(code: int) -> int:
    """Prints the outcome; nothing where something was only shown, such as a help text."""
    outcome, error = _last_outcome(), _answer.error
    if code == 0 and (outcome is _answer.before or isinstance(error, SystemExit)):
        return code
    from daf.tasks.outcome import outcome_of_error, outcome_text

    if error is not None and (outcome is None or outcome is _answer.before or outcome.status == "ok"):
        outcome = outcome_of_error(error)
    assert outcome is not None, "there is one, or an error"
    try:
        print(outcome_text(replace(outcome, exit_code=code)), end="", flush=True)
    except BrokenPipeError:  # the reader has seen enough; nothing more may be written, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return code or DAFError.exit_code
    return code
