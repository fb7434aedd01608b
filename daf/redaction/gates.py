"""The last gates before the terminal and the logs."""

import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from daf.redaction.redactor import redactor


class _Gate:
    """A stream that writes no secrets."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(redactor().text(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def redacted(stream: TextIO) -> TextIO:
    """The stream behind a gate that lets no secrets through."""
    return stream if isinstance(stream, _Gate) else cast(TextIO, _Gate(stream))


class _Records:
    """Makes log records without secrets, whatever logger and handler they are for."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self.make = make

    def __call__(self, *arguments: Any, **options: Any) -> logging.LogRecord:
        record, redact = self.make(*arguments, **options), redactor()
        try:
            message = record.getMessage()
        except Exception:  # arguments that do not fit: whoever logs must not fail
            message = f"{record.msg} {record.args}"
        record.msg, record.args = redact.text(message), None
        if record.exc_info and record.exc_info[0]:
            record.exc_text = redact.text("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
        if record.stack_info:
            record.stack_info = redact.text(record.stack_info)
        return record


def guard_logs() -> None:
    """Blanks secrets in every log record of this process from now on."""
    if not isinstance(logging.getLogRecordFactory(), _Records):
        logging.setLogRecordFactory(_Records(logging.getLogRecordFactory()))


@contextmanager
def guarded() -> Iterator[None]:
    """Blanks secrets in log records, and in what this process writes to standard output and error.

    A log file that takes no more, as on a full disk, is no reason for a traceback with every line.
    """
    before = sys.stdout, sys.stderr, logging.getLogRecordFactory(), logging.raiseExceptions
    logging.raiseExceptions = False
    sys.stdout, sys.stderr = redacted(sys.stdout), redacted(sys.stderr)
    guard_logs()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before[:2]
        logging.setLogRecordFactory(before[2])
        logging.raiseExceptions = before[3]
