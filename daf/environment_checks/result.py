"""What a check found, as errors and warnings, and as rows of a table."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from daf.errors import Problem

State = Literal["ok", "warning", "error", "skipped"]


@dataclass(frozen=True)
class CheckRow:
    """One line of what was checked.

    Attributes:
        check: what was looked at.
        state: ``skipped`` where what it needs is missing; another row says what that is.
        found: what there is, or what is wrong.
        remedy: what to do, in one line, or an empty string.
    """

    check: str
    state: State
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class EnvironmentCheckResult:
    """What a check found.

    Attributes:
        errors: what keeps the experiment from running here.
        warnings: sentences on what does not.
        rows: one for each check, and one more for each further thing that it found.
    """

    errors: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    rows: tuple[CheckRow, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the experiment can run here."""
        return not self.errors

    def __add__(self, other: "EnvironmentCheckResult") -> "EnvironmentCheckResult":
        errors = dict.fromkeys((*self.errors, *other.errors))
        return EnvironmentCheckResult(tuple(errors), (*self.warnings, *other.warnings), (*self.rows, *other.rows))


def checked(
    check: str, found: str, errors: Sequence[Problem] = (), warnings: Sequence[Problem] = (), remedy: str = ""
) -> EnvironmentCheckResult:
    """The result of one check.

    Args:
        check: its name in the table.
        found: what there is where nothing is wrong.
        remedy: of problems that say none of their own.
    """
    rows = (*_rows(check, "error", errors, remedy), *_rows(check, "warning", warnings, remedy))
    return EnvironmentCheckResult(tuple(errors), tuple(map(str, warnings)), rows or (CheckRow(check, "ok", found),))


def skipped(check: str, why: str) -> EnvironmentCheckResult:
    """That a check had nothing to look at, since what it needs is wrong itself."""
    return EnvironmentCheckResult((), (), (CheckRow(check, "skipped", why),))


def together(results: Iterable[EnvironmentCheckResult]) -> EnvironmentCheckResult:
    """All of them as one."""
    return sum(results, EnvironmentCheckResult())


def _rows(check: str, state: State, problems: Sequence[Problem], remedy: str) -> Iterator[CheckRow]:
    for problem in problems:
        yield CheckRow(check, state, f"{problem.where}: {problem.what}", problem.hint or remedy)
