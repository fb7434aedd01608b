"""Secrets must not reach a file, a store, a log or the terminal.

`redactor()` is this process' only `Redactor`; `guarded()` puts it in front of logs, standard output and error.
"""

from daf.redaction.gates import guard_logs, guarded, redacted
from daf.redaction.names import is_telling
from daf.redaction.passages import HIDDEN
from daf.redaction.redactor import Redactor, redactor, restored

__all__ = ["HIDDEN", "Redactor", "guard_logs", "guarded", "is_telling", "redacted", "redactor", "restored"]
