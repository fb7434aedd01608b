"""Which failures may pass by themselves, and which would come again."""

from collections.abc import Iterator

from daf.execution.executor import Reason

#: What became of a job that another attempt may mend. One that raised says itself what was wrong.
TRANSIENT_REASONS: frozenset[Reason] = frozenset(("died", "hung", "lost"))
#: Errors of libraries that mean: somebody did not answer. By name, so that none is imported to be asked for.
PASSING = frozenset(
    {
        ("requests", "ConnectionError"),
        ("requests", "Timeout"),
        ("urllib3", "ProtocolError"),
        ("urllib3", "TimeoutError"),
        ("urllib3", "MaxRetryError"),
        ("sqlalchemy", "OperationalError"),
        ("sqlalchemy", "TimeoutError"),
    }
)
#: MLflow's codes for a store that does not answer now.
PASSING_CODES = frozenset({"TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED", "UNAVAILABLE"})


def is_transient(error: BaseException) -> bool:
    """Whether an error, or one that it came from, is of a connection, a lock or a server that may be there later."""
    return any(_passes(each) for each in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _passes(error: BaseException) -> bool:
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    if getattr(error, "error_code", None) in PASSING_CODES:
        return True
    return any((kind.__module__.partition(".")[0], kind.__name__) in PASSING for kind in type(error).__mro__)
