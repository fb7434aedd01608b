"""The errors that DAF raises on purpose, each with the exit code that a shell script sees."""

from dataclasses import dataclass

from daf.redaction.names import is_telling


def first_line(error: BaseException) -> str:
    """What an error says first, or what it is."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


class DAFError(Exception):
    """The work failed. The message is for a person: what was wrong, where, what would be right."""

    exit_code = 1


class DAFTrainingDivergedError(DAFError):
    """A parameter of the network, or what is optimised, became NaN or infinite."""


class DAFInterruptedError(DAFError):
    """The user pressed Ctrl-C; everything finished so far is on disk."""

    exit_code = 130


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a request.

    Attributes:
        where: the config key or the object concerned, such as ``optimizer.lr``.
        what: what is wrong with it, in one sentence.
        hint: what would be right, or an empty string.
    """

    where: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f" {self.hint}" if self.hint else ""
        # Behind a name that tells, the gate before the terminal would take the sentence for a secret.
        separator = " -" if is_telling(self.where) else ":"
        return f"{self.where}{separator} {self.what}{hint}"


class DAFConfigError(DAFError):
    """The request itself was wrong: nothing was started and nothing was written."""

    exit_code = 2

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n".join([f"{count} in the request:", *(f"  - {problem}" for problem in problems)]))
